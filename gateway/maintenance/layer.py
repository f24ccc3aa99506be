"""Answers with the operator's message while maintenance is on.

The one idea: it stands before everything that could change something, so a client keeps its cookies and its tokens
and goes on with them afterwards.
"""

from __future__ import annotations

from collections.abc import Callable

from gateway.errors import GatewayError
from gateway.events import Emit
from gateway.exchange import Exchange, Handler, Reply
from gateway.maintenance.events import MaintenanceAnswered, MaintenanceChanged
from gateway.maintenance.settings import MaintenanceSettings
from gateway.maintenance.state import On, state


class MaintenanceLayer:
    """Stops the exchanges under maintenance.

    Args:
        settings: the switch, the message, and when to come back.
        matches: which exchanges are under maintenance.
        excepted: which of those are served all the same (health checks).
        emit: told when maintenance is on, and about each answer.
    """

    def __init__(
        self,
        settings: MaintenanceSettings,
        matches: Callable[[Exchange], bool],
        excepted: Callable[[Exchange], bool],
        emit: Emit,
    ) -> None:
        self._state = state(settings)
        self._matches = matches
        self._excepted = excepted
        self._emit = emit

    def announce(self) -> None:
        """Tell at start that maintenance is on, when it is."""
        if isinstance(self._state, On):
            self._emit(MaintenanceChanged(True))

    async def handle(self, exchange: Exchange, forward: Handler) -> Reply:
        """Forward, unless the exchange is under maintenance.

        Raises:
            GatewayError: `maintenance`, with the operator's message.
        """
        current = self._state
        if isinstance(current, On) and self._matches(exchange) and not self._excepted(exchange):
            self._emit(MaintenanceAnswered(exchange.route))
            raise GatewayError("maintenance", detail=current.message, retry_after=current.retry_after)
        return await forward(exchange)
