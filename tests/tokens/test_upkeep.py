"""`claims_from` through the layer: fresh claims in the access token, the refresh token as it was, on a real server."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import jwt
import pytest

from gateway.errors import GatewayError
from gateway.exchange import Buffered, Exchange, Reply
from gateway.tokens.events import Audit, ClaimsNotGiven, TokenOperation
from gateway.tokens.ledger import Remembered
from tests.support.valkey import ValkeyServer
from tests.tokens.support import (
    KEY,
    SECRET,
    Outcome,
    Portal,
    TimedClient,
    another_gateway,
    away,
    generation,
    on_valkey,
    same,
    state_of,
)

ROUTE = "GET /internal/users/{sub}"


class Users:
    """The backend's internal route: says what it is told to, about everybody."""

    def __init__(self, portal: Portal) -> None:
        self.portal = portal
        self.role = "reader"
        self.status = 200
        self.asked = 0
        self.login = portal.backend.handle
        portal.backend.handle = self.handle  # type: ignore[method-assign]

    async def handle(self, exchange: Exchange) -> Reply:
        if not exchange.target.startswith(b"/internal/users/"):
            return await self.login(exchange)
        self.asked += 1
        if not self.status:
            raise GatewayError("upstream-unreachable")
        content = {"id": exchange.target.rpartition(b"/")[2].decode(), "role": self.role}
        return Reply(self.status, [], Buffered(json.dumps(content).encode()))


@pytest.fixture
def asking(shared_valkey: ValkeyServer) -> Iterator[tuple[Portal, TimedClient, Users]]:
    """Give a portal that asks its backend at each refresh."""
    portal, client = on_valkey(shared_valkey, claims_from=ROUTE)
    yield portal, client, Users(portal)
    client.close()


def claims(outcome: Outcome) -> dict[str, Any]:
    """Return the claims of the access token besides those that every token has."""
    assert outcome.status == 200
    options: Any = {"verify_exp": False, "verify_iat": False}
    payload = jwt.decode(outcome.access, SECRET, ["HS256"], options, audience="backend", issuer="gateway")
    every = ("iss", "aud", "sub", "sid", "iat", "exp", "jti")
    return {name: value for name, value in payload.items() if name not in every}


async def test_a_refresh_brings_what_the_backend_says_now(asking: tuple[Portal, TimedClient, Users]) -> None:
    """given a role that changed, when refreshed, then the access token has the new one alone; a login is not asked."""
    portal, _, users = asking
    first = await portal.login()
    assert claims(first) == {"email": "ann@example.com", "role": "admin"}
    assert users.asked == 0
    second = await portal.refresh(first.token)
    assert claims(second) == {"role": "reader"}
    users.role = "owner"
    assert claims(await portal.refresh(second.token)) == {"role": "owner"}
    assert users.asked == 2


async def test_a_replay_is_the_same_refresh_token_whatever_the_backend_says(
    asking: tuple[Portal, TimedClient, Users],
) -> None:
    """given claims that change between a refresh and its retry, then the refresh tokens are equal byte for byte."""
    portal, _, users = asking
    first = await portal.login()
    second = await portal.refresh(first.token)
    users.role = "owner"
    retried = await portal.refresh(first.token)
    users.status = 500
    again = await portal.refresh(first.token)
    assert same(second, retried, again)
    assert claims(retried) == claims(again) == {"role": "owner"}
    assert portal.read(second.token).login.claims == {"email": "ann@example.com", "role": "admin"}


@pytest.mark.parametrize("status", [0, 500, 401])
async def test_without_an_answer_the_last_claims_stay(asking: tuple[Portal, TimedClient, Users], status: int) -> None:
    """given a backend that gave claims once and then fails, then those are used, on every gateway; else the login's."""
    portal, _, users = asking
    users.status = status
    first = await portal.login()
    second = await portal.refresh(first.token)
    assert claims(second) == {"email": "ann@example.com", "role": "admin"}
    assert portal.reported(ClaimsNotGiven)
    users.status = 200
    third = await portal.refresh(second.token)
    users.status = status
    other = another_gateway(portal, claims_from=ROUTE)
    other.backend.handle = users.handle  # type: ignore[method-assign]
    portal.clock.advance(3600)
    assert claims(await other.refresh(third.token)) == {"role": "reader"}


async def test_a_later_login_was_the_last_to_give_claims(asking: tuple[Portal, TimedClient, Users]) -> None:
    """given claims of a refresh, then a login, then silence, then the login's are used; the other family keeps its."""
    portal, _, users = asking
    old = await portal.login()
    old = await portal.refresh(old.token)
    portal.clock.advance(60)
    new = await portal.login()
    users.status = 500
    assert claims(await portal.refresh(new.token)) == {"email": "ann@example.com", "role": "admin"}
    assert claims(await portal.refresh(old.token)) == {"role": "reader"}


