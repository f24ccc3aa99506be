"""The token layer of the configured mode, on Redis.

The one idea: both modes keep their families in the same ledger, so that listing, revoking and the cap are one thing;
who mints decides which layer stands before it.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable
from typing import Any, Protocol

from gateway.clock import SYSTEM, Clock
from gateway.events import Emit, ignore
from gateway.exchange import Exchange, Layer
from gateway.redis_client.client import RedisClient
from gateway.settings import RoutePattern
from gateway.tokens.claims import Mint
from gateway.tokens.guard_layer import GuardLayer
from gateway.tokens.guard_redis import RedisGuard
from gateway.tokens.guard_store import CLAIM_MS, Terms
from gateway.tokens.keys import Keys
from gateway.tokens.layer import TokensLayer
from gateway.tokens.legacy_store import LegacyStore
from gateway.tokens.redis_ledger import RedisLedger
from gateway.tokens.sessions import session_routes
from gateway.tokens.settings import TokenSettings
from gateway.tokens.standstill import Standstill

Matcher = Callable[[Iterable[RoutePattern]], Callable[[Exchange], bool]]


class RunningLayer(Layer, Protocol):
    """A layer with work of its own, for as long as the gateway runs."""

    def run(self) -> Coroutine[Any, Any, None]: ...


def token_layer(
    settings: TokenSettings,
    redis: RedisClient,
    prefix: str,
    keys: Keys,
    standstill: Standstill,
    *,
    loosely: Matcher,
    strictly: Matcher,
    emit: Emit = ignore,
    clock: Clock = SYSTEM,
) -> RunningLayer:
    """Return the layer that answers login, refresh and logout. Long, because it names every collaborator of both modes.

    Args:
        settings: the `tokens:` section.
        redis: where families and tokens are.
        prefix: of every key there.
        keys: those in force, which a reload may change.
        standstill: when time stood still, as this gateway saw it.
        loosely: makes a test that holds when some reading of a target meets a pattern.
        strictly: makes a test that holds when all do.
        emit: who is told what happens.
        clock: this pod's.
    """
    policy, routes, available = settings.policy, settings.routes, lambda: redis.available()
    login, refresh, logout = loosely(routes.login), loosely([routes.refresh]), loosely([routes.logout])
    ledger = RedisLedger(redis, policy, prefix, clock)
    if settings.mode == "guard":
        terms = Terms(policy, CLAIM_MS, lambda: standstill.pauses(clock.monotonic()))
        store = RedisGuard(redis, ledger, terms, prefix)
        return GuardLayer(
            settings,
            keys,
            store,
            login=login,
            refresh=refresh,
            logout=logout,
            emit=emit,
            clock=clock,
            available=available,
        )
    mint = Mint(settings, keys)
    return TokensLayer(
        settings,
        ledger,
        login=login,
        refresh=refresh,
        logout=logout,
        emit=emit,
        clock=clock,
        keys=keys,
        standstill=standstill,
        sessions=session_routes(routes, loosely, strictly),
        available=available,
        old_tokens=LegacyStore(redis, policy, prefix, emit, mint.fingerprint) if settings.legacy is not None else None,
    )
