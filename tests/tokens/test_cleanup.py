"""The clean-up through the real client: what goes, what stays, and that it looks twice."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import AsyncIterator

import pytest
import redis

from gateway.events import Event
from gateway.redis_client.client import RedisClient
from gateway.tokens.cleanup import Cleanup
from gateway.tokens.events import Audit
from gateway.tokens.legacy_store import LegacyStore
from gateway.tokens.migrate import Migration
from gateway.tokens.migration import mark_of, name_of
from gateway.tokens.rotation import Policy
from tests.support.legacy import dump, seed_legacy, write_session
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


class Settled:
    """Counts how often it was waited for."""

    def __init__(self) -> None:
        self.times = 0

    async def __call__(self) -> None:
        self.times += 1


async def test_everything_that_was_taken_over_goes(client: RedisClient, plain: redis.Redis) -> None:
    """given a migration, then no old key is left, none of the new scheme is touched, and nothing is waited for."""
    seed_legacy(plain, 300, int(time.time()), families=2)
    store, settled, events = LegacyStore(client, POLICY, name="hash of {}".format), Settled(), list[Event]()
    await Migration(store, POLICY).run()
    new = {key: value for key, value in dump(plain).items() if key.startswith(b"gw:")}
    report = await Cleanup(store, POLICY, events.append, settle=settled).run(batch=100)
    assert (report.removed, report.spared, settled.times) == (1800, 0, 0)
    assert report.as_json()["found"] == {kind: {"taken_over": 600} for kind in ("token", "family", "member")}
    assert dump(plain) == new
    assert len(events) == 1800
    token = hashlib.sha256(b"hush-7-1").hexdigest()
    for kind in ("token", "family", "member"):
        told = ("user-7", name_of("family-7-1"), f"hash of {mark_of(token)}", "Old Browser/1.0")
        assert Audit("cleanup", f"{kind}: taken_over", *told) in events


async def test_orphans_go_after_a_second_look(client: RedisClient, plain: redis.Redis) -> None:
    """Each kind of orphan is found, waited for, and removed; live sessions stay, those without an expiry too."""
    now = int(time.time())
    good = write_session(plain, "1", "good", now)
    for_ever = write_session(plain, "2", "for-ever", now)
    plain.persist(f"refresh_token:{for_ever.digest}")
    plain.set("refresh_token:" + "2" * 64, json.dumps({"familyId": "gone", "userId": "3", "valid": True}))
    plain.set("refresh_token:" + "3" * 64, json.dumps({"familyId": "good", "userId": "1", "valid": False}))
    plain.set("refresh_family:alone", json.dumps({"userId": "4", "tokenHash": "4" * 64}))
    plain.sadd("refresh_user:5", "gone-1", "gone-2")
    plain.sadd("refresh_user:6", "good")
    settled = Settled()
    report = await Cleanup(LegacyStore(client, POLICY), POLICY, settle=settled).run()
    assert report.as_json() == {
        "dry_run": False,
        "found": {
            "token": {"no_family": 1},
            "family": {"no_token": 1},
            "member": {"no_family": 2, "other_user": 1},
        },
        "kept": {
            "token": {"in_use": 1, "in_use_no_expiry": 1, "spent": 1},
            "family": {"in_use": 2},
            "member": {"in_use": 2},
        },
        "removed": 5,
        "spared": 0,
    }
    assert settled.times == 1
    assert {key.decode() for key in plain.scan_iter()} == {
        f"refresh_token:{good.digest}", "refresh_family:good", "refresh_user:1",
        f"refresh_token:{for_ever.digest}", "refresh_family:for-ever", "refresh_user:2", "refresh_token:" + "3" * 64,
    }  # fmt: skip


async def test_what_changed_between_the_looks_is_spared(client: RedisClient, plain: redis.Redis) -> None:
    """given an orphan that got its family meanwhile, and one whose content changed, then neither is removed."""
    first, second = "refresh_token:" + "1" * 64, "refresh_token:" + "2" * 64
    for key, family in ((first, "a"), (second, "b")):
        plain.set(key, json.dumps({"familyId": family, "userId": "1", "valid": True}))
    store = LegacyStore(client, POLICY)

    async def meanwhile() -> None:
        plain.set("refresh_family:a", json.dumps({"userId": "1", "tokenHash": "1" * 64}))

    drop = store.drop

    async def changed_just_before(key: str, value: bytes) -> bool:
        plain.set(key, "another content")
        return await drop(key, value)

    store.drop = changed_just_before  # type: ignore[method-assign]
    report = await Cleanup(store, POLICY, settle=meanwhile).run()
    assert (report.removed, report.spared) == (0, 2)
    assert set(plain.keys("refresh_token:*")) == {first.encode(), second.encode()}


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("refresh_token:v2:123", json.dumps({"familyId": "gone", "userId": "3", "valid": True})),
        ("refresh_token:" + "A" * 64, json.dumps({"familyId": "gone", "userId": "3", "valid": True})),
        ("refresh_token:" + "1" * 64, "not json"),
        ("refresh_token:" + "1" * 64, "[]"),
        ("refresh_token:" + "1" * 64, json.dumps({"user": "3"})),
        ("refresh_token:" + "1" * 64, json.dumps({"familyId": "gone", "userId": "3"})),
        ("refresh_family:other", "not json"),
        ("refresh_family:other", json.dumps({"userId": "3", "tokenHash": "short"})),
        ("refresh_family:other", json.dumps({"tokenHash": "1" * 64})),
    ],
)
async def test_what_the_old_backend_did_not_write_stays(
    client: RedisClient, plain: redis.Redis, key: str, value: str
) -> None:
    """given a key that is called like the old scheme's and is of another shape / when cleaned up / then it is told of
    and stays, and so does a set's member that leads to it."""
    plain.set(key, value)
    kind, _, name = key.removeprefix("refresh_").partition(":")
    if kind == "family":
        plain.sadd("refresh_user:3", name)
    before = dump(plain)
    settled = Settled()
    report = await Cleanup(LegacyStore(client, POLICY), POLICY, settle=settled).run()
    assert (report.removed, settled.times) == (0, 0)
    assert report.as_json()["kept"][kind] == {"foreign": 1}
    assert dump(plain) == before


async def test_keys_of_another_type_are_left_where_they_are(client: RedisClient, plain: redis.Redis) -> None:
    """given keys of another type, then both a dry run and a run list them as kept: nobody knows what they are."""
    plain.hset("refresh_token:" + "1" * 64, "a", "b")
    plain.rpush("refresh_family:list", "x")
    plain.set("refresh_user:text", "x")
    plain.rpush("refresh_user:list", "x")
    before = dump(plain)
    job = Cleanup(LegacyStore(client, POLICY), POLICY, settle=Settled())
    reports = [await job.run(dry_run=dry_run) for dry_run in (True, False)]
    for report in reports:
        assert report.as_json()["found"] == {"token": {}, "family": {}, "member": {}}
        assert report.as_json()["kept"] == {"token": {"foreign": 1}, "family": {"foreign": 1}, "member": {"foreign": 2}}
        assert (report.removed, report.spared) == (0, 0)
    assert dump(plain) == before
