"""The cases that refresh-token rotation must hold, each by its number: through the layer, on a real server.

Time is the test's (see `TimedClient`), so that grace and lifetimes are crossed to the millisecond.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import jwt
import pytest

from gateway.errors import GatewayError, StoreUnavailable
from gateway.exchange import Buffered, Exchange, header
from gateway.tokens.events import Audit, ExcessFamiliesCleaned, ReuseDetected, TokenOperation
from gateway.tokens.redis_ledger import RedisLedger
from tests.support.valkey import ValkeyServer
from tests.tokens.support import (
    START,
    AwayLedger,
    Outcome,
    Portal,
    SetClock,
    TimedClient,
    away,
    on_valkey,
    records_of,
    token_settings,
)
from tests.tokens.test_redis_ledger import connect

KEY = "gw:t:{42}"


@pytest.fixture
def stage(shared_valkey: ValkeyServer) -> Iterator[tuple[Portal, TimedClient]]:
    """Give a portal whose families are in the session's server, and its client."""
    portal, client = on_valkey(shared_valkey)
    yield portal, client
    client.close()


def _another_gateway(portal: Portal, **changes: Any) -> Portal:
    """Return a second replica on the same ledger, with nothing of the first one's memory."""
    return Portal(portal.ledger, portal.clock, **changes)


def _generation(portal: Portal, outcome: Outcome) -> int:
    assert outcome.status == 200
    return portal.read(outcome.token).generation


def _same(*outcomes: Outcome) -> bool:
    return len({outcome.token for outcome in outcomes}) == 1


def _state(client: TimedClient) -> Any:
    return client.redis.hgetall(KEY)


async def test_case_01_a_valid_token_has_a_successor(stage: tuple[Portal, TimedClient]) -> None:
    """given a valid token / when it is refreshed / then a successor comes, and the predecessor is spent."""
    portal, _ = stage
    first = await portal.login()
    second = await portal.refresh(first.token)
    assert _generation(portal, second) == 2
    portal.clock.advance(31)
    assert (await portal.refresh(first.token)).status == 401


async def test_case_02_a_hundred_parallel_on_three_gateways(shared_valkey: ValkeyServer) -> None:
    """given one token / when three gateways refresh it a hundred times at once / then all get one successor."""
    clients = [connect(shared_valkey) for _ in range(3)]
    portals = [Portal(RedisLedger(client, token_settings().policy), SetClock()) for client in clients]
    first = await portals[0].login()
    outcomes = await asyncio.gather(*(portals[index % 3].refresh(first.token) for index in range(100)))
    assert {outcome.status for outcome in outcomes} == {200}
    assert _same(*outcomes)
    assert _generation(portals[0], outcomes[0]) == 2
    results = [event.result for portal in portals for event in portal.reported(TokenOperation)]
    assert (results.count("rotated"), results.count("replayed")) == (1, 99)
    for client in clients:
        await client.aclose()


async def test_case_03_a_lost_response_costs_nothing(stage: tuple[Portal, TimedClient]) -> None:
    """given a response that was dropped / when the client retries in grace / then it gets the same bytes."""
    portal, _ = stage
    first = await portal.login()
    lost = await portal.refresh(first.token)
    portal.clock.advance(30)
    retried = await portal.refresh(first.token)
    assert _same(lost, retried)
    assert (lost.access != retried.access) is True
    assert portal.reported(TokenOperation)[-1] == TokenOperation("refresh", "replayed")


async def test_case_04_a_millisecond_past_grace(stage: tuple[Portal, TimedClient]) -> None:
    """given a spent token / when it comes 1 ms past its grace / then the family is revoked and audited."""
    portal, _ = stage
    first = await portal.login()
    second = await portal.refresh(first.token)
    portal.clock.advance(30.001)
    assert (await portal.refresh(first.token)).status == 401
    assert (await portal.refresh(second.token)).status == 401
    family = portal.read(first.token).family
    assert portal.reported(ReuseDetected) == [ReuseDetected("42", family, 1)]
    assert [line.outcome for line in portal.reported(Audit)] == ["ok", "rotated", "reused", "reused"]


