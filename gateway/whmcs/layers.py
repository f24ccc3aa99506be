"""WHMCS on the road of a call: its lane and its credentials outside the throttle, its outcome inside.

The one idea: what is refused, or waits to see whether the credentials are good, holds no permit; what an answer means
is known before the throttle counts it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from gateway.clock import SYSTEM, Clock
from gateway.codings import decoded
from gateway.errors import GatewayError
from gateway.events import Emit, ignore
from gateway.exchange import Exchange, Handler, Layer, Reply, header
from gateway.peek import peek
from gateway.whmcs.call import action_class
from gateway.whmcs.credentials import put_on
from gateway.whmcs.events import CredentialsRefused
from gateway.whmcs.guard import PAUSE, Admitted, Guard, Refused, Verdict, Wait
from gateway.whmcs.outcome import decided, failure
from gateway.whmcs.settings import WhmcsAuth

START: Final = 4096
"""Bytes of an answer that are looked at."""
_LANE: Final = b"x-gateway-lane"
_HELD_BACK: Final = "The service refuses the credentials; calls wait, so that it does not ban this address."


class ForCalls:
    """`layer`, for what `is_call` takes for a call of the API; anything else passes it by."""

    def __init__(self, is_call: Callable[[Exchange], bool], layer: Layer) -> None:
        self._is_call = is_call
        self._layer = layer

    async def handle(self, exchange: Exchange, forward: Handler) -> Reply:
        """Forward, through the layer or past it."""
        if self._is_call(exchange):
            return await self._layer.handle(exchange, forward)
        return await forward(exchange)


class LaneLayer:
    """Names a lane by the class of the action (`read`, `write`, `other`), unless the client has named one."""

    async def handle(self, exchange: Exchange, forward: Handler) -> Reply:
        """Forward."""
        if header(exchange.headers, _LANE) is None:
            exchange.headers = [*exchange.headers, (b"X-Gateway-Lane", action_class(exchange).encode())]
        return await forward(exchange)


class GuardLayer:
    """Holds calls back while it is not known that the credentials are good, for `max_wait` seconds at most."""

    def __init__(self, upstream: str, max_wait: float, emit: Emit = ignore, clock: Clock = SYSTEM) -> None:
        self._upstream = upstream
        self.max_wait = max_wait
        self._emit = emit
        self._now = clock.monotonic
        self._guard = Guard()
        self._settled = asyncio.Event()

    def renew(self) -> None:
        """Take note that there are other credentials."""
        self._guard.renew()
        self._wake()

    async def handle(self, exchange: Exchange, forward: Handler) -> Reply:
        """Forward one attempt.

        Raises:
            GatewayError: `breaker-open` (503) while the credentials count as wrong; `queue-timeout` (503) when it did
                not become known in time. The vendor saw nothing.
        """
        began = self._now()
        try:
            admitted = await self._admitted()
        finally:
            exchange.queue_seconds += self._now() - began
        verdict: Verdict = "unknown"
        try:
            reply = await forward(exchange)
            verdict = _verdict(reply)
        finally:
            if self._guard.settle(self._now(), admitted, verdict):
                self._emit(CredentialsRefused(self._upstream, PAUSE))
            self._wake()
        return reply

    async def _admitted(self) -> Admitted:
        try:
            async with asyncio.timeout(self.max_wait):
                while isinstance(answer := self._guard.admit(self._now()), Wait):
                    await self._settled.wait()
        except TimeoutError:
            raise GatewayError("queue-timeout", private="the credentials are not known to be good") from None
        if isinstance(answer, Refused):
            why = "the credentials are refused"
            raise GatewayError("breaker-open", detail=_HELD_BACK, private=why, retry_after=answer.seconds)
        return answer

    def _wake(self) -> None:
        """Have everybody who waits ask again."""
        self._settled.set()
        self._settled = asyncio.Event()


def _verdict(reply: Reply) -> Verdict:
    if reply.failure == "unauthenticated":
        return "wrong"
    return "accepted" if reply.status == 200 and reply.failure != "refused" else "unknown"


class CredentialsLayer:
    """Puts the credentials of `auth` on the forms of calls; `limit` is the size up to which they are in memory."""

    def __init__(self, auth: WhmcsAuth, limit: int) -> None:
        self.auth = auth
        self._limit = limit

    async def handle(self, exchange: Exchange, forward: Handler) -> Reply:
        """Forward with the gateway's credentials.

        Raises:
            GatewayError: what `put_on` raises.
        """
        put_on(exchange, self.auth.fields, self._limit)
        return await forward(exchange)


class OutcomeLayer:
    """Tells what an answer means; it is passed on as it came, and held up until its first bytes tell."""

    async def handle(self, exchange: Exchange, forward: Handler) -> Reply:
        """Forward."""
        reply = await forward(exchange)
        coding = header(reply.headers, b"content-encoding")
        start, reply.body = await peek(reply.body, START, lambda start: decided(decoded(start, coding, START)))
        reply.failure = failure(decoded(start, coding, START), reply.status)
        return reply
