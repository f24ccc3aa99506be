"""Strict mode's layer."""

from __future__ import annotations

import pytest

from gateway.availability.layer import AvailabilityLayer
from gateway.errors import GatewayError
from gateway.exchange import Exchange, Reply

REFRESH = Exchange("POST", b"/api/auth/refresh", [(b"Cookie", b"x")], route="POST /api/auth/refresh")
LOGOUT = Exchange("POST", b"/api/auth/logout", [], route="POST /api/auth/logout")
OTHER = Exchange("GET", b"/products", [])


def layer(available: bool) -> AvailabilityLayer:
    return AvailabilityLayer(lambda: available, lambda e: e is not OTHER, passes=lambda e: e is LOGOUT)


async def ok(exchange: Exchange) -> Reply:
    return Reply(200)


async def never(exchange: Exchange) -> Reply:
    raise AssertionError("must not be forwarded")


async def test_a_token_route_is_refused_while_redis_is_away() -> None:
    """503 `redis-required` with Retry-After 2, nothing forwarded and cookies untouched."""
    with pytest.raises(GatewayError) as caught:
        await layer(available=False).handle(REFRESH, never)
    error = caught.value
    assert (error.code, error.status, error.retry_after, error.headers) == ("redis-required", 503, 2.0, [])
    assert "redis" not in error.detail.lower()


@pytest.mark.parametrize(
    ("exchange", "available"), [(OTHER, False), (OTHER, True), (REFRESH, True), (LOGOUT, False), (LOGOUT, True)]
)
async def test_everything_else_is_forwarded_untouched(exchange: Exchange, available: bool) -> None:
    """Other routes never notice an outage; a logout answers for it itself; with Redis there all pass."""
    assert (await layer(available).handle(exchange, ok)).status == 200
