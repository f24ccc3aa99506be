"""A logout: ends the family of the presented token and makes the client forget.

The one idea: whoever logs out is logged out. A token that is no good is no reason to keep a cookie or to complain; only
a store that cannot be told is. Of duplicate cookies every one ends its family: one left alive would be a session still.
"""

from __future__ import annotations

from gateway.errors import GatewayError, StoreUnavailable
from gateway.exchange import Exchange, Reply
from gateway.tokens.carrier import refuse_query
from gateway.tokens.desk import Desk
from gateway.tokens.dialect import NO_STORE


class LogoutDesk:
    """Ends families at their holder's wish."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def handle(self, exchange: Exchange) -> Reply:
        """Answer a logout with the dialect's status: 204, or 200 as RFC 7009 section 2.2 has it.

        Raises:
            GatewayError: `redis-required`, strict or not, when a family could not be ended; the cookies go anyway.
                `invalid-request` for a token in the URL.
        """
        desk = self._desk
        refuse_query(exchange, desk.dialect)
        cleared = desk.carrier.clear_headers()
        done = Reply(desk.dialect.logged_out, [NO_STORE, *cleared])
        try:
            claims = await desk.claims(exchange, "logout")
        except GatewayError:
            desk.note("logout", "nothing")
            return done
        for claim in claims:
            try:
                ended = await desk.ledger.end(claim.token.login.user, claim.presented, "revoked")
            except StoreUnavailable as away:
                desk.note("logout", "redis_required", claim)
                raise desk.redis_required(f"logout: {away.kind}", cleared) from None
            desk.note("logout", "ok" if ended else "ended", claim)
        return done
