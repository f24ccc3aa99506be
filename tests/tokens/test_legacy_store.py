"""Old keys through the real client on a real server."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator

import pytest
import redis

from gateway.events import Event
from gateway.redis_client.client import RedisClient
from gateway.tokens.events import Audit
from gateway.tokens.legacy_store import LegacyStore
from gateway.tokens.migration import TakeOver, mark_of, name_of
from gateway.tokens.redis_ledger import RedisLedger
from gateway.tokens.rotation import Family, Policy
from tests.support.legacy import write_session
from tests.support.valkey import ValkeyServer
from tests.tokens.support import connect

POLICY = Policy()


@pytest.fixture
async def client(shared_valkey: ValkeyServer) -> AsyncIterator[RedisClient]:
    """Give a client of the session's server."""
    client = connect(shared_valkey)
    yield client
    await client.aclose()


@pytest.fixture
def plain(shared_valkey: ValkeyServer) -> redis.Redis:
    """Give the old backend's own way to the server."""
    return redis.Redis.from_url(shared_valkey.url, protocol=2)


async def test_keys_of_any_kind_are_looked_at(client: RedisClient, plain: redis.Redis) -> None:
    """A text and its PTTL, none for a key that is not there, an empty text for one that holds something else."""
    plain.set("a", "1", px=60_000)
    plain.set("b", "2")
    plain.sadd("c", "x")
    now, [a, b, c, d] = await LegacyStore(client, POLICY).peek(["a", "b", "c", "d"])
    assert abs(now - time.time() * 1000) < 60_000
    assert a[0] == b"1"
    assert 0 < a[1] <= 60_000
    assert (b, c, d) == ((b"2", -1), (b"", -1), (None, -2))


async def test_a_key_is_dropped_only_as_it_was(client: RedisClient, plain: redis.Redis) -> None:
    """given a key that changed, or holds no text, then it stays."""
    store = LegacyStore(client, POLICY)
    plain.mset({"a": "1", "b": "2"})
    plain.sadd("c", "x")
    dropped = [await store.drop(key, value) for key, value in (("a", b"1"), ("b", b"1"), ("c", b""), ("d", b""))]
    assert dropped == [True, False, False, False]
    assert set(plain.keys()) == {b"b", b"c"}


async def test_members_are_those_of_sets(client: RedisClient, plain: redis.Redis) -> None:
    """What is no set has none, and what is no text is none."""
    plain.sadd("a", "x", "y", b"\xff")
    plain.set("b", "1")
    store = LegacyStore(client, POLICY)
    assert [await store.members(key) for key in ("a", "b", "c")] == [["x", "y"], [], []]
    assert await store.leave("a", "x")
    assert not await store.leave("a", "x")


async def test_old_sessions_of_one_user_are_ended(client: RedisClient, plain: redis.Redis) -> None:
    """Token, family and set go, each with an audit line; a family that names somebody else stays."""
    events: list[Event] = []
    now = int(time.time())
    old = [write_session(plain, "42", f"old-{n}", now) for n in range(3)]
    other = write_session(plain, "43", "other", now)
    plain.sadd("refresh_user:42", "other", "gone")
    store = LegacyStore(client, POLICY, emit=events.append, name="hash of {}".format)
    assert await store.end_all("42") == 3
    left = {f"refresh_token:{other.digest}".encode(), b"refresh_family:other", b"refresh_user:43"}
    assert set(plain.keys()) == left
    assert events == [
        Audit("revoke", "old-scheme", "42", name_of(each.family), f"hash of {mark_of(each.digest)}", "Old/1.0")
        for each in old
    ]
    assert await LegacyStore(client, POLICY).end_all("42") == 0


def _many(count: int, now: int) -> list[TakeOver]:
    return [
        TakeOver(f"{n:024x}", f"~{n:032x}", 1000 * now - n, now - 60, now + 600, now - 60, f"{n:023x}f", f" device {n}")
        for n in range(count)
    ]