async def test_case_05_an_old_generation_in_grace(stage: tuple[Portal, TimedClient]) -> None:
    """given R1 to R2 to R3 / when R1 is replayed in grace / then the family is revoked."""
    portal, _ = stage
    first = await portal.login()
    third = await portal.refresh((await portal.refresh(first.token)).token)
    assert (await portal.refresh(first.token)).status == 401
    assert (await portal.refresh(third.token)).status == 401


async def test_case_06_the_parent_of_a_used_successor(stage: tuple[Portal, TimedClient]) -> None:
    """given a successor that was used in the same millisecond / when its parent is replayed / then it is reuse."""
    portal, _ = stage
    first = await portal.login()
    second = await portal.refresh(first.token)
    assert _same(second, await portal.refresh(first.token))
    third = await portal.refresh(second.token)
    assert (await portal.refresh(first.token)).status == 401
    assert len(portal.reported(ReuseDetected)) == 1
    assert (await portal.refresh(third.token)).status == 401


async def test_case_07_retries_do_not_extend_grace(stage: tuple[Portal, TimedClient]) -> None:
    """given retries all through the grace / when its deadline passes / then it has not moved."""
    portal, _ = stage
    first = await portal.login()
    second = await portal.refresh(first.token)
    for _ in range(3):
        portal.clock.advance(10)
        assert _same(second, await portal.refresh(first.token))
    portal.clock.advance(0.001)
    assert (await portal.refresh(first.token)).status == 401


async def test_case_08_two_rotations_in_one_second(stage: tuple[Portal, TimedClient]) -> None:
    """given two rotations within one second / when the first token is replayed / then it is detected."""
    portal, _ = stage
    portal.clock.advance(0.2)
    first = await portal.login()
    portal.clock.advance(0.2)
    second = await portal.refresh(first.token)
    portal.clock.advance(0.2)
    third = await portal.refresh(second.token)
    assert portal.read(second.token).issued_at == portal.read(third.token).issued_at
    assert (await portal.refresh(first.token)).status == 401
    assert len(portal.reported(ReuseDetected)) == 1


async def test_case_09_a_wrong_signature(stage: tuple[Portal, TimedClient]) -> None:
    """given the right family / when it comes with a wrong signature / then 401, no script ran, the family is whole."""
    portal, client = stage
    first = await portal.login()
    before, sent = _state(client), len(client.sent)
    head, payload, signature = first.token.split(".")
    for forged in ("A" * 43, signature[::-1], ""):
        assert (await portal.refresh(f"{head}.{payload}.{forged}")).status == 401
    assert (_state(client), len(client.sent)) == (before, sent)
    assert _generation(portal, await portal.refresh(first.token)) == 2


async def test_case_10_tokens_of_other_making(stage: tuple[Portal, TimedClient]) -> None:
    """given other issuer, audience, algorithm or kind / when refreshed / then 401, nothing burned."""
    portal, client = stage
    first = await portal.login()
    payload = jwt.decode(first.token, options={"verify_signature": False})
    secret, headers = portal.mint._refresh_secret, jwt.get_unverified_header(first.token)
    public = "MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEA"
    before, sent = _state(client), len(client.sent)
    forged = [
        jwt.encode({**payload, "iss": "other"}, secret, "HS256", headers),
        jwt.encode({**payload, "aud": "backend"}, secret, "HS256", headers),
        jwt.encode(payload, None, "none", {**headers, "alg": "none"}),
        jwt.encode(payload, public, "HS256", headers),
        first.access,
    ]
    for token in forged:
        outcome = await portal.refresh(token)
        assert (outcome.status, outcome.code) == (401, "invalid-token")
    assert (_state(client), len(client.sent)) == (before, sent)


async def test_case_11_thief_first_victim_second(stage: tuple[Portal, TimedClient]) -> None:
    """given a stolen token / when the thief refreshes first and the victim later / then the family is dead for both."""
    portal, _ = stage
    stolen, other = await portal.login(), await portal.login()
    thief = await portal.refresh(stolen.token)
    portal.clock.advance(60)
    assert (await portal.refresh(stolen.token)).status == 401
    assert (await portal.refresh(thief.token)).status == 401
    assert _generation(portal, await portal.refresh(other.token)) == 2


