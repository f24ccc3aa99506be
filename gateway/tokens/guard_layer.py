"""The token layer of `mode: guard`: the backend mints, refreshes are claimed, logins and logouts are followed.

The one idea: the backend's answers pass as they are. What the gateway adds is that a refresh reaches the backend once,
that its answer is not lost, and that a family which has ended stays so.
"""

from __future__ import annotations

from gateway.clock import SYSTEM, Clock
from gateway.errors import GatewayError, StoreUnavailable
from gateway.events import Emit, ignore
from gateway.exchange import Exchange, Handler, Reply
from gateway.tokens.carrier import refuse_query
from gateway.tokens.claims import new_family
from gateway.tokens.client import client_of
from gateway.tokens.dialect import dialect_of
from gateway.tokens.events import FamiliesAtLogin
from gateway.tokens.guard import Lineage, Turned
from gateway.tokens.guard_answer import Bringing, user_in
from gateway.tokens.guard_desk import GuardDesk, Shown, readable
from gateway.tokens.guard_refresh import COMMIT_SECONDS, FORWARD_SECONDS, GuardRefresh
from gateway.tokens.guard_shelter import Shelter
from gateway.tokens.guard_store import GuardStore
from gateway.tokens.keys import Keys
from gateway.tokens.layer import Matches
from gateway.tokens.settings import TokenSettings

CLAIM_MS = round(1000 * (FORWARD_SECONDS + COMMIT_SECONDS))
"""Life of a claim, for the store's `Terms`."""


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
        forward_seconds: float = FORWARD_SECONDS,
    ) -> None:
        desk = self._desk = GuardDesk(settings, keys, store, emit, clock)
        self._is_login, self._is_refresh, self._is_logout = login, refresh, logout
        self._shelter = Shelter()
        self._refresh = GuardRefresh(desk, self._shelter, forward_seconds)
        self._dialect = dialect_of(settings.dialect)

    async def run(self) -> None:
        """Give refreshes a home until cancelled."""
        await self._shelter.run()

    async def handle(self, exchange: Exchange, forward: Handler) -> Reply:
        """Forward, or answer in the backend's place.

        Raises:
            GatewayError: `invalid-request`, `invalid-token`, `redis-required`; for a refresh that the backend does not
                answer `upstream-timeout`, `upstream-unreachable`.
        """
        if self._is_refresh(exchange):
            return await self._refresh.handle(exchange, forward)
        if self._is_logout(exchange):
            return await self._logout(exchange, forward)
        if self._is_login(exchange):
            return await self._login(exchange, forward)
        return await forward(exchange)

    async def _login(self, exchange: Exchange, forward: Handler) -> Reply:
        """Forward a login, and begin a family for the refresh token that its answer brings."""
        exchange.headers = readable(exchange.headers)
        reply = await forward(exchange)
        try:
            brought = await self._desk.reader.read(reply)
            if brought.tokens:
                await self._begin(exchange, brought)
        except BaseException:
            await reply.body.aclose()
            raise
        return reply

    async def _begin(self, exchange: Exchange, brought: Bringing) -> None:
        """Write a login down. Where that fails it is one from before the gateway, and its first refresh is learned."""
        desk, client, family = self._desk, client_of(exchange), new_family()
        user = brought.user or next(filter(None, map(user_in, brought.tokens)), family)
        lineage = Lineage(user, family, 0)
        try:
            names = await self._naming(brought.tokens)
            turned = await desk.steps.open(user, family, names, client.note)
        except StoreUnavailable as away:
            desk.note("issue", "uncommitted", lineage, client, f"uncommitted, Redis: {away.kind}")
            return
        desk.note("issue", "ok", lineage, client)
        if isinstance(turned, Turned):
            desk.emit(FamiliesAtLogin(turned.count))
            desk.note_evicted(user, turned.evicted)

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
        refuse_query(exchange, self._dialect)
        try:
            shown = await self._desk.shown(exchange, "logout")
        except GatewayError:
            shown = []
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
