"""The token layer of `mode: guard`: the backend mints, refreshes are claimed, logins and logouts are followed.

The one idea: the backend's answers pass as they are. What the gateway adds is that a refresh reaches the backend once,
that its answer is not lost, and that a family which has ended stays so.

An OAuth server has one token endpoint for all grants (RFC 6749 section 3.2). Where login and refresh are one route, the
grant type tells them apart: what is no refresh is a login if its answer brings a refresh token, and passes if not.
"""

from __future__ import annotations

import asyncio

from gateway.clock import SYSTEM, Clock
from gateway.errors import GatewayError, StoreUnavailable
from gateway.events import Emit, ignore
from gateway.exchange import Exchange, Handler, Reply
from gateway.tokens.answer import in_memory
from gateway.tokens.client import client_of
from gateway.tokens.events import FamiliesAtLogin, NothingBrought
from gateway.tokens.guard import Turned
from gateway.tokens.guard_answer import Bringing
from gateway.tokens.guard_content import REFRESH, grant_of, readable
from gateway.tokens.guard_deal import login_of_answer
from gateway.tokens.guard_desk import GuardDesk, Shown
from gateway.tokens.guard_refresh import GuardRefresh
from gateway.tokens.guard_shelter import Shelter
from gateway.tokens.guard_store import FORWARD_SECONDS, GuardStore
from gateway.tokens.keys import Keys
from gateway.tokens.layer import Matches
from gateway.tokens.ledger import Available, always
from gateway.tokens.settings import TokenSettings

MAX_GRANT = 1024 * 1024
"""Bytes of a request to the endpoint of all grants: some bring signed statements of others."""


