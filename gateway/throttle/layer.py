"""The layer that holds an upstream's limits: a call waits here before it is forwarded, and again before it is written.

The one idea: the permit is obtained before `forward`, the window's slot inside it, when the upstream awaits
`exchange.before_send` with its connection ready; from that moment the lane's timeout runs. The permit travels on in the
reply's body (`gateway.throttle.body`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from random import SystemRandom
from typing import Final

from gateway.clock import SYSTEM, Clock
from gateway.errors import GatewayError
from gateway.events import Emit, ignore
from gateway.exchange import Exchange, Handler, Reply
from gateway.throttle.body import CallBody, timed_out
from gateway.throttle.call import Call
from gateway.throttle.events import Outcome
from gateway.throttle.lanes import Standing
from gateway.throttle.retry_after import retry_after
from gateway.throttle.settings import PolicySettings
from gateway.throttle.sharing import Sharing
from gateway.throttle.throttler import Throttle

_RANDOM: Final = SystemRandom().random
_JITTER: Final = 0.1
"""The largest part by which a pause is longer than the upstream asks for."""


class ThrottleLayer:
    """The limits of `policy`, as a layer; `lane_of` names the lane of an exchange.

    The lifecycle runs `throttle.run()`, and calls `throttle.close()` when the time to drain is over.

    A call's outcome is `ok` when an answer below 500 was carried to its last byte; `error` for 5xx, an answer that
    tells of a failure, an upstream that failed, or an answer that broke off; `timeout` when the lane's or the
    upstream's limit passed; `queue_full` and `queue_timeout` when the upstream saw nothing; `cancelled` when the client
    went away or the gateway shut down.
    """

    def __init__(
        self,
        policy: PolicySettings,
        *,
        lane_of: Callable[[Exchange], str],
        emit: Emit = ignore,
        clock: Clock = SYSTEM,
        random: Callable[[], float] = _RANDOM,
        sharing: Sharing | None = None,
    ) -> None:
        self.throttle = Throttle(policy, emit=emit, clock=clock, sharing=sharing)
        self._now = clock.monotonic
        self._wall = clock.wall
        self._random = random
        self._put_in_force(policy, lane_of)

    def adapt(self, policy: PolicySettings, lane_of: Callable[[Exchange], str]) -> None:
        """Put another policy of the same upstream in force; who waits keeps the place, what is in flight drains."""
        self._put_in_force(policy, lane_of)
        self.throttle.adapt(policy)

    def _put_in_force(self, policy: PolicySettings, lane_of: Callable[[Exchange], str]) -> None:
        self.lane_of = lane_of
        self._timeouts = {lane.name: lane.timeout for lane in policy.lanes}
        self._standing = Standing(policy.queue)

    async def handle(self, exchange: Exchange, forward: Handler) -> Reply:
        """Forward the exchange when its turn has come.

        Raises:
            GatewayError: `queue-full` or `queue-timeout` with the estimated wait, `upstream-timeout`, `shutting-down`.
        """
        lane, timeouts = self.lane_of(exchange), self._timeouts
        call = await self._enter(lane, exchange)
        timeout = self._timeouts.get(call.lane.name, timeouts[lane])  # it may have been moved, or its lane be gone
        passage = _Passage(self.throttle, call, exchange, timeout, self._now)
        exchange.before_send, exchange.on_unsent = passage.before_send, passage.on_unsent
        try:
            async with passage.limit:
                reply = await forward(exchange)
        except BaseException as error:
            self.throttle.leave(call, _outcome(error, passage.limit.expired()))
            if passage.refusal is not None:
                raise passage.refusal from None
            if passage.limit.expired():
                raise timed_out() from None
            raise
        reply.body = CallBody(
            reply.body,
            self.throttle,
            call,
            deadline=passage.limit.when(),
            complete="error" if reply.status >= 500 or reply.failure else "ok",
            empty=exchange.method == "HEAD" or reply.status in (101, 204, 304) or reply.body.length == 0,
        )
        if reply.status in (429, 503):
            self._heed(lane, reply)
        return reply

    async def _enter(self, lane: str, exchange: Exchange) -> Call:
        """Wait for a permit, until the deadline that the exchange's first attempt was given."""
        arrived = self._now()
        try:
            call = await self.throttle.enter(
                lane,
                tenant=self._standing.tenant(exchange),
                priority=self._standing.priority(exchange),
                deadline=exchange.queue_deadline,
            )
        finally:
            exchange.queue_seconds += self._now() - arrived
        exchange.queue_deadline = call.deadline
        return call

    def in_time(self, exchange: Exchange) -> bool:
        """Whether another attempt of the exchange might be dispatched before its deadline, for all a pause says."""
        deadline = exchange.queue_deadline
        return deadline is None or max(self._now(), self.throttle.paused_until(self.lane_of(exchange))) <= deadline

    def _heed(self, lane: str, reply: Reply) -> None:
        """Pause the lane for as long as the upstream asks for, and a little longer, so that replicas do not all come
        back at once."""
        seconds = retry_after(reply.headers, self._wall())
        if seconds:
            self.throttle.pause(lane, seconds * (1 + _JITTER * self._random()))


class _Passage:
    """One call between its permit and its answer's header section."""

    __slots__ = ("_call", "_exchange", "_now", "_throttle", "_timeout", "limit", "refusal")

    def __init__(
        self, throttle: Throttle, call: Call, exchange: Exchange, timeout: float, now: Callable[[], float]
    ) -> None:
        self._throttle = throttle
        self._call = call
        self._exchange = exchange
        self._timeout = timeout
        self._now = now
        self.limit = asyncio.timeout(None)
        """The lane's timeout; without a moment until the call is dispatched, so connecting does not count."""
        self.refusal: GatewayError | None = None
        """Why no slot was given, told to the client whatever the upstream makes of it."""

    async def before_send(self) -> None:
        """Wait for a slot; the lane's timeout runs from then, and from the last one when a request is written again."""
        self.limit.reschedule(None)
        asked = self._now()
        try:
            await self._throttle.dispatch(self._call)
        except GatewayError as error:
            self.refusal = error
            raise
        finally:
            self._exchange.queue_seconds += self._now() - asked
        self.limit.reschedule(asyncio.get_running_loop().time() + self._timeout)

    def on_unsent(self) -> None:
        """Give the slot back, and stop the lane's timeout until the next one."""
        self._throttle.unsent(self._call)
        self.limit.reschedule(None)


def _outcome(error: BaseException, expired: bool) -> Outcome:
    code = error.code if isinstance(error, GatewayError) else ""
    if expired or code == "upstream-timeout":
        return "timeout"
    if code == "breaker-open":
        return "breaker_open"
    return "error" if isinstance(error, Exception) else "cancelled"
