"""Cases 20, 21 and 39 taken further: replies that were lost in an outage, and grace that stands still in it.

Through the layer on a real server, by the test's time.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest

from gateway.errors import StoreUnavailable
from gateway.redis_client.scripts import Script
from gateway.tokens.events import ReuseDetected, TokenOperation
from gateway.tokens.ledger import PATIENCE
from gateway.tokens.redis_ledger import RedisLedger
from gateway.tokens.rotation import Replayed, Reused, Rotated
from tests.support.valkey import ValkeyServer
from tests.tokens.support import (
    KEY,
    Outcome,
    Portal,
    SetClock,
    TimedClient,
    another_gateway,
    away,
    generation,
    presented_of,
    records_of,
    same,
    state_of,
    token_settings,
)

QUARTER = 900
"""Seconds: when a client's access token has ended, and it refreshes again."""


async def _told(portal: Portal) -> None:
    """Let a gateway tell the ledger of what it promised; PATIENCE has passed by its clock."""
    async with asyncio.TaskGroup() as group:
        task = group.create_task(portal.layer.run())
        while portal.layer._promises._open:
            await asyncio.sleep(0)
        task.cancel()


async def _lost(portal: Portal, client: TimedClient, token: str, *, sent: bool = True) -> Outcome:
    """Refresh while Redis cannot be heard: it has carried out what was `sent`, or nothing at all."""
    fail = away("timeout" if sent else "away")
    client.after, client.before = (fail, client.before) if sent else (client.after, fail)
    outcome = await portal.refresh(token)
    client.after = client.before = lambda name: None
    return outcome


async def test_case_20_a_reply_lost_without_strict_mode(stage: tuple[Portal, TimedClient]) -> None:
    """given a commit whose reply was lost / when the client comes back a quarter of an hour later / then no alarm."""
    portal, client = stage
    first = await portal.login()
    kept = await _lost(portal, client, first.token)
    assert same(first, kept)
    portal.clock.advance(QUARTER)
    second = await portal.refresh(first.token)
    assert generation(portal, second) == 2
    assert portal.reported(TokenOperation)[-1] == TokenOperation("refresh", "replayed")
    portal.clock.advance(QUARTER)
    assert same(second, await portal.refresh(first.token))
    assert portal.reported(ReuseDetected) == []


async def test_case_20_every_replica_keeps_the_promise(stage: tuple[Portal, TimedClient]) -> None:
    """given a lost reply / when the client comes back to a gateway that knows nothing of it / then no alarm either."""
    portal, client = stage
    first = await portal.login()
    await _lost(portal, client, first.token)
    portal.clock.advance(PATIENCE)
    await _told(portal)
    portal.clock.advance(QUARTER)
    other = another_gateway(portal)
    second = await other.refresh(first.token)
    assert generation(other, second) == 2
    assert generation(other, await other.refresh(second.token)) == 3
    assert (await other.refresh(first.token)).status == 401
    assert len(other.reported(ReuseDetected)) == 1


async def test_case_20_strict_mode_keeps_its_word_too(stage: tuple[Portal, TimedClient]) -> None:
    """given 503 because the reply was lost / when the client tries again an hour later / then its token is good."""
    strict, client = another_gateway(stage[0], require_redis=True), stage[1]
    first = await strict.login()
    assert (await _lost(strict, client, first.token)).status == 503
    strict.clock.advance(PATIENCE)
    await _told(strict)
    strict.clock.advance(3600)
    assert generation(strict, await another_gateway(strict).refresh(first.token)) == 2


async def test_case_20_a_reply_that_was_lost_before_the_outage(stage: tuple[Portal, TimedClient]) -> None:
    """given an answer the client never got / when it retries into an outage and comes back later / then no alarm."""
    portal, client = stage
    first = await portal.login()
    second = await portal.refresh(first.token)  # its bytes are lost on the way to the client
    portal.clock.advance(10)
    await _lost(portal, client, first.token, sent=False)
    portal.clock.advance(QUARTER)
    assert same(second, await portal.refresh(first.token))


