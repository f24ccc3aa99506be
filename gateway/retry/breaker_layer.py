"""Leaves an upstream alone that fails again and again, and tells its callers at once.

The one idea: one breaker, asked wherever a call could be spared. `BreakerDoor` stands before anything is read or waits,
so that nobody queues for an upstream that is down; `BreakerLayer` stands around each attempt, and hears how it ended;
`BreakerGate` stands behind the queue, so that what waited while the breaker opened does not go either.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from gateway.clock import SYSTEM, Clock
from gateway.errors import GatewayError
from gateway.events import Emit, ignore
from gateway.exchange import Exchange, Handler, Reply
from gateway.retry.breaker import Admitted, Breaker, Refused, Verdict
from gateway.retry.events import BreakerChanged, BreakerRefused
from gateway.retry.settings import BreakerSettings

_FAILURES: Final = frozenset(("upstream-unreachable", "upstream-timeout"))

Failed = Callable[[Exchange, int], bool]
"""Whether an answer with this status says that the upstream fails."""


def status_failed(_: Exchange, status: int) -> bool:
    """Whether the status alone says so."""
    return status >= 500


class BreakerLayer:
    """The breaker of `upstream`, around each attempt; `lane_of` names the lane under which a refused call is counted.

    A failure is an answer that `failed` (500 or more), and an upstream that could not be reached or gave no header
    section in time.
    Whoever was refused before (a full queue, a bad request) or left tells nothing of the upstream.
    """

    def __init__(
        self,
        upstream: str,
        settings: BreakerSettings,
        *,
        lane_of: Callable[[Exchange], str],
        failed: Failed = status_failed,
        emit: Emit = ignore,
        clock: Clock = SYSTEM,
    ) -> None:
        self._upstream = upstream
        self._breaker = Breaker(settings.failures, settings.window, settings.open_for)
        self._lane_of = lane_of
        self._failed = failed
        self._emit = emit
        self._now = clock.monotonic
        self._attempts: dict[Exchange, Admitted] = {}

    @property
    def open(self) -> bool:
        """Whether the breaker is open or half-open."""
        return self._breaker.open

    def lets_through(self) -> bool:
        """Whether a call would be let through now."""
        return not self._breaker.remaining(self._now())

    def check(self, exchange: Exchange) -> None:
        """Refuse the exchange if a call would not be let through now.

        Raises:
            GatewayError: `breaker-open`, with the time until the next one is let through.
        """
        wait = self._breaker.remaining(self._now())
        if wait:
            raise self._refusal(exchange, wait)

    def recheck(self, exchange: Exchange) -> None:
        """Refuse an attempt that was let through before the breaker opened; whoever counts its end counts this.

        Raises:
            GatewayError: `breaker-open`, with the time until the next one is let through.
        """
        if not self._breaker.holds(self._attempts[exchange]):
            wait = self._breaker.remaining(self._now())
            raise GatewayError("breaker-open", private="the breaker opened meanwhile", retry_after=max(1.0, wait))

    async def handle(self, exchange: Exchange, forward: Handler) -> Reply:
        """Forward one attempt, unless the breaker is open.

        Raises:
            GatewayError: `breaker-open`, with the time until the next one is let through.
        """
        admitted = self._breaker.admit(self._now())
        if isinstance(admitted, Refused):
            raise self._refusal(exchange, admitted.seconds)
        verdict: Verdict = "unknown"
        self._attempts[exchange] = admitted
        try:
            reply = await forward(exchange)
            verdict = "failure" if self._failed(exchange, reply.status) else "success"
        except GatewayError as error:
            verdict = "failure" if error.code in _FAILURES else "unknown"
            raise
        finally:
            del self._attempts[exchange]
            before = self._breaker.open
            self._breaker.settle(self._now(), admitted, verdict)
            if self._breaker.open != before:
                self._emit(BreakerChanged(self._upstream, not before))
        return reply

    def _refusal(self, exchange: Exchange, wait: float) -> GatewayError:
        self._emit(BreakerRefused(self._upstream, self._lane_of(exchange)))
        return GatewayError("breaker-open", private="the breaker is open", retry_after=wait)


class BreakerDoor:
    """Refuses at once what the breaker would refuse later."""

    def __init__(self, breaker: BreakerLayer) -> None:
        self._breaker = breaker

    async def handle(self, exchange: Exchange, forward: Handler) -> Reply:
        """Forward, unless the breaker is open.

        Raises:
            GatewayError: `breaker-open`.
        """
        self._breaker.check(exchange)
        return await forward(exchange)


class BreakerGate:
    """Refuses an attempt whose turn comes when the breaker has opened; it costs no slot."""

    def __init__(self, breaker: BreakerLayer) -> None:
        self._breaker = breaker

    async def handle(self, exchange: Exchange, forward: Handler) -> Reply:
        """Forward, unless the breaker has opened since the attempt was let through.

        Raises:
            GatewayError: `breaker-open`.
        """
        self._breaker.recheck(exchange)
        return await forward(exchange)
