"""Cases 28 and 29: sessions of the old backend taken over, on a real server."""

from __future__ import annotations

import asyncio
import json

import pytest

from gateway.tokens.events import Audit, ReuseDetected
from gateway.tokens.migrate import Migration
from gateway.tokens.migration import mark_of, name_of
from gateway.tokens.redis_ledger import RedisLedger
from gateway.tokens.rotation import Family, Tombstone
from tests.support.legacy import TTL, OldSession, dump, seed_legacy, write_session
from tests.tokens.legacy_support import LegacyPortal
from tests.tokens.support import KEY, generation, records_of, token_settings

DAY = 86_400


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
    told = await portal.migrate(dry_run=True)
    assert dump(redis) == before
    assert portal.reported(Audit) == []
    done = await portal.migrate()
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
    await portal.migrate()
    assert records_of(portal.client.redis, KEY).keys() == {name_of(old.family) for old in sessions[:10]}
    late = write_session(portal.client.redis, "42", "late", int(portal.clock.now) - 1)
    report = await portal.migrate()
    assert (report["taken_over"], report["evicted"], report["unchanged"]) == (1, 1, 9)
    assert isinstance(portal.family_of(late), Family)
    assert portal.family_of(sessions[9]) == Tombstone("evicted", *_until_and_auth(sessions[9], portal))
    again = await portal.migrate()
    assert (again["taken_over"], again["evicted"], again["renewed"]) == (0, 0, 0)


def _until_and_auth(old: OldSession, portal: LegacyPortal) -> tuple[int, int]:
    issued_at = int(portal.clock.now) - 9060
    return int(portal.clock.now) + 400 * DAY, issued_at


async def test_case_28_a_live_family_makes_no_room(portal: LegacyPortal) -> None:
    """given ten families that are used here / when old ones come / then none of the ten is ended for them."""
    logins = [await portal.login() for _ in range(10)]
    portal.old_session()
    assert (await portal.migrate())["skipped"] == {"over_cap": 1}
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
    await portal.migrate()
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
        await portal.migrate()
    portal.client.before = lambda name: None
    report = await portal.migrate()
    assert (report["taken_over"], report["unchanged"]) == (60, 40)
    assert (await portal.migrate())["unchanged"] == 100


async def test_case_29_the_old_backend_goes_on_rotating(portal: LegacyPortal) -> None:
    """given a token that the old backend traded after the copy / when its successor comes, or a second run / then it is
    known: the family waits for the newer one."""
    first, second = portal.old_session(), portal.old_session("43", "old-2")
    await portal.migrate()
    portal.clock.advance(5)
    newer = [write_session(portal.client.redis, old.user, old.family, int(portal.clock.now)) for old in (first, second)]
    assert generation(portal, await portal.refresh(newer[0].token)) == 1
    assert (await portal.migrate())["renewed"] == 1
    assert generation(portal, await portal.refresh(newer[1].token)) == 1
    assert portal.reported(ReuseDetected) == []


async def test_a_renewed_session_makes_no_room(portal: LegacyPortal) -> None:
    """given as many sessions as the cap, taken over / when the old backend rotates the one used least recently and
    begins another / then a dry run and a run say the same: the renewed one lives, and the oldest by now is out."""
    redis, now = portal.client.redis, int(portal.clock.now)
    sessions = [write_session(redis, "42", f"old-{n}", now - 1000 * n - 60) for n in range(10)]
    await portal.migrate()
    renewed = write_session(redis, "42", sessions[9].family, now - 20)
    late = write_session(redis, "42", "late", now - 10)
    told = await portal.migrate(dry_run=True)
    done = await portal.migrate()
    assert done == told | {"dry_run": False}
    assert (done["renewed"], done["taken_over"], done["evicted"], done["unchanged"]) == (1, 1, 1, 8)
    assert portal.family_of(sessions[8]) == Tombstone("evicted", now + 400 * DAY, now - 8060)
    for old in (renewed, late):
        assert generation(portal, await portal.refresh(old.token)) == 1


async def test_revoke_all_ends_what_was_not_migrated(portal: LegacyPortal) -> None:
    """given sessions of the old scheme / when all of a user's are ended / then they are gone, no run revives one."""
    old, other = portal.old_session(), portal.old_session("43", "old-2")
    assert await portal.ledger.close_all("42", "revoked") == ()
    assert await portal.store.end_all("42") == 1
    assert {key.decode() for key in portal.client.redis.scan_iter("refresh_*")} == {
        f"refresh_token:{other.digest}",
        "refresh_family:old-2",
        "refresh_user:43",
    }
    assert (await portal.migrate())["taken_over"] == 1
    assert (await portal.refresh(old.token)).status == 401
    assert (await portal.refresh(other.token)).status == 200


