"""The claims of an access token at a refresh: what the backend says now, said last, or said at the login.

The one idea: a refresh token carries the login's claims from generation to generation, so that it can be minted again
byte for byte; what changes meanwhile goes into the access token only, and is kept beside the user's families for the
refreshes that the backend does not answer.
"""

from __future__ import annotations

import contextlib
import json

from gateway.errors import GatewayError, StoreUnavailable
from gateway.exchange import Exchange, Handler
from gateway.tokens.backend_claims import BackendClaims, Disowned, Given, NotGiven
from gateway.tokens.claims import Login
from gateway.tokens.desk import Claim, Desk
from gateway.tokens.events import ClaimsNotGiven


class Upkeep:
    """Asks the backend when `claims_from` says so."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        settings = desk.settings
        self._backend = BackendClaims(settings.claims_from, settings.identity) if settings.claims_from else None

    async def login(self, claim: Claim, exchange: Exchange, forward: Handler) -> Login:
        """Return the user of a token that is good, with the claims in force.

        Raises:
            GatewayError: `invalid-token`, when the backend disowns the user: the family is ended. In strict mode
                `redis-required`, when it could not be.
        """
        login = claim.token.login
        if self._backend is None:
            return login
        match await self._backend.ask(login.user, exchange, forward):
            case Given(claims):
                with contextlib.suppress(StoreUnavailable):
                    await self._desk.ledger.remember(login.user, json.dumps(claims, separators=(",", ":")))
                return Login(login.user, claims)
            case Disowned(status):
                raise await self._disown(claim, status)
            case NotGiven(reason):
                self._desk.emit(ClaimsNotGiven(reason))
                return await self._last_said(claim)

    async def _disown(self, claim: Claim, status: int) -> GatewayError:
        desk = self._desk
        try:
            await desk.ledger.end(claim.token.login.user, claim.presented, "disowned")
        except StoreUnavailable as away:
            if desk.settings.require_redis:
                desk.note("revoke", "redis_required", claim)
                return desk.redis_required(f"refresh: disowned ({status}), {away.kind}", [])
        desk.note("revoke", "disowned", claim)
        return desk.refusal(f"refresh: disowned ({status})")

    async def _last_said(self, claim: Claim) -> Login:
        """Return the claims that were given last; a login that is younger than they are was the last to give some."""
        login = claim.token.login
        try:
            said = await self._desk.ledger.recall(login.user)
        except StoreUnavailable:
            return login
        if said is None or said.given < claim.token.auth_time:
            return login
        return Login(login.user, json.loads(said.claims))
