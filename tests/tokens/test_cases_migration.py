"""Cases 28 to 31 and 37, for sessions of the old backend: through the layer, on a real server."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from dataclasses import replace

import pytest

from gateway.tokens.cleanup import Cleanup
from gateway.tokens.events import Audit, ReuseDetected
from gateway.tokens.legacy_store import LegacyStore
from gateway.tokens.migrate import Migration
from gateway.tokens.migration import name_of
from gateway.tokens.rotation import Family, Tombstone
from tests.support.legacy import SECRET, OldSession, dump, old_token, seed_legacy, write_session
from tests.support.valkey import ValkeyServer
from tests.tokens.legacy_support import LegacyPortal
from tests.tokens.support import KEY, generation, records_of, same

DAY = 86_400


@pytest.fixture
def portal(shared_valkey: ValkeyServer) -> Iterator[LegacyPortal]:
    """Give a portal that knows the old secret."""
    portal = LegacyPortal(shared_valkey)
    yield portal
    portal.client.close()


async def _at_once() -> None:
    """Settle without waiting."""


async def _migrate(portal: LegacyPortal, *, dry_run: bool = False) -> dict[str, object]:
    return (await Migration(portal.store, portal.policy, portal.events.append).run(dry_run=dry_run)).as_json()


async def _clean_up(portal: LegacyPortal, *, dry_run: bool = False) -> dict[str, object]:
    job = Cleanup(portal.store, portal.policy, portal.events.append, settle=_at_once)
    return (await job.run(dry_run=dry_run)).as_json()


def _family(portal: LegacyPortal, old: OldSession) -> Family | Tombstone | None:
    return records_of(portal.client.redis, KEY).get(name_of(old.family))


async def test_case_28_a_dry_run_writes_nothing_and_tells_the_truth(portal: LegacyPortal) -> None:
    """given good and bad old keys / when dry run / then not a byte or TTL changes, and the run does what it told."""
    redis = portal.client.redis
    seed_legacy(redis, 20, int(portal.clock.now), families=3)
    for number in range(13):
        portal.old_session("many", f"many-{number}", age=number)
    redis.set("refresh_token:" + "0" * 64, "{")
    redis.set("refresh_token:nonsense", json.dumps({"familyId": "f", "userId": "u", "valid": True}))
    redis.set("refresh_token:" + "1" * 64, json.dumps({"familyId": "f", "userId": "u", "valid": False}))
    redis.set("refresh_token:" + "2" * 64, json.dumps({"familyId": "gone", "userId": "u", "valid": True}))
    redis.sadd("refresh_token:" + "3" * 64, "a set")
    before = dump(redis)
    told = await _migrate(portal, dry_run=True)
    assert dump(redis) == before
    assert portal.reported(Audit) == []
    done = await _migrate(portal)
    assert done == told | {"dry_run": False}
    assert done["taken_over"] == 70
    assert done["skipped"] == {"no_family": 1, "over_cap": 3, "spent": 1, "unreadable": 3}
    assert {key: value for key, value in dump(redis).items() if key in before} == before
    trail = [event.outcome for event in portal.reported(Audit) if event.action == "migrate"]
    assert len(trail) == 78
    assert trail.count("taken-over") == 70


async def test_case_28_over_the_cap_the_oldest_is_out(portal: LegacyPortal) -> None:
    """given more old sessions than the cap / when they are taken over / then those used last are in."""
    sessions = [
        write_session(portal.client.redis, "42", f"old-{n}", int(portal.clock.now) - 1000 * n - 60) for n in range(12)
    ]
    await _migrate(portal)
    assert records_of(portal.client.redis, KEY).keys() == {name_of(old.family) for old in sessions[:10]}
    late = write_session(portal.client.redis, "42", "late", int(portal.clock.now) - 1)
    report = await _migrate(portal)
    assert (report["taken_over"], report["evicted"], report["unchanged"]) == (1, 1, 9)
    assert isinstance(_family(portal, late), Family)
    assert _family(portal, sessions[9]) == Tombstone("evicted", *_until_and_auth(sessions[9], portal))
    again = await _migrate(portal)
    assert (again["taken_over"], again["evicted"], again["renewed"]) == (0, 0, 0)


def _until_and_auth(old: OldSession, portal: LegacyPortal) -> tuple[int, int]:
    issued_at = int(portal.clock.now) - 9060
    return issued_at + 7 * DAY, issued_at


async def test_case_28_a_live_family_makes_no_room(portal: LegacyPortal) -> None:
    """given ten families that are used here / when old ones come / then none of the ten is ended for them."""
    logins = [await portal.login() for _ in range(10)]
    portal.old_session()
    assert (await _migrate(portal))["skipped"] == {"over_cap": 1}
    assert {(await portal.refresh(login.token)).status for login in logins} == {200}


async def test_case_29_migration_under_live_refreshes_twice(portal: LegacyPortal) -> None:
    """given holders that refresh all the time / when migrated twice / then nobody is logged out, nothing done twice."""
    sessions = [portal.old_session(f"u{n}", f"old-{n}") for n in range(60)]
    stop = asyncio.Event()

    async def holder(old: OldSession) -> str:
        token = old.token
        while not stop.is_set():
            outcome = await portal.refresh(token)
            assert outcome.status == 200
            token = outcome.token
            await asyncio.sleep(0)
        return token

    async def migrations() -> None:
        for _ in range(2):
            await Migration(portal.store, portal.policy).run(batch=7)
            await asyncio.sleep(0)
        stop.set()

    holders = await asyncio.gather(migrations(), *(holder(old) for old in sessions[:30]))
    assert portal.reported(ReuseDetected) == []
    for token in holders[1:]:
        assert (await portal.refresh(token)).status == 200  # type: ignore[arg-type]
    for old in sessions[30:]:
        assert generation(portal, await portal.refresh(old.token)) == 1
    before = dump(portal.client.redis)
    await _migrate(portal)
    assert dump(portal.client.redis) == before


async def test_case_29_killed_in_the_middle_and_run_again(portal: LegacyPortal) -> None:
    """given a migration that Redis is taken from / when it is run again / then what is missing is done, no more."""
    seed_legacy(portal.client.redis, 50, int(portal.clock.now), families=2)
    left = iter(range(20))

    def die(name: str) -> None:
        if name == "takeover" and next(left, None) is None:
            raise ConnectionAbortedError

    portal.client.before = die
    with pytest.raises(ExceptionGroup):
        await _migrate(portal)
    portal.client.before = lambda name: None
    report = await _migrate(portal)
    assert (report["taken_over"], report["unchanged"]) == (60, 40)
    assert (await _migrate(portal))["unchanged"] == 100


async def test_case_29_the_old_backend_goes_on_rotating(portal: LegacyPortal) -> None:
    """given a token that the old backend traded after the copy / when its successor comes, or a second run / then it is
    known: the family waits for the newer one."""
    first, second = portal.old_session(), portal.old_session("43", "old-2")
    await _migrate(portal)
    portal.clock.advance(5)
    newer = [write_session(portal.client.redis, old.user, old.family, int(portal.clock.now)) for old in (first, second)]
    assert generation(portal, await portal.refresh(newer[0].token)) == 1
    assert (await _migrate(portal))["renewed"] == 1
    assert generation(portal, await portal.refresh(newer[1].token)) == 1
    assert portal.reported(ReuseDetected) == []


async def test_case_30_an_old_token_is_traded_once(portal: LegacyPortal) -> None:
    """given a session that was taken over / when its token comes, comes again, and comes late / then it is upgraded,
    the same successor, reuse."""
    old = portal.old_session()
    await _migrate(portal)
    first = await portal.refresh(old.token)
    assert generation(portal, first) == 1
    assert portal.reported(Audit)[-1].outcome == "upgraded"
    portal.clock.advance(29)
    again = await portal.refresh(old.token)
    assert same(first, again)
    portal.clock.advance(2)
    assert (await portal.refresh(old.token)).status == 401
    assert len(portal.reported(ReuseDetected)) == 1
    assert (await portal.refresh(first.token)).status == 401


async def test_case_30_the_old_token_after_its_successor_was_used(portal: LegacyPortal) -> None:
    """given an upgraded session that went on / when the old token comes in grace / then reuse."""
    old = portal.old_session()
    successor = await portal.refresh((await portal.refresh(old.token)).token)
    assert generation(portal, successor) == 2
    assert (await portal.refresh(old.token)).status == 401
    assert (await portal.refresh(successor.token)).status == 401


@pytest.mark.parametrize("upgraded", [False, True])
async def test_case_30_another_token_of_the_family_is_reuse(portal: LegacyPortal, upgraded: bool) -> None:
    """given a token that the old backend had traded / when it comes instead of the current one / then reuse, in grace
    too, and the family is dead for both."""
    old = portal.old_session()
    await _migrate(portal)
    token = (await portal.refresh(old.token)).token if upgraded else old.token
    stolen = old_token("42", "old-1", int(portal.clock.now) - 7200)
    assert (await portal.refresh(stolen)).status == 401
    assert len(portal.reported(ReuseDetected)) == 1
    assert (await portal.refresh(token)).status == 401


async def test_case_30_without_a_migration_before(portal: LegacyPortal) -> None:
    """given an old session that no run has taken over / when its token comes / then it is taken over and upgraded, and
    a run leaves it alone."""
    old = portal.old_session()
    assert generation(portal, await portal.refresh(old.token)) == 1
    assert Audit("migrate", "taken", "42", name_of("old-1")) in portal.reported(Audit)
    assert (await _migrate(portal))["skipped"] == {"upgraded": 1}


async def test_case_30_the_upgraded_session_goes_on(portal: LegacyPortal) -> None:
    """The user is who it was, the session began when it began, and its device is known."""
    old = portal.old_session(42, agent="Old Browser/1.0 \r\nX")
    outcome = await portal.refresh(old.token)
    token = portal.read(outcome.token)
    assert (token.login.user, token.auth_time) == ("42", int(portal.clock.now) - 3660)
    record = _family(portal, old)
    assert isinstance(record, Family)
    assert record.device == " Old Browser/1.0  X"
    assert (await portal.refresh(outcome.token)).status == 200


async def test_case_30_a_session_older_than_a_session_may_be_is_not_cut_off(portal: LegacyPortal) -> None:
    """given a session of a year / when it is taken over / then it lives as long as its old token would have."""
    old = portal.old_session(age=365 * DAY)
    await _migrate(portal)
    outcome = await portal.refresh(old.token)
    assert portal.read(outcome.token).expires == int(portal.clock.now) - 60 + 7 * DAY


@pytest.mark.parametrize(
    "token",
    [
        old_token("42", "old-1", 1_799_999_940, secret="hush-another-secret-0123456789-0123456789"),
        old_token("42", "old-1", 1_799_999_940, type="access"),
        old_token("42", "old-1", 1_799_000_000),
        old_token("43", "old-1", 1_799_999_940),
        old_token("42", "nobody", 1_799_999_940),
        old_token(["42"], "old-1", 1_799_999_940),
    ],
    ids=["secret", "type", "expired", "user", "family", "shape"],
)
async def test_case_10_a_bad_old_token_burns_nothing(portal: LegacyPortal, token: str) -> None:
    """given an old session / when a token comes that is not its own, or too late / then 401, and it lives on."""
    old = portal.old_session()
    await _migrate(portal)
    assert (await portal.refresh(token)).status == 401
    assert generation(portal, await portal.refresh(old.token)) == 1


async def test_case_31_a_clean_up_races_a_login(portal: LegacyPortal) -> None:
    """given a login of the old backend that is half written at the first look / when it is clean at the second / then
    it keeps every key."""
    redis = portal.client.redis
    now = int(portal.clock.now)
    half = {**_written("43", "half", now), **_written("44", "half-2", now)}
    redis.set("refresh_family:half", half.pop("refresh_family:half"))
    redis.sadd("refresh_user:44", "half-2")
    orphan = "refresh_token:" + "2" * 64
    redis.set(orphan, json.dumps({"familyId": "gone", "userId": "u", "valid": True}))

    async def the_logins_go_on() -> None:
        for key, value in half.items():
            redis.set(key, value) if not key.startswith("refresh_user:") else redis.sadd(key, value)

    report = await Cleanup(portal.store, portal.policy, settle=the_logins_go_on).run()
    assert (report.removed, report.spared) == (1, 2)
    assert not redis.exists(orphan)
    assert {key.decode() for key in redis.scan_iter("refresh_*")} == half.keys() | {"refresh_family:half"}


def _written(user: str, family: str, now: int) -> dict[str, str]:
    session = OldSession(user, family, old_token(user, family, now))
    return {
        f"refresh_family:{family}": json.dumps({"userId": user, "tokenHash": session.digest}),
        f"refresh_token:{session.digest}": json.dumps({"familyId": family, "userId": user, "valid": True}),
        f"refresh_user:{user}": family,
    }


async def test_case_31_a_family_that_began_since_is_kept(portal: LegacyPortal) -> None:
    """given a migration / when users log in, here and at the old backend, and it is cleaned up / then both go on."""
    taken = portal.old_session()
    await _migrate(portal)
    fresh, login = portal.old_session("42", "fresh"), await portal.login()
    report = await _clean_up(portal)
    assert (report["removed"], report["kept"]) == (
        3,
        {"token": {"in_use": 1}, "family": {"in_use": 1}, "member": {"in_use": 1}},
    )
    assert portal.client.redis.smembers("refresh_user:42") == {b"fresh"}
    for token in (taken.token, fresh.token, login.token):
        assert (await portal.refresh(token)).status == 200


async def test_case_31_a_dry_run_of_the_clean_up_writes_nothing(portal: LegacyPortal) -> None:
    """given orphans / when dry run / then they are found and kept."""
    redis = portal.client.redis
    redis.set("refresh_family:alone", json.dumps({"userId": "9", "tokenHash": "4" * 64}))
    redis.sadd("refresh_user:9", "alone", "gone")
    before = dump(redis)
    report = await _clean_up(portal, dry_run=True)
    assert report["found"] == {"token": {}, "family": {"no_token": 1}, "member": {"no_family": 1}}
    assert dump(redis) == before


async def test_case_31_what_the_old_backend_traded_since_is_kept(portal: LegacyPortal) -> None:
    """given a family that the old backend rotated after the copy / when cleaned up / then its newer token stays."""
    old = portal.old_session()
    await _migrate(portal)
    newer = write_session(portal.client.redis, old.user, old.family, int(portal.clock.now))
    await _clean_up(portal)
    assert generation(portal, await portal.refresh(newer.token)) == 1


async def test_case_37_a_logout_with_an_old_token(portal: LegacyPortal) -> None:
    """given an old session, taken over or not / when its holder logs out / then 204, and no run or token revives it."""
    for old in (portal.old_session(), portal.old_session("42", "old-2")):
        assert (await portal.logout(old.token)).status == 204
        assert (await portal.refresh(old.token)).status == 401
    assert (await _migrate(portal))["skipped"] == {"ended": 2}
    assert all(isinstance(record, Tombstone) for record in records_of(portal.client.redis, KEY).values())
    assert portal.reported(ReuseDetected) == []


async def test_revoke_all_ends_what_was_not_migrated(portal: LegacyPortal) -> None:
    """given sessions of the old scheme / when all are ended while a migration has read them / then none comes back."""
    old, other = portal.old_session(), portal.old_session("43", "old-2")
    read_before = await portal.store.peek([f"refresh_token:{old.digest}"])
    stale = LegacyStore(portal.client, replace(portal.policy, max_families=5))  # type: ignore[arg-type]
    assert await portal.ledger.close_all("42", "revoked") == ()
    assert await portal.store.end_all("42") == 1
    assert {key.decode() for key in portal.client.redis.scan_iter("refresh_*")} == {
        f"refresh_token:{other.digest}",
        "refresh_family:old-2",
        "refresh_user:43",
    }
    assert read_before[1][0][0] is not None
    assert (await Migration(stale, portal.policy).run()).taken_over == 1
    assert (await portal.refresh(old.token)).status == 401
    assert (await portal.refresh(other.token)).status == 200


async def test_a_late_write_of_a_migration_does_not_outlive_revoke_all(portal: LegacyPortal) -> None:
    """given a migration that is about to write / when all are ended first / then what it writes is not live."""
    old = portal.old_session()
    run = portal.store.take_over

    async def revoke_first(user: str, families: object, mode: str) -> object:
        await portal.ledger.close_all(user, "revoked")
        return await run(user, families, mode)  # type: ignore[arg-type]

    portal.store.take_over = revoke_first  # type: ignore[method-assign, assignment]
    assert (await _migrate(portal))["skipped"] == {"ended": 1}
    assert _family(portal, old) is None


async def test_without_redis_an_old_token_is_given_back(portal: LegacyPortal) -> None:
    """given Redis away, not strict / when an old token comes / then it is given back, with a fresh access token."""
    old = portal.old_session()

    def away(name: str) -> None:
        from gateway.errors import StoreUnavailable

        raise StoreUnavailable("away")

    portal.client.before = away
    outcome = await portal.refresh(old.token)
    assert (outcome.status, outcome.token == old.token) == (200, True)
    portal.client.before = lambda name: None
    assert generation(portal, await portal.refresh(old.token)) == 1


async def test_without_the_old_secret_no_old_token_is_known(shared_valkey: ValkeyServer) -> None:
    """given `tokens.legacy: null` / when an old token comes / then 401."""
    portal = LegacyPortal(shared_valkey)
    old = portal.old_session()
    await _migrate(portal)
    portal.layer = type(portal.layer)(
        portal.settings.model_copy(update={"legacy": None}),
        portal.ledger,
        login=lambda exchange: False,
        refresh=lambda exchange: True,
        logout=lambda exchange: False,
        clock=portal.clock,
    )
    assert (await portal.refresh(old.token)).status == 401
    portal.client.close()


def test_no_old_secret_is_shown() -> None:
    """Settings with the old secret print without it."""
    from tests.tokens.support import token_settings

    assert "hush-" not in repr(token_settings(legacy={"secret": SECRET}))
