"""What there is, counted."""

from __future__ import annotations

import time

import redis

from gateway.tokens import statistics
from gateway.tokens.legacy_store import LegacyStore
from gateway.tokens.migrate import Migration
from gateway.tokens.redis_ledger import RedisLedger
from gateway.tokens.rotation import Policy
from tests.support.legacy import dump, seed_legacy
from tests.support.valkey import ValkeyServer
from tests.tokens.support import connect

POLICY = Policy()


async def test_users_and_families_are_counted_and_nothing_is_written(shared_valkey: ValkeyServer) -> None:
    """Live families by user, those that wait for their holder, tombstones, and what is left of the old scheme."""
    plain = redis.Redis.from_url(shared_valkey.url, protocol=2)
    client = connect(shared_valkey)
    ledger, store = RedisLedger(client, POLICY), LegacyStore(client, POLICY)
    for user, count in (("a", 1), ("b", 3), ("c", 3), ("}{", 12)):
        for number in range(count):
            await ledger.issue(user, f"{number:024x}", "k", "")
    await ledger.issue("gone", "f" * 24, "k", "")
    await ledger.close_all("gone", "revoked")
    seed_legacy(plain, 5, int(time.time()), families=2)
    await Migration(store, POLICY).run()
    plain.set("gw:t:{a}:other", "1")
    before = dump(plain)
    counted = await statistics.count(ledger, store, "gw", 3)
    assert counted.as_json() == {
        "users": 9,
        "families": 27,
        "waiting": 10,
        "ended": 3,
        "families_per_user": {"1": 1, "2": 5, "3": 2, "10": 1},
        "old_scheme": {"tokens": 10, "families": 10, "users": 5},
    }
    assert dump(plain) == before
    await client.aclose()
