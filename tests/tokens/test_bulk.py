"""Many keys at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import redis

from gateway.errors import StoreUnavailable
from gateway.redis_client.client import RedisClient
from gateway.tokens.bulk import PARALLEL, each, read_many, scanned
from gateway.tokens.legacy_store import LegacyStore
from gateway.tokens.rotation import Policy
from tests.support.valkey import ValkeyServer
from tests.tokens.support import connect


class ClusterLike(LegacyStore):
    """A store whose keys are spread over servers."""

    asked: int = 0

    @property
    def whole(self) -> bool:
        return False

    async def peek(self, keys: object) -> tuple[int, list[tuple[bytes | None, int]]]:
        self.asked += 1
        return await super().peek(keys)  # type: ignore[arg-type]


@pytest.fixture
async def client(shared_valkey: ValkeyServer) -> AsyncIterator[RedisClient]:
    """Give a client of the session's server, with 1,200 keys."""
    plain = redis.Redis.from_url(shared_valkey.url, protocol=2)
    plain.mset({f"k:{n}": n for n in range(1200)})
    plain.set(b"k:\xff", "no text")
    client = connect(shared_valkey)
    yield client
    await client.aclose()


async def test_results_come_in_order_and_few_are_under_way() -> None:
    """However long each takes, results match their items, and never more than `PARALLEL` run."""
    running, most = 0, 0

    async def work(item: int) -> int:
        nonlocal running, most
        running += 1
        most = max(most, running)
        for _ in range(item % 5):
            await asyncio.sleep(0)
        running -= 1
        return item * 2

    assert await each(range(100), work) == [item * 2 for item in range(100)]
    assert most == PARALLEL
    assert await each([], work) == []


async def test_one_failure_of_the_store_is_told_as_itself() -> None:
    """given a store that goes away, then the caller sees `StoreUnavailable` and no group."""

    async def work(item: int) -> int:
        raise StoreUnavailable("timeout")

    with pytest.raises(StoreUnavailable) as failure:
        await each(range(3), work)
    assert failure.value.kind == "timeout"


@pytest.mark.parametrize("kind", [LegacyStore, ClusterLike])
async def test_keys_are_read_whatever_the_topology(client: RedisClient, kind: type[LegacyStore]) -> None:
    """By one script for many, or key by key; what is not there is none."""
    store = kind(client, Policy())
    _, values = await read_many(store, [*(f"k:{n}" for n in range(600)), "k:none"])
    assert values == [*((str(n).encode(), -1) for n in range(600)), (None, -2)]
    if isinstance(store, ClusterLike):
        assert store.asked == 601


async def test_a_scan_gives_each_key_once(client: RedisClient) -> None:
    """In batches; keys that are no text are left out."""
    batches = [batch async for batch in scanned(LegacyStore(client, Policy()), "k:", 100)]
    assert len(batches) > 5
    assert sorted(key for batch in batches for key in batch) == sorted(f"k:{n}" for n in range(1200))