async def test_case_13_the_eleventh_login(stage: tuple[Portal, TimedClient]) -> None:
    """given ten families / when an eleventh begins / then the oldest is out, exactly ten are left."""
    portal, client = stage
    logins = []
    for _ in range(11):
        portal.clock.advance(1)
        logins.append(await portal.login())
    oldest = portal.read(logins[0].token).family
    assert portal.reported(ExcessFamiliesCleaned) == [ExcessFamiliesCleaned("42", (oldest,))]
    assert sum(hasattr(record, "generation") for record in records_of(client.redis, KEY).values()) == 10
    assert Audit("evict", "evicted", "42", oldest) in portal.reported(Audit)


async def test_case_14_fifty_parallel_logins(shared_valkey: ValkeyServer) -> None:
    """given one user / when fifty logins come at once / then there are never over ten families."""
    client = connect(shared_valkey)
    portal = Portal(RedisLedger(client, token_settings().policy), SetClock())
    await asyncio.gather(*(portal.login() for _ in range(50)))
    values = shared_valkey.command("HVALS", KEY)
    assert sum(value.startswith(b"L:") for value in values) == 10
    assert sum(len(event.families) for event in portal.reported(ExcessFamiliesCleaned)) == 40
    await client.aclose()


async def test_case_15_a_rotation_evicts_nobody(stage: tuple[Portal, TimedClient]) -> None:
    """given ten families / when one rotates / then none is evicted."""
    portal, _ = stage
    logins = [await portal.login() for _ in range(10)]
    assert _generation(portal, await portal.refresh(logins[0].token)) == 2
    assert portal.reported(ExcessFamiliesCleaned) == []
    for login in logins[1:]:
        assert _generation(portal, await portal.refresh(login.token)) == 2


async def test_case_16_an_evicted_token_is_no_theft(stage: tuple[Portal, TimedClient]) -> None:
    """given an evicted family / when its token comes / then 401, the refusal names the eviction, no theft alarm."""
    portal, _ = stage
    logins = []
    for _ in range(11):
        portal.clock.advance(1)
        logins.append(await portal.login())
    with pytest.raises(GatewayError) as refused:
        await portal.layer.handle(portal.request(b"/refresh", logins[0].token), portal.backend.handle)
    assert (refused.value.status, refused.value.private) == (401, "refresh: ended (evicted)")
    assert portal.reported(Audit)[-1].outcome == "evicted"
    assert portal.reported(ReuseDetected) == []


