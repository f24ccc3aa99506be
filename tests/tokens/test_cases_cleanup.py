"""Case 31: the clean-up of the old scheme beside logins that go on, on a real server."""

from __future__ import annotations

import json

from gateway.tokens.cleanup import Cleanup
from tests.support.legacy import OldSession, dump, old_token, write_session
from tests.tokens.legacy_support import LegacyPortal
from tests.tokens.support import generation


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
    await portal.migrate()
    fresh, login = portal.old_session("42", "fresh"), await portal.login()
    report = await portal.clean_up()
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
    report = await portal.clean_up(dry_run=True)
    assert report["found"] == {"token": {}, "family": {"no_token": 1}, "member": {"no_family": 1}}
    assert dump(redis) == before


async def test_case_31_what_the_old_backend_traded_since_is_kept(portal: LegacyPortal) -> None:
    """given a family that the old backend rotated after the copy / when cleaned up / then its newer token stays."""
    old = portal.old_session()
    await portal.migrate()
    newer = write_session(portal.client.redis, old.user, old.family, int(portal.clock.now))
    await portal.clean_up()
    assert generation(portal, await portal.refresh(newer.token)) == 1