@pytest.mark.parametrize("trait", ["no createdAt", "long TTL"])
@pytest.mark.parametrize("migrated", [True, False])
async def test_revoke_all_reaches_what_no_set_names(portal: LegacyPortal, trait: str, migrated: bool) -> None:
    """given a session that its user's set does not name, and whose times say little / when all are ended / then its
    token is refused, whether a run comes before it or not."""
    redis, policy = portal.client.redis, portal.policy
    ttl = 4 * policy.session_ttl if trait == "long TTL" else TTL
    old = portal.old_session(ttl=ttl)
    if trait == "no createdAt":
        redis.set("refresh_family:old-1", json.dumps({"userId": "42", "tokenHash": old.digest}), keepttl=True)
    redis.delete("refresh_user:42")
    await portal.ledger.close_all("42", "revoked")
    assert await portal.store.end_all("42") == 0
    portal.clock.advance(5)
    if migrated:
        assert (await portal.migrate())["skipped"] == {"ended": 1}
    assert (await portal.refresh(old.token)).status == 401


async def test_a_session_that_began_after_revoke_all_is_taken_over(portal: LegacyPortal) -> None:
    """given an end of all / when the old backend begins another session / then it is taken over."""
    await portal.ledger.close_all("42", "revoked")
    portal.clock.advance(70)
    assert (await portal.refresh(portal.old_session(age=0).token)).status == 200


async def test_without_an_end_of_all_an_unknown_beginning_is_no_harm(portal: LegacyPortal) -> None:
    """given a session without createdAt of a user whose sessions were never all ended / then it is taken over."""
    old = portal.old_session()
    portal.client.redis.set("refresh_family:old-1", json.dumps({"userId": "42", "tokenHash": old.digest}), keepttl=True)
    assert (await portal.refresh(old.token)).status == 200


async def test_a_late_write_of_a_migration_does_not_outlive_revoke_all(portal: LegacyPortal) -> None:
    """given a migration that is about to write / when all are ended first / then what it writes is not live."""
    old = portal.old_session()
    run = portal.store.take_over

    async def revoke_first(user: str, families: object, mode: str) -> object:
        await portal.ledger.close_all(user, "revoked")
        return await run(user, families, mode)  # type: ignore[arg-type]

    portal.store.take_over = revoke_first  # type: ignore[method-assign, assignment]
    assert (await portal.migrate())["skipped"] == {"ended": 1}
    assert portal.family_of(old) is None


async def test_revoke_all_holds_as_long_as_an_old_token_may_come(portal: LegacyPortal) -> None:
    """given a token of a year, of a session that no set names / when all are ended / then what refuses it is kept for
    as long as it may come; where no old tokens are known, for as long as a session may last."""
    year = 365 * DAY
    portal.old_session(ttl=year)
    portal.client.redis.delete("refresh_user:42")
    await portal.ledger.close_all("42", "revoked")
    assert portal.client.redis.ttl(KEY) > year  # type: ignore[operator]
    portal.client.redis.delete(KEY)
    plain = RedisLedger(portal.client, token_settings(refresh_ttl="1d").policy)  # type: ignore[arg-type]
    await plain.close_all("42", "revoked")
    assert portal.settings.session_ttl < portal.client.redis.ttl(KEY) < portal.settings.session_ttl + 2 * DAY  # type: ignore[operator]


@pytest.mark.parametrize("by", ["name", "token"])
async def test_an_ended_session_stays_ended_for_a_long_lived_old_token(portal: LegacyPortal, by: str) -> None:
    """given a token of a year whose session was taken over and then ended / when it comes after two months, and the
    user has logged in meanwhile / then 401: its old key is still there, but nothing is taken over again."""
    old = portal.old_session(ttl=365 * DAY)
    await portal.migrate()
    if by == "name":
        assert await portal.ledger.close("42", name_of(old.family), "revoked")
    else:
        assert (await portal.logout(old.token)).status == 204
    portal.clock.advance(60 * DAY)
    await portal.login()
    assert (await portal.refresh(old.token)).status == 401
    assert (await portal.migrate())["skipped"] == {"ended": 1}


async def test_every_step_names_its_session(portal: LegacyPortal) -> None:
    """given sessions good and bad / when migrated, traded and cleaned up / then each line of the trail says whose,
    which family, which device, and calls the token as the line of its refresh does."""
    redis, names = portal.client.redis, portal.mint.fingerprint
    good, gone = portal.old_session(agent="phone"), portal.old_session("43", "gone", agent="laptop")
    redis.set("refresh_family:gone", json.dumps({"userId": "44", "tokenHash": gone.digest, "userAgent": "laptop"}))
    redis.set("refresh_token:" + "1" * 64, "{")
    await portal.migrate()
    lines = {line.outcome: line for line in portal.reported(Audit)}
    token = names(mark_of(good.digest))
    assert lines == {
        "taken-over": Audit("migrate", "taken-over", "42", name_of("old-1"), token, "phone"),
        "skipped: other_user": Audit(
            "migrate", "skipped: other_user", "43", name_of("gone"), names(mark_of(gone.digest)), "laptop"
        ),
        "skipped: unreadable": Audit("migrate", "skipped: unreadable", "", "", names(mark_of("1" * 64))),
    }
    portal.events.clear()
    await portal.refresh(good.token)
    await portal.clean_up()
    lines = {(line.action, line.outcome): line for line in portal.reported(Audit)}
    assert lines["refresh", "upgraded"].token == token
    for kind in ("token", "family", "member"):
        assert lines["cleanup", f"{kind}: taken_over"] == Audit(
            "cleanup", f"{kind}: taken_over", "42", name_of("old-1"), token, "phone"
        )
