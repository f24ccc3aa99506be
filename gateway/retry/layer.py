"""Makes a call again when its upstream could not take it.

The one idea: an attempt is the whole road behind this layer, so each takes a permit and a slot like any other call, and
waits out a pause that the upstream asked for. What may be sent twice is decided here; when, by the throttle.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Final

from gateway.clock import SYSTEM, Clock
from gateway.errors import GatewayError
from gateway.events import Emit, ignore
from gateway.exchange import Body, Buffered, Exchange, Handler, Reply
from gateway.retry.budget import Budget
from gateway.retry.events import Retried
from gateway.retry.settings import RetrySettings

_IDEMPOTENT: Final = frozenset(("GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"))

_FINAL: Final = ("refused", "unauthenticated")

REASONS: Final = ("unreachable", "disconnect")
"""Why a call is made again, besides the statuses: before anything was written, and after."""
_SMALL: Final = 64 * 1024
"""Bytes of an answer that are read although nobody gets them."""


def idempotent(exchange: Exchange) -> bool:
    """Whether sending a request twice has the effect of sending it once, by its method (RFC 9110 section 9.2.2)."""
    return exchange.method in _IDEMPOTENT


class RetryLayer:
    """Up to `settings.max_attempts` attempts, within the budget, of what is in memory as a whole.

    An answer with one of `settings.statuses`, and a connection that broke after something was written, are followed by
    another attempt if `may_retry` holds; one that failed before, always. No attempt is made that `may_go` says would
    not be let through now: what the last one gave is then passed on.
    """

    def __init__(
        self,
        upstream: str,
        settings: RetrySettings,
        *,
        may_retry: Callable[[Exchange], bool] = idempotent,
        may_go: Callable[[Exchange], bool],
        emit: Emit = ignore,
        clock: Clock = SYSTEM,
    ) -> None:
        self._upstream = upstream
        self._settings = settings
        self._may_retry = may_retry
        self._may_go = may_go
        self._emit = emit
        self._now = clock.monotonic
        self._budget = Budget(settings.budget)

    async def handle(self, exchange: Exchange, forward: Handler) -> Reply:
        """Forward, and again where that helps.

        Raises:
            GatewayError: what the last attempt raised.
        """
        self._budget.deposit(self._now())
        for _ in range(self._settings.max_attempts - 1):
            try:
                reply = await forward(exchange)
            except GatewayError as error:
                reason = self._of_error(exchange, error)
                if not self._again(exchange, reason):
                    raise
            else:
                reason = self._of_reply(exchange, reply)
                if not self._again(exchange, reason):
                    return reply
                await _discard(reply.body)
            self._emit(Retried(self._upstream, reason))
        return await forward(exchange)

    def _of_error(self, exchange: Exchange, error: GatewayError) -> str:
        """Return why a failed attempt is worth another, or nothing."""
        if error.code != "upstream-unreachable":
            return ""
        if not exchange.sent:
            return "unreachable"
        return "disconnect" if self._may_retry(exchange) else ""

    def _of_reply(self, exchange: Exchange, reply: Reply) -> str:
        """Return why an answer is worth another attempt, or nothing."""
        if reply.status not in self._settings.statuses or reply.failure in _FINAL:
            return ""
        return str(reply.status) if self._may_retry(exchange) else ""

    def _again(self, exchange: Exchange, reason: str) -> bool:
        """Tell whether there is another attempt, and take it from the budget."""
        replayable = isinstance(exchange.body, Buffered)
        return bool(reason) and replayable and self._may_go(exchange) and self._budget.withdraw(self._now())


async def _discard(body: Body) -> None:
    """Close an answer that is given up; a short one at its end, so that its connection can be used again."""
    size = 0
    try:
        with suppress(GatewayError):
            async for piece in body:
                size += len(piece)
                if size > _SMALL:
                    break
    finally:
        await body.aclose()