async def test_more_families_than_the_cap_are_told_apart(client: RedisClient) -> None:
    """The newest are taken, the others are over the cap, and a second time nothing is different."""
    store, now = LegacyStore(client, POLICY), int(time.time())
    expected = ["taken"] * 10 + ["over_cap"] * 5
    assert await store.take_over("42", _many(15, now), "dry") == (expected, ())
    assert await store.records("42") == {}
    assert await store.take_over("42", _many(15, now), "bulk") == (expected, ())
    assert await store.take_over("42", _many(15, now), "bulk") == (["same"] * 10 + ["over_cap"] * 5, ())
    assert (await store.records("42"))[f"{0:024x}"] == Family(
        0, f"~{0:032x}", 1000 * now, now - 60, now + 600, True, " device 0"
    )


async def test_whoever_is_waiting_gets_room(client: RedisClient) -> None:
    """given ten families, when an old one's holder comes, then the one used last longest ago makes room."""
    store, now = LegacyStore(client, POLICY), int(time.time())
    families = _many(11, now)
    await store.take_over("42", families[:10], "bulk")
    assert await store.take_over("42", families[10:], "live") == (["taken"], ((f"{9:024x}", " device 9"),))


async def test_ten_families_taken_over_are_small(client: RedisClient, plain: redis.Redis) -> None:
    """A user with ten families that nobody has come for, and long device names, takes at most 2.5 KiB."""
    store, now = LegacyStore(client, POLICY), int(time.time())
    families = [
        TakeOver(f"{n:024x}", f"~{n:032x}", 1000 * now, now, now + 600, now, f"{n:023x}f", " " + "x" * 80)
        for n in range(10)
    ]
    await store.take_over("42", families, "bulk")
    assert plain.execute_command("MEMORY", "USAGE", "gw:t:{42}", "SAMPLES", 0) <= 2560


async def test_the_hash_of_a_user_is_the_ledgers(client: RedisClient, plain: redis.Redis) -> None:
    """What is taken over is in the ledger's own hash, expires with it, and is ended by it."""
    store, ledger, now = LegacyStore(client, POLICY), RedisLedger(client, POLICY), int(time.time())
    await store.take_over("a}b", _many(2, now), "bulk")
    assert (await ledger.families("a}b")).live.keys() == {f"{0:024x}", f"{1:024x}"}
    assert 0 < plain.ttl("gw:t:{a%7Db}") <= 600  # type: ignore[operator]
    assert await ledger.close_all("a}b", "revoked") == (f"{0:024x}", f"{1:024x}")
    assert await store.take_over("a}b", _many(3, now), "bulk") == (["ended"] * 3, ())


async def test_bad_json_in_an_old_family_ends_nothing_else(client: RedisClient, plain: redis.Redis) -> None:
    """given a set that names a broken family and a key of another type, then the others are ended all the same."""
    write_session(plain, "42", "good", int(time.time()))
    plain.set("refresh_family:bad", json.dumps(["?"]))
    plain.hset("refresh_family:another-type", "a", "b")
    plain.sadd("refresh_user:42", "another-type", "bad")
    assert await LegacyStore(client, POLICY).end_all("42") == 1
    assert set(plain.keys("refresh_*")) == {b"refresh_family:another-type", b"refresh_family:bad"}


async def test_keys_of_another_type_are_somebody_elses(client: RedisClient, plain: redis.Redis) -> None:
    """given keys that are only called like the old scheme's, when a user's sessions are ended, then they stay."""
    old = write_session(plain, "42", "old-1", int(time.time()))
    plain.delete(f"refresh_token:{old.digest}")
    plain.hset(f"refresh_token:{old.digest}", "a", "b")
    plain.set("refresh_user:43", "somebody else's")
    store = LegacyStore(client, POLICY)
    assert [await store.end_all(user) for user in ("42", "43")] == [1, 0]
    assert set(plain.keys()) == {f"refresh_token:{old.digest}".encode(), b"refresh_user:43"}
