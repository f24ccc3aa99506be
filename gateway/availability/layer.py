"""Strict mode: token operations need Redis, and get a clean answer when it is away.

The one idea: the gate is read, never asked, so an outage costs a token request nothing and any other request not even
the look at its route.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from gateway.errors import GatewayError
from gateway.exchange import Exchange, Handler, Reply

RETRY_AFTER: Final = 2.0


def _none(exchange: Exchange) -> bool:
    return False


class AvailabilityLayer:
    """Answers `redis-required` on the routes that need Redis while it is away. In the chain in strict mode only.

    Args:
        available: the gate's verdict.
        matches: which exchanges need Redis.
        passes: which of those answer for an outage themselves (a logout clears its cookies, a refresh is promised
            that its token stays good).
    """

    def __init__(
        self,
        available: Callable[[], bool],
        matches: Callable[[Exchange], bool],
        *,
        passes: Callable[[Exchange], bool] = _none,
    ) -> None:
        self._available = available
        self._matches = matches
        self._passes = passes

    async def handle(self, exchange: Exchange, forward: Handler) -> Reply:
        """Forward, unless Redis is needed and away. Who loses Redis on the way tells so itself.

        Raises:
            GatewayError: `redis-required`.
        """
        if not self._available() and self._matches(exchange) and not self._passes(exchange):
            raise GatewayError("redis-required", private="Redis: away", retry_after=RETRY_AFTER)
        return await forward(exchange)
