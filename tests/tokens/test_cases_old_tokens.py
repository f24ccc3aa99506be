"""Cases 10, 30 and 37, for tokens of the old backend: through the layer, on a real server."""

from __future__ import annotations

import pytest

from gateway.errors import StoreUnavailable
from gateway.tokens.events import Audit, ReuseDetected
from gateway.tokens.migration import mark_of, name_of
from gateway.tokens.rotation import Family, Tombstone
from tests.support.legacy import SECRET, old_token
from tests.support.valkey import ValkeyServer
from tests.tokens.legacy_support import LegacyPortal
from tests.tokens.support import KEY, generation, records_of, same, token_settings

DAY = 86_400


async def test_case_30_an_old_token_is_traded_once(portal: LegacyPortal) -> None:
    """given a session that was taken over / when its token comes, comes again, and comes late / then it is upgraded,
    the same successor, reuse."""
    old = portal.old_session()
    await portal.migrate()
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
    await portal.migrate()
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
    token = portal.mint.fingerprint(mark_of(old.digest))
    assert Audit("migrate", "taken", "42", name_of("old-1"), token, "Old/1.0") in portal.reported(Audit)
    assert (await portal.migrate())["skipped"] == {"upgraded": 1}


async def test_case_30_the_upgraded_session_goes_on(portal: LegacyPortal) -> None:
    """The user is who it was, the session began when it began, and its device is known."""
    old = portal.old_session(42, agent="Old Browser/1.0 \r\nX")
    outcome = await portal.refresh(old.token)
    token = portal.read(outcome.token)
    assert (token.login.user, token.auth_time) == ("42", int(portal.clock.now) - 3660)
    record = portal.family_of(old)
    assert isinstance(record, Family)
    assert record.device == " Old Browser/1.0  X"
    assert (await portal.refresh(outcome.token)).status == 200


async def test_case_30_a_session_older_than_a_session_may_be_is_not_cut_off(portal: LegacyPortal) -> None:
    """given a session of a year / when it is taken over / then it lives as long as its old token would have."""
    old = portal.old_session(age=365 * DAY)
    await portal.migrate()
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
    await portal.migrate()
    assert (await portal.refresh(token)).status == 401
    assert generation(portal, await portal.refresh(old.token)) == 1


async def test_case_37_a_logout_with_an_old_token(portal: LegacyPortal) -> None:
    """given an old session, taken over or not / when its holder logs out / then 204, and no run or token revives it."""
    for old in (portal.old_session(), portal.old_session("42", "old-2")):
        assert (await portal.logout(old.token)).status == 204
        assert (await portal.refresh(old.token)).status == 401
    assert (await portal.migrate())["skipped"] == {"ended": 2}
    assert all(isinstance(record, Tombstone) for record in records_of(portal.client.redis, KEY).values())
    assert portal.reported(ReuseDetected) == []


async def test_without_redis_an_old_token_is_given_back(portal: LegacyPortal) -> None:
    """given Redis away, not strict / when an old token comes / then it is given back, with a fresh access token."""
    old = portal.old_session()

    def away(name: str) -> None:
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
    await portal.migrate()
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
    assert "hush-" not in repr(token_settings(legacy={"secret": SECRET}))
