"""Cases 19 to 27 and 39: Redis in trouble, emptied or behind, through the layer on a real server."""

from __future__ import annotations

import asyncio

import pytest

from gateway.errors import GatewayError
from gateway.exchange import header
from gateway.tokens.events import Audit, ReuseDetected, TokenOperation
from gateway.tokens.redis_ledger import RedisLedger
from tests.support.valkey import ValkeyServer
from tests.tokens.support import (
    KEY,
    START,
    AwayLedger,
    Portal,
    SetClock,
    TimedClient,
    another_gateway,
    away,
    connect,
    generation,
    records_of,
    same,
    state_of,
    token_settings,
)


async def test_case_19_redis_away_in_strict_mode(stage: tuple[Portal, TimedClient]) -> None:
    """given strict mode / when Redis is away / then 503 with Retry-After, no Set-Cookie, the token stays good."""
    portal, client = stage
    strict = another_gateway(portal, require_redis=True, carrier="cookie")
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
    assert generation(strict, await strict.refresh(first.token)) == 2


async def test_case_20_a_timeout_after_the_commit(stage: tuple[Portal, TimedClient]) -> None:
    """given strict mode and a script whose answer was lost / when the client retries / then the same successor."""
    portal, client = stage
    strict = another_gateway(portal, require_redis=True)
    first = await strict.login()
    client.after = away("timeout")
    assert (await strict.refresh(first.token)).status == 503
    committed = records_of(client.redis, KEY)
    client.after = lambda name: None
    portal.clock.advance(2)
    second = await strict.refresh(first.token)
    assert generation(strict, second) == 2
    assert records_of(client.redis, KEY) == committed
    assert strict.read(second.token).issued_at == START


async def test_case_21_a_gateway_killed_before_it_answered(stage: tuple[Portal, TimedClient]) -> None:
    """given a gateway that died between script and answer / when another is asked / then the same successor."""
    portal, _ = stage
    first = await portal.login()
    lost = await portal.refresh(first.token)  # its bytes are what the dead gateway would have sent
    portal.clock.advance(5)
    assert same(lost, await another_gateway(portal).refresh(first.token))


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
    assert generation(portal, second) == 2
    valkey.command("CONFIG", "SET", "maxmemory", "1")
    assert (await portal.refresh(second.token)).status == 503
    valkey.command("CONFIG", "SET", "maxmemory", "0")
    valkey.command("REPLICAOF", "127.0.0.1", "1")
    assert (await portal.refresh(second.token)).status == 503
    valkey.command("REPLICAOF", "NO", "ONE")
    assert generation(portal, await portal.refresh(second.token)) == 3
    await client.aclose()


async def test_case_23_a_failover_that_lost_a_rotation(stage: tuple[Portal, TimedClient]) -> None:
    """given a failover that lost a rotation / when the newer generation comes / then it is healed, no alarm."""
    portal, client = stage
    first = await portal.login()
    replica = state_of(client)
    second = await portal.refresh(first.token)
    client.redis.hset(KEY, mapping=replica)
    portal.clock.advance(600)
    third = await portal.refresh(second.token)
    assert generation(portal, third) == 3
    assert portal.reported(TokenOperation)[-1] == TokenOperation("refresh", "healed")
    assert portal.reported(Audit)[-1].outcome == "healed"
    assert portal.reported(ReuseDetected) == []
    assert generation(portal, await portal.refresh(third.token)) == 4


async def test_case_23_a_failover_that_lost_a_login(stage: tuple[Portal, TimedClient]) -> None:
    """given a failover that lost a login of a minute ago / when its token comes / then it is adopted."""
    portal, client = stage
    first = await portal.login()
    client.redis.delete(KEY)
    portal.clock.advance(60)
    assert generation(portal, await portal.refresh(first.token)) == 2
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
    assert generation(portal, second) == 2
    assert generation(portal, await portal.refresh(second.token)) == 3


@pytest.mark.parametrize("minutes", [-5, 5])
async def test_case_26_clocks_of_pods_do_not_matter(stage: tuple[Portal, TimedClient], minutes: int) -> None:
    """given a pod whose clock is five minutes off / when it mints and judges / then by Redis's clock."""
    portal, _ = stage
    off = Portal(portal.ledger, SetClock(START + minutes * 60))
    first = await off.login()
    second = await portal.refresh(first.token)
    portal.clock.advance(30)
    assert same(second, await off.refresh(first.token))
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
    assert generation(portal, second) == 2
    assert not portal.read(second.token).degraded
    assert portal.reported(Audit)[-1].outcome == "adopted"
    assert same(second, await portal.refresh(first.token))
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
    assert [generation(portal, successor) for successor in successors] == [2] * 10
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
    assert generation(portal, await portal.refresh(first.token)) == 2
    assert portal.reported(TokenOperation)[-1] == TokenOperation("refresh", "rotated")
    assert len(records_of(client.redis, KEY)) == 1