async def test_case_17_near_the_absolute_end(stage: tuple[Portal, TimedClient]) -> None:
    """given a session near its absolute end / when it rotates / then it is not extended."""
    portal, _ = stage
    outcome = await portal.login()
    for _ in range(29 // 5):
        portal.clock.advance(5 * 86_400)
        outcome = await portal.refresh(outcome.token)
    portal.clock.advance(4 * 86_400)
    outcome = await portal.refresh(outcome.token)
    assert portal.read(outcome.token).expires == START + 30 * 86_400
    portal.clock.advance(86_400)
    assert (await portal.refresh(outcome.token)).status == 401


async def test_case_18_idle_too_long(stage: tuple[Portal, TimedClient]) -> None:
    """given a token past its idle time / when it comes / then 401, and no family is revoked for it."""
    portal, client = stage
    idle, other = await portal.login(), await portal.login()
    portal.clock.advance(4 * 86_400)
    other = await portal.refresh(other.token)
    portal.clock.advance(3 * 86_400)
    before = _state(client)
    assert (await portal.refresh(idle.token)).status == 401
    assert _state(client) == before
    assert portal.reported(TokenOperation)[-1] == TokenOperation("refresh", "expired")
    assert (await portal.refresh(other.token)).status == 200


async def test_case_19_redis_away_in_strict_mode(stage: tuple[Portal, TimedClient]) -> None:
    """given strict mode / when Redis is away / then 503 with Retry-After, no Set-Cookie, the token stays good."""
    portal, client = stage
    strict = _another_gateway(portal, require_redis=True, carrier="cookie")
    first = await strict.login()
    client.before = away()
    with pytest.raises(GatewayError) as refused:
        await strict.layer.handle(strict.request(b"/refresh", first.token), strict.backend.handle)
    error = refused.value
    assert (error.status, error.code, error.retry_after) == (503, "redis-required", 2)
    assert header(error.headers, b"set-cookie") is None
    login = await strict.login()
    assert (login.status, login.code, login.cookies) == (503, "redis-required", {})
    client.before = lambda name: None
    assert _generation(strict, await strict.refresh(first.token)) == 2


async def test_case_20_a_timeout_after_the_commit(stage: tuple[Portal, TimedClient]) -> None:
    """given strict mode and a script whose answer was lost / when the client retries / then the same successor."""
    portal, client = stage
    strict = _another_gateway(portal, require_redis=True)
    first = await strict.login()
    client.after = away("timeout")
    assert (await strict.refresh(first.token)).status == 503
    committed = records_of(client.redis, KEY)
    client.after = lambda name: None
    portal.clock.advance(2)
    second = await strict.refresh(first.token)
    assert _generation(strict, second) == 2
    assert records_of(client.redis, KEY) == committed
    assert strict.read(second.token).issued_at == START


async def test_case_21_a_gateway_killed_before_it_answered(stage: tuple[Portal, TimedClient]) -> None:
    """given a gateway that died between script and answer / when another is asked / then the same successor."""
    portal, _ = stage
    first = await portal.login()
    lost = await portal.refresh(first.token)  # its bytes are what the dead gateway would have sent
    portal.clock.advance(5)
    assert _same(lost, await _another_gateway(portal).refresh(first.token))


@pytest.mark.parametrize("kind", ["readonly", "loading", "oom", "connection", "timeout", "auth", "other", "away"])
async def test_case_22_redis_in_trouble_is_never_a_401(kind: str) -> None:
    """given any failure of Redis / when a token comes / then 503 in strict mode, else a degraded pair: never 401."""
    token = (await Portal(AwayLedger(), SetClock()).login()).token
    assert (await Portal(AwayLedger(kind), SetClock(), require_redis=True).refresh(token)).status == 503
    assert (await Portal(AwayLedger(kind), SetClock()).refresh(token)).status == 200


async def test_case_22_a_real_server_in_trouble(valkey: ValkeyServer) -> None:
    """given NOSCRIPT, then OOM, then READONLY from a server / when tokens come / then success or 503, never 401."""
    client = connect(valkey, 2.0)
    portal = Portal(RedisLedger(client, token_settings().policy), SetClock(), require_redis=True)
    first = await portal.login()
    valkey.command("SCRIPT", "FLUSH")
    second = await portal.refresh(first.token)
    assert _generation(portal, second) == 2
    valkey.command("CONFIG", "SET", "maxmemory", "1")
    assert (await portal.refresh(second.token)).status == 503
    valkey.command("CONFIG", "SET", "maxmemory", "0")
    valkey.command("REPLICAOF", "127.0.0.1", "1")
    assert (await portal.refresh(second.token)).status == 503
    valkey.command("REPLICAOF", "NO", "ONE")
    assert _generation(portal, await portal.refresh(second.token)) == 3
    await client.aclose()


async def test_case_23_a_failover_that_lost_a_rotation(stage: tuple[Portal, TimedClient]) -> None:
    """given a failover that lost a rotation / when the newer generation comes / then it is healed, no alarm."""
    portal, client = stage
    first = await portal.login()
    replica = _state(client)
    second = await portal.refresh(first.token)
    client.redis.hset(KEY, mapping=replica)
    portal.clock.advance(600)
    third = await portal.refresh(second.token)
    assert _generation(portal, third) == 3
    assert portal.reported(TokenOperation)[-1] == TokenOperation("refresh", "healed")
    assert portal.reported(Audit)[-1].outcome == "healed"
    assert portal.reported(ReuseDetected) == []
    assert _generation(portal, await portal.refresh(third.token)) == 4


async def test_case_23_a_failover_that_lost_a_login(stage: tuple[Portal, TimedClient]) -> None:
    """given a failover that lost a login of a minute ago / when its token comes / then it is adopted."""
    portal, client = stage
    first = await portal.login()
    client.redis.delete(KEY)
    portal.clock.advance(60)
    assert _generation(portal, await portal.refresh(first.token)) == 2
    assert portal.reported(Audit)[-1].outcome == "adopted"


async def test_case_25_a_client_that_disconnects(stage: tuple[Portal, TimedClient]) -> None:
    """given a client gone while its refresh was decided / when it comes again / then the state is whole."""
    portal, client = stage
    first = await portal.login()

    def disconnect(name: str) -> None:
        raise asyncio.CancelledError

    client.after = disconnect
    with pytest.raises(asyncio.CancelledError):
        await portal.refresh(first.token)
    client.after = lambda name: None
    second = await portal.refresh(first.token)
    assert _generation(portal, second) == 2
    assert _generation(portal, await portal.refresh(second.token)) == 3


@pytest.mark.parametrize("minutes", [-5, 5])
async def test_case_26_clocks_of_pods_do_not_matter(stage: tuple[Portal, TimedClient], minutes: int) -> None:
    """given a pod whose clock is five minutes off / when it mints and judges / then by Redis's clock."""
    portal, _ = stage
    off = Portal(portal.ledger, SetClock(START + minutes * 60))
    first = await off.login()
    second = await portal.refresh(first.token)
    portal.clock.advance(30)
    assert _same(second, await off.refresh(first.token))
    assert off.read(second.token).issued_at == START


async def test_case_27_every_script_has_one_key(stage: tuple[Portal, TimedClient]) -> None:
    """given every operation / when its scripts run / then each names exactly one key, so no CROSSSLOT can arise."""
    portal, client = stage
    first = await portal.login()
    await portal.refresh(first.token)
    client.redis.delete(KEY)
    portal.clock.advance(3600)
    await portal.refresh(first.token)
    await portal.logout(first.token)
    assert {name for name, _ in client.sent} == {"birth", "issue", "rotate", "revoke"}
    assert {keys for _, keys in client.sent} == {(KEY,), ("gw:t:birth",)}


async def test_case_33_duplicate_cookies(stage: tuple[Portal, TimedClient]) -> None:
    """given several cookies of the name / when refreshed / then the newest of ours counts, wherever it stands."""
    portal = _another_gateway(stage[0], carrier="cookie")
    old = (await portal.login()).token
    portal.clock.advance(60)
    new = (await portal.login()).token
    newest = portal.read(new).family
    for order in ([old, new, "junk"], ["junk", new, old]):
        line = "; ".join(f"refresh_token={token}" for token in order).encode()
        outcome = await portal.send(Exchange("POST", b"/refresh", [(b"Cookie", line)]))
        assert portal.read(outcome.token).family == newest
    assert _generation(portal, await portal.refresh(old)) == 2


@pytest.mark.parametrize(
    "token",
    ["x" * 9000, "a.b.c\x00", "a.b.c\r\nSet-Cookie: x=1", "{}", "", {}, [], ["a.b.c"], 5, True, None, "gw:t:{42}"],
    ids=range(12),
)
async def test_case_35_what_is_no_token(stage: tuple[Portal, TimedClient], token: object) -> None:
    """given oversized, NUL, CRLF, an object, array or number as token / then 400, no key and no trail of it."""
    portal, client = stage
    outcome = await portal.refresh(token)
    assert (outcome.status, outcome.code) == (400, "invalid-request")
    assert client.sent == []
    assert portal.events == [TokenOperation("refresh", "malformed")]


@pytest.mark.parametrize("carrier", ["json", "cookie"])
async def test_case_36_a_token_in_the_query(stage: tuple[Portal, TimedClient], carrier: str) -> None:
    """given a token in the query string / when refreshed or logged out / then refused, unspent, in no event."""
    portal = _another_gateway(stage[0], carrier=carrier)
    token = (await portal.login()).token
    for path in (b"/refresh?refreshToken=", b"/logout?a=b&refresh_token="):
        exchange = portal.request(path + token.encode(), token)
        assert (await portal.send(exchange)).status == 400
    assert (token in repr(portal.events)) is False
    assert _generation(portal, await portal.refresh(token)) == 2


@pytest.mark.parametrize("token", ["unknown", "forged", "missing", "junk"])
@pytest.mark.parametrize("carrier", ["json", "cookie"])
async def test_case_37_a_logout_without_a_good_token(
    stage: tuple[Portal, TimedClient], token: str, carrier: str
) -> None:
    """given an unknown, forged or missing token / when it logs out / then 204, and cookies are cleared."""
    portal = _another_gateway(stage[0], carrier=carrier)
    good = (await portal.login()).token
    stage[1].redis.flushall()
    presented = {"unknown": good, "forged": good[:-4] + "AAAA", "missing": "", "junk": "a\x00b"}[token]
    outcome = await portal.logout(presented)
    assert outcome.status == 204
    assert len(outcome.cookies) == (2 if carrier == "cookie" else 0)


async def test_case_37_a_logout_of_an_unknown_family_is_kept(stage: tuple[Portal, TimedClient]) -> None:
    """given an empty restart / when a user logs out and the token comes again / then it is not adopted."""
    portal, client = stage
    first = await portal.login()
    client.redis.flushall()
    assert (await portal.logout(first.token)).status == 204
    assert (await portal.refresh(first.token)).status == 401


@pytest.mark.parametrize("carrier", ["json", "cookie"])
async def test_case_38_no_store(stage: tuple[Portal, TimedClient], carrier: str) -> None:
    """given login, refresh, replay and logout / when they answer / then none may be kept by a cache."""
    portal = _another_gateway(stage[0], carrier=carrier)
    first = await portal.login()
    answers = [first, await portal.refresh(first.token), await portal.refresh(first.token)]
    answers.append(await portal.logout(first.token))
    assert [answer.header(b"cache-control") for answer in answers] == [b"no-store"] * 4


async def test_case_39_a_degraded_login(stage: tuple[Portal, TimedClient]) -> None:
    """given a login while Redis was away / when Redis is back / then it is adopted once, a second holder is reuse."""
    portal, client = stage
    client.before = away()
    first = await portal.login()
    assert portal.read(first.token).degraded
    portal.clock.advance(3600)
    kept = await portal.refresh(first.token)
    assert (kept.token == first.token) is True
    client.before = lambda name: None
    await portal.login("somebody")
    portal.clock.advance(3600)
    second = await portal.refresh(first.token)
    assert _generation(portal, second) == 2
    assert not portal.read(second.token).degraded
    assert portal.reported(Audit)[-1].outcome == "adopted"
    assert _same(second, await portal.refresh(first.token))
    portal.clock.advance(31)
    assert (await portal.refresh(first.token)).status == 401
    assert len(portal.reported(ReuseDetected)) == 1


async def test_an_empty_restart_logs_nobody_out(stage: tuple[Portal, TimedClient]) -> None:
    """given ten users / when Redis restarts empty and they come hours later / then all go on, and reuse is caught."""
    portal, client = stage
    tokens = [(await portal.login(number)).token for number in range(10)]
    portal.clock.advance(3600)
    client.redis.flushall()
    await portal.login("first to come")
    portal.clock.advance(3600)
    successors = [await portal.refresh(token) for token in tokens]
    assert [_generation(portal, successor) for successor in successors] == [2] * 10
    assert portal.reported(ReuseDetected) == []
    portal.clock.advance(31)
    assert (await portal.refresh(tokens[0])).status == 401
    assert (await portal.refresh(successors[0].token)).status == 401


async def test_an_ambiguous_login_is_one_family(stage: tuple[Portal, TimedClient]) -> None:
    """given a login whose script ran but whose answer was lost / when refreshed / then its one family rotates."""
    portal, client = stage
    client.after = lambda name: away("timeout")(name) if name == "issue" else None
    first = await portal.login()
    client.after = lambda name: None
    assert _generation(portal, await portal.refresh(first.token)) == 2
    assert portal.reported(TokenOperation)[-1] == TokenOperation("refresh", "rotated")
    assert len(records_of(client.redis, KEY)) == 1


async def test_a_body_is_needed_for_nothing_in_cookie_mode(stage: tuple[Portal, TimedClient]) -> None:
    """given a token in the body only / when cookies are configured / then it counts as missing."""
    portal = _another_gateway(stage[0], carrier="cookie")
    token = (await portal.login()).token
    body = Buffered(b'{"refreshToken":"' + token.encode() + b'"}')
    assert (await portal.send(Exchange("POST", b"/refresh", [], body))).status == 400


def test_the_away_hook_fails_scripts() -> None:
    """The tests' own stand-in for an outage raises what the real client raises."""
    with pytest.raises(StoreUnavailable):
        away()("rotate")