async def test_case_20_no_commit_no_promise(stage: tuple[Portal, TimedClient]) -> None:
    """given a refresh that never reached Redis / when it is told / then the record is as before, and rotates."""
    portal, client = stage
    first = await portal.login()
    before = state_of(client)
    await _lost(portal, client, first.token, sent=False)
    portal.clock.advance(PATIENCE)
    await _told(portal)
    assert state_of(client) == before
    second = await portal.refresh(first.token)
    assert generation(portal, second) == 2
    portal.clock.advance(31)
    assert (await portal.refresh(first.token)).status == 401


@pytest.mark.parametrize("sent", [True, False])
async def test_an_outage_launders_no_spent_token(stage: tuple[Portal, TimedClient], sent: bool) -> None:
    """given a token spent an hour ago / when it is shown during an outage and again after it / then it is reuse."""
    portal, client = stage
    first = await portal.login()
    await portal.refresh(first.token)
    portal.clock.advance(3600)
    client.before = away()
    await portal.refresh(first.token)
    client.before = lambda name: None
    if sent:
        portal.clock.advance(PATIENCE)
        await _told(portal)
    portal.clock.advance(60)
    assert (await portal.refresh(first.token)).status == 401
    assert len(portal.reported(ReuseDetected)) == 1


async def test_a_client_that_came_back_in_time_leaves_no_mark(stage: tuple[Portal, TimedClient]) -> None:
    """given a lost reply and a retry in grace / when the token comes once more after it / then it is reuse as ever."""
    portal, client = stage
    first = await portal.login()
    await _lost(portal, client, first.token)
    portal.clock.advance(2)
    assert generation(portal, await portal.refresh(first.token)) == 2
    assert [record.kept for record in records_of(client.redis, KEY).values()] == [False]  # type: ignore[union-attr]
    portal.clock.advance(31)
    assert (await portal.refresh(first.token)).status == 401


async def test_case_03_grace_stands_still_in_an_outage(stage: tuple[Portal, TimedClient]) -> None:
    """given a lost response and an outage of an hour / when the client retries after it / then the same bytes."""
    portal, _ = stage
    first = await portal.login()
    second = await portal.refresh(first.token)
    portal.clock.advance(3620)
    portal.standstill.stood(portal.clock.now - 3610, portal.clock.now - 10)
    assert same(second, await portal.refresh(first.token))
    portal.clock.advance(10)
    assert same(second, await portal.refresh(first.token))
    portal.clock.advance(0.001)
    assert (await portal.refresh(first.token)).status == 401


async def test_case_03_grace_stands_still_in_maintenance(stage: tuple[Portal, TimedClient]) -> None:
    """given a lost response and maintenance of two hours / when the client retries after it / then the same bytes."""
    portal, _ = stage
    first = await portal.login()
    second = await portal.refresh(first.token)
    portal.clock.advance(20)
    portal.standstill.hold(portal.clock.now)
    portal.clock.advance(7200)
    assert same(second, await portal.refresh(first.token))
    portal.standstill.release(portal.clock.now)
    portal.clock.advance(10.001)
    assert (await portal.refresh(first.token)).status == 401


async def test_grace_is_as_the_answering_gateway_saw_it(stage: tuple[Portal, TimedClient]) -> None:
    """given an outage that only one gateway saw / when the client asks one that saw none / then grace has passed."""
    portal, _ = stage
    first = await portal.login()
    await portal.refresh(first.token)
    portal.clock.advance(620)
    portal.standstill.stood(portal.clock.now - 610, portal.clock.now - 10)
    assert (await another_gateway(portal).refresh(first.token)).status == 401


