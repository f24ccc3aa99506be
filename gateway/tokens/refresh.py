"""A refresh: answered by the gateway alone, from the token and the ledger.

The one idea: only a verdict of the ledger spends or ends anything. A token that is not ours touches no store, and a
store that is away refuses nobody for good.
"""

from __future__ import annotations

from typing import Final

from gateway.errors import GatewayError, StoreUnavailable
from gateway.exchange import Exchange, Handler, Reply
from gateway.tokens.desk import Claim, Desk
from gateway.tokens.duplicates import chosen
from gateway.tokens.events import ReuseDetected
from gateway.tokens.ledger import Verdict
from gateway.tokens.legacy import judge
from gateway.tokens.rotation import Adopted, Ended, Granted, Reused, Rotated, Unknown
from gateway.tokens.upkeep import Upkeep

_RESULTS: Final = {"invalid-request": "malformed", "invalid-token": "invalid"}


class RefreshDesk:
    """Trades a refresh token for the next pair."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._upkeep = Upkeep(desk)

    async def handle(self, exchange: Exchange, forward: Handler) -> Reply:
        """Answer a refresh; `forward` leads to the backend, for what it says of the user.

        Raises:
            GatewayError: `invalid-request`, `invalid-token`, `too-many-attempts`, or in strict mode `redis-required`.
        """
        desk = self._desk
        try:
            claims = await desk.claims(exchange)
        except GatewayError as error:
            if desk.closed:  # an outage is told before anything is said of a token
                raise desk.redis_required("refresh: away", []) from None
            desk.note("refresh", _RESULTS.get(error.code, "malformed"))
            if error.code == "invalid-token":
                raise desk.failed(exchange, error) from None
            raise
        claim, asked = claims[0], desk.clock.monotonic()
        try:
            claim = await chosen(desk, claims)
            verdict = await self._decided(claim)
        except StoreUnavailable as away:
            desk.promises.make(claim.token.login.user, claim.presented, asked)
            return await self._without_store(exchange, forward, claim, away)
        return await self._answered(exchange, forward, claim, verdict)

    async def _decided(self, claim: Claim) -> Verdict:
        desk, user = self._desk, claim.token.login.user
        presented = desk.promises.now(user, claim.presented)
        if claim.old is None:
            verdict = await desk.ledger.refresh(user, presented, desk.mint.key_id)
        elif desk.old_tokens is not None:
            verdict = await judge(desk.ledger, desk.old_tokens, user, presented, claim.old, desk.mint.key_id)
        else:
            verdict = Verdict(Unknown(), 0)
        desk.promises.judged(user, presented, verdict, desk.policy.grace_ms)
        return verdict

    async def _answered(self, exchange: Exchange, forward: Handler, claim: Claim, verdict: Verdict) -> Reply:
        desk, token, result = self._desk, claim.token, verdict.result
        name = type(result).__name__.lower()
        user = token.login.user
        outcome = result.reason if isinstance(result, Ended) else name
        if claim.old is not None and isinstance(result, Rotated):
            outcome = "upgraded"
        desk.note("refresh", name, claim, outcome)
        if isinstance(result, Granted):
            if isinstance(result, Adopted):
                desk.note_evicted(user, result.evicted)
            started = desk.clock.monotonic()
            current = await self._upkeep.login(claim, exchange, forward)
            now = verdict.now // 1000 + int(desk.clock.monotonic() - started)
            pair = desk.pair(token.login, token.family, result.family, now, current=current)
            return desk.carrier.reply(pair)
        if isinstance(result, Reused):
            desk.emit(ReuseDetected(user, token.family, token.generation))
        refusal = desk.refusal(f"refresh: {name}" if name == outcome else f"refresh: {name} ({outcome})")
        raise desk.failed(exchange, refusal, known=True) if isinstance(result, Unknown) else refusal

    async def _without_store(self, exchange: Exchange, forward: Handler, claim: Claim, away: StoreUnavailable) -> Reply:
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
        current = await self._upkeep.login(claim, exchange, forward)
        now = int(desk.clock.wall())
        times = (token.auth_time, token.expires, now)
        pair = desk.pair_around(claim.text, current, *times, family=token.family, degraded=True)
        return desk.carrier.reply(pair)
