"""The migration through the real client: batches, progress, speed at a small scale, and what it leaves alone."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator

import pytest
import redis

from gateway.errors import StoreUnavailable
from gateway.redis_client.client import RedisClient
from gateway.tokens.legacy_store import LegacyStore
from gateway.tokens.migrate import LISTING, TAKING, Migration
from gateway.tokens.rotation import Policy
from tests.support.legacy import dump, seed_legacy
from tests.support.valkey import ValkeyServer
from tests.tokens.support import connect

POLICY = Policy()


@pytest.fixture
async def client(shared_valkey: ValkeyServer) -> AsyncIterator[RedisClient]:
    """Give a client of the session's server."""
    client = connect(shared_valkey)
    yield client
    await client.aclose()


async def test_thousands_of_sessions_in_batches(client: RedisClient, shared_valkey: ValkeyServer) -> None:
    """6,000 sessions of 2,000 users: all taken over, progress told to the end, and twice changes nothing."""
    plain = redis.Redis.from_url(shared_valkey.url, protocol=2)
    seed_legacy(plain, 2000, int(time.time()), families=3)
    told: list[tuple[str, int, int]] = []
    migration = Migration(LegacyStore(client, POLICY), POLICY, progress=lambda *step: told.append(step))
    report = await migration.run(batch=500)
    assert (report.tokens, report.users, report.taken_over, report.skipped) == (6000, 2000, 6000, {})
    assert [step for step in told if step[0] == LISTING][-1] == (LISTING, 6000, 0)
    assert [step for step in told if step[0] == TAKING][-1] == (TAKING, 6000, 6000)
    assert len(told) > 20
    before = dump(plain)
    again = await migration.run()
    assert (again.unchanged, again.taken_over) == (6000, 0)
    assert dump(plain) == before


async def test_redis_going_away_is_told_and_the_next_run_goes_on(valkey: ValkeyServer) -> None:
    """given a server that is killed under a run, then `StoreUnavailable`, nothing else."""
    client = connect(valkey, timeout=1.0)
    plain = redis.Redis.from_url(valkey.url, protocol=2)
    seed_legacy(plain, 100, int(time.time()))
    plain.close()

    def kill(step: str, done: int, total: int) -> None:
        if step == TAKING and valkey.running:
            valkey.kill()

    with pytest.raises(StoreUnavailable):
        await Migration(LegacyStore(client, POLICY), POLICY, progress=kill).run(batch=10)
    await client.aclose()


async def test_an_empty_redis_has_nothing_to_take_over(client: RedisClient) -> None:
    """No keys: an empty report."""
    report = await Migration(LegacyStore(client, POLICY), POLICY).run()
    assert report.as_json() == {
        "dry_run": False,
        "tokens": 0,
        "users": 0,
        "taken_over": 0,
        "renewed": 0,
        "unchanged": 0,
        "evicted": 0,
        "skipped": {},
    }