class GuardLayer:
    """Login, refresh and logout for `mode: guard`. `run` is the lifecycle's: refreshes live in it.

    Args:
        settings: the `tokens:` section.
        keys: the refresh secrets that tokens are named with; there need not be any key of access tokens.
        store: who keeps tokens and families.
        login: tells the login requests.
        refresh: tells the refresh requests.
        logout: tells the logout requests.
        emit: who is told of operations, evictions, reuse and the audit trail.
        clock: this pod's; measures how long another replica is waited for.
        available: whether Redis is there, as the gate tells.
        forward_seconds: how long the backend may take for a refresh; a claim has to outlive it.
    """

    def __init__(
        self,
        settings: TokenSettings,
        keys: Keys,
        store: GuardStore,
        *,
        login: Matches,
        refresh: Matches,
        logout: Matches,
        emit: Emit = ignore,
        clock: Clock = SYSTEM,
        available: Available = always,
        forward_seconds: float = FORWARD_SECONDS,
    ) -> None:
        desk = self._desk = GuardDesk(settings, keys, store, emit, clock, available)
        self._is_login, self._is_refresh, self._is_logout = login, refresh, logout
        self._shelter = Shelter()
        self._refresh = GuardRefresh(desk, self._shelter, forward_seconds)

    async def run(self) -> None:
        """Give refreshes a home, write down what is owed and keep what was promised, until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._desk.arrears.run())
            group.create_task(self._desk.steps.promises.run())
            await self._shelter.run()

    async def handle(self, exchange: Exchange, forward: Handler) -> Reply:
        """Forward, or answer in the backend's place.

        Raises:
            GatewayError: `invalid-request`, `invalid-token`, `too-many-attempts`, `redis-required`; for a refresh that
                the backend does not answer `upstream-timeout`, `upstream-unreachable`.
        """
        if self._is_refresh(exchange) and await self._asks_for_a_refresh(exchange):
            return await self._refresh.handle(exchange, forward)
        if self._is_logout(exchange):
            return await self._logout(exchange, forward)
        if self._is_login(exchange):
            return await self._login(exchange, forward)
        return await forward(exchange)

    async def _asks_for_a_refresh(self, exchange: Exchange) -> bool:
        """Tell what is asked of a route that may be one for all grants."""
        if not self._is_login(exchange):
            return True
        content = await in_memory(exchange, MAX_GRANT)
        if content is None:
            raise GatewayError("invalid-request", detail="The content is too large for a token endpoint.")
        return grant_of(exchange, content) == REFRESH

    async def _login(self, exchange: Exchange, forward: Handler) -> Reply:
        """Forward a login, and begin a family for the refresh token that its answer brings.

        Raises:
            GatewayError: in strict mode `redis-required`, when the family cannot be written down, or surely could not.
        """
        if self._desk.closed:  # where login and refresh are one route, nobody has asked yet
            raise self._desk.redis_required("login: away")
        asked = self._desk.clock.monotonic()
        exchange.headers = readable(exchange.headers)
        reply = await forward(exchange)
        try:
            brought = await self._desk.reader.read(reply)
            if brought.tokens:
                await self._begin(exchange, brought, asked)
            elif 200 <= reply.status < 300 and (brought.unread or brought.user is not None):
                self._desk.emit(NothingBrought("login"))
        except BaseException:
            await reply.body.aclose()
            raise
        return reply

    async def _begin(self, exchange: Exchange, brought: Bringing, asked: float) -> None:
        """Write a login down. Where that fails it is owed; in strict mode it is not delivered."""
        desk, first = self._desk, brought.tokens[0]
        shown = Shown(first, desk.vault.names(first), client_of(exchange))
        owed = login_of_answer(desk, shown, brought, asked)
        lineage, end = owed.deal.lineage, owed.deal.end
        try:
            names = await self._naming(brought.tokens)
            turned = await desk.steps.open(lineage.user, lineage.family, names, shown.client.note, end)
        except StoreUnavailable as away:
            if desk.settings.require_redis:
                desk.note("issue", "redis_required", lineage, shown)
                raise desk.redis_required(f"login: {away.kind}") from None
            desk.arrears.owe(owed)
            desk.note("issue", "uncommitted", lineage, shown, f"uncommitted, Redis: {away.kind}")
            return
        desk.note("issue", "ok", lineage, shown)
        if isinstance(turned, Turned):
            desk.emit(FamiliesAtLogin(turned.count))
            desk.note_evicted(lineage.user, turned.evicted)

    async def _naming(self, tokens: tuple[str, ...]) -> tuple[str, ...]:
        """Return the names to record a login's tokens under: what is known by an older one counts anew there too."""
        naming: dict[str, None] = {}
        for token in tokens:
            first, *older = self._desk.vault.names(token)
            naming[first] = None
            naming.update({name: None for name in older if (await self._desk.steps.look(name)).lineage is not None})
        return tuple(naming)

    async def _logout(self, exchange: Exchange, forward: Handler) -> Reply:
        """End the families of what is presented, and forward: the backend has its own to end.

        Raises:
            GatewayError: `redis-required`, strict or not, when a family could not be ended; the backend was told, and
                the cookies go. `invalid-request` for a token in the URL.
        """
        shown = await self._desk.shown_at_logout(exchange)
        if not shown:
            self._desk.count("logout", "nothing")
        away = await self._end_all(shown)
        reply = await forward(exchange)
        if away is not None:
            await reply.body.aclose()
            raise self._desk.redis_required(f"logout: {away.kind}", forget=True)
        return reply

    async def _end_all(self, shown: list[Shown]) -> StoreUnavailable | None:
        desk = self._desk
        for each in shown:
            try:
                met = (await desk.look(each)).met
                if met.lineage is None:  # from before the gateway: the backend's to end
                    desk.note("logout", "nothing", None, each)
                    continue
                ended = await desk.steps.end(met.lineage, "revoked", met.now)
            except StoreUnavailable as away:
                desk.note("logout", "redis_required", None, each)
                return away
            desk.note("logout", "ok" if ended else "ended", met.lineage, each)
        return None
