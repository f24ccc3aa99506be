"""The ledger on a real server through the real client: keys, expiry, restarts, parallel use."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from gateway.errors import StoreUnavailable
from gateway.redis_client.client import RedisClient
from gateway.tokens.redis_ledger import RedisLedger
from gateway.tokens.rotation import Adopted, Policy, Presented, Replayed, Rotated, Unknown
from tests.support.valkey import ValkeyServer
from tests.tokens.support import SetClock, TimedClient, connect

FAMILY = "0123456789abcdef01234567"
POLICY = Policy()


@pytest.fixture
async def client(shared_valkey: ValkeyServer) -> AsyncIterator[RedisClient]:
    """Give a client of the session's server."""
    client = connect(shared_valkey)
    yield client
    await client.aclose()


async def _start(ledger: RedisLedger, user: str = "ann", family: str = FAMILY) -> Presented:
    opened = await ledger.issue(user, family, "k", "phone")
    return Presented(family, 1, opened.auth_time, opened.rotated_ms // 1000, opened.expires)


@pytest.mark.parametrize(
    ("user", "key"),
    [
        ("42", "gw:t:{42}"),
        ("a}b{", "gw:t:{a%7Db%7B}"),
        ("ann@example.com", "gw:t:{ann%40example.com}"),
        ("ü /:%", "gw:t:{%C3%BC%20%2F%3A%25}"),
        ("birth", "gw:t:{birth}"),
    ],
)
def test_a_user_is_the_hash_tag_of_its_key(client: RedisClient, user: str, key: str) -> None:
    """Percent-encoded: no user can leave the braces, and none can name the birth mark."""
    assert RedisLedger(client, POLICY).key(user) == key


async def test_the_prefix_is_in_front_of_every_key(client: RedisClient, shared_valkey: ValkeyServer) -> None:
    """Two gateways with different prefixes share a server."""
    ledger = RedisLedger(client, POLICY, "portal:a")
    token = await _start(ledger)
    await ledger.refresh("ann", token, "k")
    assert sorted(shared_valkey.command("KEYS", "*")) == [b"portal:a:t:birth", b"portal:a:t:{ann}"]


async def test_nothing_secret_and_nothing_for_ever_is_at_rest(client: RedisClient, shared_valkey: ValkeyServer) -> None:
    """The hash holds a readable record and expires when its last token does, counted anew at every write."""
    ledger = RedisLedger(client, POLICY)
    token = await _start(ledger)
    assert 604_700 < shared_valkey.command("TTL", "gw:t:{ann}") <= 604_800
    shared_valkey.command("PEXPIRE", "gw:t:{ann}", 60_000)
    verdict = await ledger.refresh("ann", token, "k2")
    assert isinstance(verdict.result, Rotated)
    assert 604_700 < shared_valkey.command("TTL", "gw:t:{ann}") <= 604_800
    record = f"L:2:k2:{verdict.now}:{token.auth_time}:{verdict.result.family.expires}:0:0:phone"
    assert shared_valkey.command("HGETALL", "gw:t:{ann}") == {FAMILY.encode(): record.encode()}


async def test_a_short_family_does_not_shorten_the_life_of_another(
    client: RedisClient, shared_valkey: ValkeyServer
) -> None:
    """given a long family, when one near its session's end is written, then the hash keeps its expiry."""
    ledger = RedisLedger(client, POLICY)
    token = await _start(ledger)
    near = Presented("f" * 24, 1, token.auth_time - 2_591_990, token.issued_at, token.expires, degraded=True)
    adopted = await ledger.refresh("ann", near, "k")
    assert isinstance(adopted.result, Adopted)
    assert adopted.result.family.expires == token.auth_time + 10
    assert shared_valkey.command("TTL", "gw:t:{ann}") > 604_700


async def test_ten_families_are_small(client: RedisClient, shared_valkey: ValkeyServer) -> None:
    """A user with ten families and long device names takes at most 2.5 KiB."""
    ledger = RedisLedger(client, POLICY)
    for index in range(10):
        await ledger.issue(
            "ann", f"{index:024x}", "0123abcd", "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36"[:80]
        )
    assert shared_valkey.command("MEMORY", "USAGE", "gw:t:{ann}", "SAMPLES", 0) <= 2560


async def test_a_hundred_parallel_refreshes_make_one_successor(client: RedisClient) -> None:
    """One is the rotation, ninety-nine are its replays, and all carry the same record."""
    ledger = RedisLedger(client, POLICY)
    token = await _start(ledger)
    verdicts = await asyncio.gather(*(ledger.refresh("ann", token, "k") for _ in range(100)))
    results = [verdict.result for verdict in verdicts]
    assert sum(isinstance(result, Rotated) for result in results) == 1
    assert sum(isinstance(result, Replayed) for result in results) == 99
    assert {result.family.generation for result in results if isinstance(result, Rotated | Replayed)} == {2}
    assert len({result.family for result in results if isinstance(result, Rotated | Replayed)}) == 1


async def test_fifty_parallel_logins_stay_under_the_cap(client: RedisClient, shared_valkey: ValkeyServer) -> None:
    """No login ever reports more than ten, and ten are live at the end."""
    ledger = RedisLedger(client, POLICY)
    opened = await asyncio.gather(*(ledger.issue("ann", f"{index:024x}", "k", "") for index in range(50)))
    assert max(each.count for each in opened) == 10
    assert sum(len(each.evicted) for each in opened) == 40
    values = shared_valkey.command("HVALS", "gw:t:{ann}")
    assert sum(value.startswith(b"L:") for value in values) == 10


async def test_an_empty_restart_logs_nobody_out(valkey: ValkeyServer) -> None:
    """given kill -9 and a restart without data, when a token of before comes, then it is adopted, once."""
    client = connect(valkey)
    ledger = RedisLedger(client, POLICY)
    token = await _start(ledger)
    token = Presented(token.family, 1, token.auth_time - 3600, token.issued_at - 3600, token.expires)
    valkey.kill()
    with pytest.raises(StoreUnavailable):
        await ledger.refresh("ann", token, "k")
    await valkey.restart()
    adopted = await ledger.refresh("ann", token, "k")
    assert isinstance(adopted.result, Adopted)
    assert (await ledger.refresh("ann", token, "k")).result == Replayed(adopted.result.family)
    await client.aclose()


async def test_a_refusal_is_taken_on_one_dataset(shared_valkey: ValkeyServer) -> None:
    """given data lost between reading the mark and deciding, then the refusal is not final: the token is adopted."""
    clock = SetClock()
    timed = TimedClient(shared_valkey, clock)
    ledger = RedisLedger(timed, POLICY)  # type: ignore[arg-type]
    await _start(ledger, "somebody")
    clock.advance(3600)
    token = await _start(ledger)
    clock.advance(3600)
    shared_valkey.command("DEL", "gw:t:{ann}")
    losses = iter([True])

    def lose_data_after_the_mark(name: str) -> None:
        if name == "birth" and next(losses, False):
            timed.redis.flushall()

    timed.after = lose_data_after_the_mark
    assert isinstance((await ledger.refresh("ann", token, "k")).result, Adopted)
    assert [name for name, _ in timed.sent[-5:]] == ["rotate", "birth", "rotate", "birth", "rotate"]
    timed.close()


async def test_a_dataset_that_keeps_changing_is_no_verdict(shared_valkey: ValkeyServer) -> None:
    """given another dataset at every look, then the store counts as away rather than the token as bad."""
    clock = SetClock()
    timed = TimedClient(shared_valkey, clock)
    ledger = RedisLedger(timed, POLICY)  # type: ignore[arg-type]
    now = int(clock.now)
    token = Presented(FAMILY, 1, now - 3600, now - 3600, now + 3600)
    marks = iter(range(100))
    timed.before = lambda name: name == "birth" and timed.redis.set("gw:t:birth", f"1:dataset-{next(marks)}")
    with pytest.raises(StoreUnavailable):
        await ledger.refresh("ann", token, "k")
    timed.close()


async def test_an_unknown_token_of_this_dataset_is_refused(shared_valkey: ValkeyServer) -> None:
    """given an old dataset, when a token of an hour is unknown to it, then it is refused after one look at the mark."""
    clock = SetClock()
    timed = TimedClient(shared_valkey, clock)
    ledger = RedisLedger(timed, POLICY)  # type: ignore[arg-type]
    token = await _start(ledger)
    clock.advance(3600)
    shared_valkey.command("DEL", "gw:t:{ann}")
    assert isinstance((await ledger.refresh("ann", token, "k")).result, Unknown)
    assert [name for name, _ in timed.sent] == ["birth", "issue", "rotate", "birth", "rotate", "birth"]
    timed.close()
