"""Cases 13 to 18: the cap and the ends of families, through the layer on a real server."""

from __future__ import annotations

import asyncio

import pytest

from gateway.errors import GatewayError
from gateway.tokens.events import Audit, ExcessFamiliesCleaned, ReuseDetected, TokenOperation
from gateway.tokens.redis_ledger import RedisLedger
from tests.support.valkey import ValkeyServer
from tests.tokens.support import (
    KEY,
    START,
    Portal,
    SetClock,
    TimedClient,
    connect,
    generation,
    records_of,
    state_of,
    token_settings,
)


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
    assert Audit("evict", "evicted", "42", oldest, "", "test", "192.0.2.0/24") in portal.reported(Audit)


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
    assert generation(portal, await portal.refresh(logins[0].token)) == 2
    assert portal.reported(ExcessFamiliesCleaned) == []
    for login in logins[1:]:
        assert generation(portal, await portal.refresh(login.token)) == 2


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
    before = state_of(client)
    assert (await portal.refresh(idle.token)).status == 401
    assert state_of(client) == before
    assert portal.reported(TokenOperation)[-1] == TokenOperation("refresh", "expired")
    assert (await portal.refresh(other.token)).status == 200