@pytest.mark.parametrize("status", [403, 404, 410])
async def test_a_disowned_user_loses_the_family(asking: tuple[Portal, TimedClient, Users], status: int) -> None:
    """given 403, 404 or 410, then 401, cleared for good, audited as disowned without an alarm; other families wait."""
    portal, _, users = asking
    first, other = await portal.login(), await portal.login()
    users.status = status
    refused = await portal.refresh(first.token)
    assert (refused.status, refused.code) == (401, "invalid-token")
    family, hashed = portal.read(first.token).family, portal.mint.fingerprint(first.token)
    lines = [(line.action, line.outcome, line.token, line.network) for line in portal.reported(Audit)[-2:]]
    assert lines == [("refresh", "rotated", hashed, "192.0.2.0/24"), ("revoke", "disowned", hashed, "192.0.2.0/24")]
    assert portal.reported(Audit)[-1].family == family
    assert portal.reported(TokenOperation)[-1] == TokenOperation("revoke", "disowned")
    users.status = 200
    assert (await portal.refresh(first.token)).status == 401
    assert portal.reported(Audit)[-1].outcome == "disowned"
    assert generation(portal, await portal.refresh(other.token)) == 2


async def test_a_token_that_is_no_good_is_not_asked_about(asking: tuple[Portal, TimedClient, Users]) -> None:
    """Forged, reused or ended: the backend hears of none of them."""
    portal, _, users = asking
    first = await portal.login()
    second = await portal.refresh(first.token)
    portal.clock.advance(31)
    asked = users.asked
    for token in (first.token[:-4] + "AAAA", first.token, second.token):
        assert (await portal.refresh(token)).status == 401
    assert users.asked == asked


async def test_redis_away_does_not_keep_a_disowned_user(asking: tuple[Portal, TimedClient, Users]) -> None:
    """given Redis away, then fresh claims are used all the same, and a disowned user is refused; 503 in strict mode."""
    portal, client, users = asking
    first = await portal.login()
    client.before = away()
    assert claims(await portal.refresh(first.token)) == {"role": "reader", "deg": True}
    users.status = 404
    assert (await portal.refresh(first.token)).status == 401
    client.before = lambda name: away()(name) if name in ("revoke", "claims") else None
    strict = another_gateway(portal, claims_from=ROUTE, require_redis=True)
    strict.backend.handle = users.handle  # type: ignore[method-assign]
    refused = await strict.refresh(first.token)
    assert (refused.status, refused.code) == (503, "redis-required")
    client.before = lambda name: None
    assert (await strict.refresh(first.token)).status == 401


async def test_claims_that_cannot_be_kept_are_used_all_the_same(asking: tuple[Portal, TimedClient, Users]) -> None:
    """given Redis lost after the rotation, then the refresh succeeds with fresh claims, or with the login's."""
    portal, client, users = asking
    first = await portal.login()
    client.before = lambda name: away()(name) if name == "claims" else None
    second = await portal.refresh(first.token)
    assert claims(second) == {"role": "reader"}
    users.status = 500
    assert claims(await portal.refresh(second.token)) == {"email": "ann@example.com", "role": "admin"}


async def test_claims_end_with_the_families(asking: tuple[Portal, TimedClient, Users]) -> None:
    """What the backend said is one field of the user's hash, and expires with it."""
    portal, client, _ = asking
    first = await portal.login()
    await portal.refresh(first.token)
    assert state_of(client)[b"claims"].endswith(b':{"role":"reader"}')
    assert client.redis.ttl(KEY) > 0
    assert await portal.ledger.recall("42") == Remembered(int(portal.clock.now), '{"role":"reader"}')
    client.redis.delete(KEY)
    await portal.ledger.remember("42", "{}")
    assert client.redis.exists(KEY) == 0


async def test_a_slow_answer_does_not_lengthen_the_access_token(asking: tuple[Portal, TimedClient, Users]) -> None:
    """given an answer after two seconds, then `expiresIn` counts from when the client gets it."""
    portal, _, users = asking
    first = await portal.login()
    handle = users.handle

    async def slow(exchange: Exchange) -> Reply:
        portal.clock.advance(2)
        return await handle(exchange)

    portal.backend.handle = slow  # type: ignore[method-assign]
    second = await portal.refresh(first.token)
    payload = jwt.decode(second.access, options={"verify_signature": False})
    assert payload["exp"] - second.json["expiresIn"] == portal.clock.now
    assert payload["iat"] == portal.clock.now