class FreezingClient(TimedClient):
    """A server that can stand still with what was sent to it, while the callers give up."""

    frozen: list[tuple[Script, Sequence[str], Sequence[Any]]] | None = None

    async def run(self, script: Script, keys: Sequence[str], args: Sequence[Any]) -> Any:
        if self.frozen is None:
            return await super().run(script, keys, args)
        self.frozen.append((script, keys, args))
        raise StoreUnavailable("timeout")

    async def thaw(self) -> list[Any]:
        """Carry out what was sent."""
        sent, self.frozen = self.frozen or [], None
        return [await super(FreezingClient, self).run(*each) for each in sent]


@asynccontextmanager
async def _freezing(server: ValkeyServer) -> AsyncIterator[tuple[Portal, FreezingClient]]:
    clock = SetClock()
    client = FreezingClient(server, clock)
    ledger = RedisLedger(client, token_settings().policy, clock=clock)  # type: ignore[arg-type]
    yield Portal(ledger, clock), client
    client.close()


async def test_a_server_that_wakes_up_ends_no_family(shared_valkey: ValkeyServer) -> None:
    """given a retry in grace that is stuck in a frozen server / when it is carried out a minute later / then no end."""
    async with _freezing(shared_valkey) as (portal, client):
        first = await portal.login()
        second = await portal.refresh(first.token)
        portal.clock.advance(20)
        client.frozen = []
        assert same(first, await portal.refresh(first.token))
        portal.clock.advance(60)
        assert [answer[0] for answer in await client.thaw()] == [b"late"]
        await _told(portal)
        portal.clock.advance(QUARTER)
        assert same(second, await another_gateway(portal).refresh(first.token))


async def test_a_server_that_wakes_up_spends_no_token(shared_valkey: ValkeyServer) -> None:
    """given a refresh that is stuck in a frozen server / when it is carried out after all / then nothing was spent."""
    async with _freezing(shared_valkey) as (portal, client):
        first = await portal.login()
        second = await portal.refresh(first.token)
        before = state_of(client)
        client.frozen = []
        assert same(second, await portal.refresh(second.token))
        portal.clock.advance(PATIENCE + 0.001)
        await client.thaw()
        assert state_of(client) == before
        assert generation(portal, await portal.refresh(second.token)) == 3


async def test_a_clock_that_steps_is_not_taken_for_a_late_decision(shared_valkey: ValkeyServer) -> None:
    """given a failover to a server an hour ahead or behind / when a token comes / then it is judged, perhaps anew."""
    gateway, server = SetClock(), SetClock()
    client = TimedClient(shared_valkey, server)
    ledger = RedisLedger(client, token_settings().policy, clock=gateway)  # type: ignore[arg-type]
    portal = Portal(ledger, gateway)
    token = presented_of(portal.read((await portal.login()).token))
    assert isinstance((await ledger.refresh("42", token, "k")).result, Rotated)
    server.advance(PATIENCE)
    assert isinstance((await ledger.refresh("42", token, "k")).result, Replayed)
    gateway.advance(PATIENCE)
    server.advance(3600)
    assert isinstance((await ledger.refresh("42", token, "k")).result, Reused)
    assert [name for name, _ in client.sent] == ["birth", "issue", "rotate", "rotate", "rotate", "rotate"]
    server.advance(-7200)
    await ledger.refresh("42", token, "k")
    assert len(client.sent) == 7
    client.close()


async def test_decisions_that_all_come_late_are_none(shared_valkey: ValkeyServer) -> None:
    """given a server that is slower than anybody waits / when a token comes / then the store counts as away."""
    gateway, server = SetClock(), SetClock()
    client = TimedClient(shared_valkey, server)
    ledger = RedisLedger(client, token_settings().policy, clock=gateway)  # type: ignore[arg-type]
    portal = Portal(ledger, gateway)
    first = await portal.login()
    first = await portal.refresh(first.token)
    client.before = lambda name: server.advance(PATIENCE + 0.001)
    with pytest.raises(StoreUnavailable):
        await ledger.refresh("42", presented_of(portal.read(first.token)), "k")
    client.close()
