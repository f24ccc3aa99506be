"""The token layer: logins pass through it, refreshes and logouts end in it, all else it does not see.

The one idea: which request is which is told by matchers from outside, since spelling routes is the edge's matter.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from gateway.clock import SYSTEM, Clock
from gateway.events import Emit, ignore
from gateway.exchange import Exchange, Handler, Reply
from gateway.tokens.desk import Desk
from gateway.tokens.keys import Keys
from gateway.tokens.ledger import Available, Ledger, always
from gateway.tokens.legacy import OldTokens
from gateway.tokens.login import LoginDesk
from gateway.tokens.logout import LogoutDesk
from gateway.tokens.refresh import RefreshDesk
from gateway.tokens.sessions import SessionRoutes, SessionsDesk
from gateway.tokens.settings import TokenSettings
from gateway.tokens.standstill import Standstill

Matches = Callable[[Exchange], bool]


class TokensLayer:
    """Login, refresh and logout for `mode: issue`.

    Args:
        settings: the `tokens:` section; it has at least one key.
        ledger: who keeps the families.
        login: tells the login requests.
        refresh: tells the refresh requests; they are never forwarded.
        logout: tells the logout requests; they are never forwarded.
        emit: who is told of operations, evictions, reuse and the audit trail.
        clock: this pod's, used only while the ledger's cannot be asked.
        standstill: when time stood still, as this gateway saw it.
        sessions: tells the requests about sessions; they are never forwarded. None: there are none.
        old_tokens: who knows the refresh tokens of before; None: nobody does.
        available: whether Redis is there, as the gate tells.
        keys: those in force, which a reload may change; by default those of the settings, for good.
    """

    def __init__(
        self,
        settings: TokenSettings,
        ledger: Ledger,
        *,
        login: Matches,
        refresh: Matches,
        logout: Matches,
        emit: Emit = ignore,
        clock: Clock = SYSTEM,
        keys: Keys | None = None,
        standstill: Standstill | None = None,
        sessions: SessionRoutes | None = None,
        old_tokens: OldTokens | None = None,
        available: Available = always,
    ) -> None:
        desk = Desk(settings, ledger, emit, clock, keys, standstill, old_tokens, available)
        self._is_login, self._is_refresh, self._is_logout = login, refresh, logout
        self._login = LoginDesk(desk)
        self._refresh = RefreshDesk(desk)
        self._promises = desk.promises
        self._logout = LogoutDesk(desk)
        self._sessions = SessionsDesk(desk, sessions) if sessions is not None else None

    async def run(self) -> None:
        """Tell the ledger, once it is there again, what it has missed: promises, and logins that nobody was given."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._login.run())
            await self._promises.run()

    async def handle(self, exchange: Exchange, forward: Handler) -> Reply:
        """Answer or forward.

        Raises:
            GatewayError: `invalid-request`, `invalid-token`, `not-found`, `too-many-attempts`, `redis-required`,
                `internal-error`.
        """
        if self._is_refresh(exchange):
            return await self._refresh.handle(exchange, forward)
        if self._is_logout(exchange):
            return await self._logout.handle(exchange)
        if self._is_login(exchange):
            return await self._login.handle(exchange, forward)
        if self._sessions is not None and self._sessions.meant(exchange):
            return await self._sessions.handle(exchange)
        return await forward(exchange)
