"""A refresh: answered by the gateway alone, from the token and the ledger.

The one idea: only a verdict of the ledger spends or ends anything. A token that is not ours touches no store, and a
store that is away refuses nobody for good.
"""

from __future__ import annotations

from typing import Final

from gateway.errors import GatewayError, StoreUnavailable
from gateway.exchange import Exchange, Reply
from gateway.tokens.desk import Claim, Desk
from gateway.tokens.events import ReuseDetected
from gateway.tokens.ledger import Verdict
from gateway.tokens.rotation import Adopted, Ended, Granted, Reused

_RESULTS: Final = {"invalid-request": "malformed", "invalid-token": "invalid"}


class RefreshDesk:
    """Trades a refresh token for the next pair."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def handle(self, exchange: Exchange) -> Reply:
        """Answer a refresh.

        Raises:
            GatewayError: `invalid-request`, `invalid-token`, or in strict mode `redis-required`.
        """
        desk = self._desk
        try:
            claim = await desk.claim(exchange)
        except GatewayError as error:
            desk.note("refresh", _RESULTS.get(error.code, "malformed"))
            raise
        try:
            verdict = await desk.ledger.refresh(claim.token.login.user, claim.presented, desk.mint.key_id)
        except StoreUnavailable as away:
            return self._without_store(claim, away)
        return self._answered(claim, verdict)

    def _answered(self, claim: Claim, verdict: Verdict) -> Reply:
        desk, token, result = self._desk, claim.token, verdict.result
        name = type(result).__name__.lower()
        user = token.login.user
        outcome = result.reason if isinstance(result, Ended) else name
        desk.note("refresh", name, claim, outcome)
        if isinstance(result, Granted):
            if isinstance(result, Adopted):
                desk.note_evicted(user, result.evicted)
            pair = desk.pair(token.login, token.family, result.family, verdict.now // 1000)
            return desk.carrier.reply(pair)
        if isinstance(result, Reused):
            desk.emit(ReuseDetected(user, token.family, token.generation))
        raise desk.refusal(f"refresh: {name}" if name == outcome else f"refresh: {name} ({outcome})")

    def _without_store(self, claim: Claim, away: StoreUnavailable) -> Reply:
        """Give the presented token back with a fresh access token, judged by this pod's clock; not in strict mode."""
        desk, token = self._desk, claim.token
        if desk.settings.require_redis:
            desk.note("refresh", "redis_required", claim)
            raise desk.redis_required(f"refresh: {away.kind}", []) from None
        now = int(desk.clock.wall())
        if now >= min(token.expires, token.auth_time + desk.policy.session_ttl):
            desk.note("refresh", "expired", claim)
            raise desk.refusal("refresh: expired, by this pod's clock") from None
        desk.note("refresh", "degraded", claim)
        pair = desk.pair_around(claim.text, token.login, token.auth_time, token.expires, now, degraded=True)
        return desk.carrier.reply(pair)
