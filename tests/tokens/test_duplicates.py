"""Case 33: several refresh cookies of one name, through the room's layers on a real server."""

from __future__ import annotations

import pytest

from gateway.exchange import Exchange
from gateway.tokens.duplicates import MAX_USERS
from gateway.tokens.events import Audit, ReuseDetected
from gateway.tokens.rotation import Family
from tests.support.legacy import old_token
from tests.support.valkey import ValkeyServer
from tests.tokens.legacy_support import LegacyPortal
from tests.tokens.site import Site
from tests.tokens.support import KEY, Portal, TimedClient, away, generation, records_of, same


def _family(site: Site, token: str) -> str:
    return site.portal.read(token).family


async def _older_and_newer(site: Site) -> tuple[str, str]:
    """Return the tokens of two logins, a minute apart."""
    older = (await site.post(b"/login")).token
    site.portal.clock.advance(60)
    return older, (await site.post(b"/login")).token


@pytest.mark.parametrize("carrier", ["cookie", "both"])
@pytest.mark.parametrize("newer_first", [True, False])
async def test_case_33_an_ended_one_does_not_hide_a_live_one(
    stage: tuple[Portal, TimedClient], carrier: str, newer_first: bool
) -> None:
    """given a cookie whose session was ended elsewhere beside an older one that lives / when refreshed, in either
    order / then the live one goes on, and the ended one is no alarm."""
    site = Site(stage[0], carrier=carrier)
    older, newer = await _older_and_newer(site)
    await site.portal.ledger.close("42", _family(site, newer), "revoked")
    outcome = await site.by_cookie(b"/refresh", *([newer, older] if newer_first else [older, newer]))
    assert generation(site.portal, outcome) == 2
    assert _family(site, outcome.token) == _family(site, older)
    assert [line.outcome for line in site.portal.reported(Audit)][-1] == "rotated"


async def test_case_33_a_spent_one_beside_a_live_one_ends_nothing(stage: tuple[Portal, TimedClient]) -> None:
    """given a cookie that was spent long ago beside an older one that lives / when refreshed / then the live one goes
    on, and the family of the other too: showing it was no theft."""
    site = Site(stage[0], carrier="cookie")
    older, newer = await _older_and_newer(site)
    successor = (await site.by_cookie(b"/refresh", newer)).token
    site.portal.clock.advance(60)
    outcome = await site.by_cookie(b"/refresh", newer, older)
    assert _family(site, outcome.token) == _family(site, older)
    assert site.portal.reported(ReuseDetected) == []
    assert generation(site.portal, await site.by_cookie(b"/refresh", successor)) == 3


async def test_case_33_of_two_live_ones_the_newer_counts(stage: tuple[Portal, TimedClient]) -> None:
    """given two that live / when refreshed / then the newer is rotated, on a retry the same bytes; the older
    is whole."""
    site = Site(stage[0], carrier="cookie")
    older, newer = await _older_and_newer(site)
    first, again = [await site.by_cookie(b"/refresh", older, newer) for _ in range(2)]
    assert (same(first, again), _family(site, first.token) == _family(site, newer)) == (True, True)
    record = records_of(stage[1].redis, KEY)[_family(site, older)]
    assert isinstance(record, Family)
    assert record.generation == 1


async def test_case_33_when_none_lives_the_newest_decides(stage: tuple[Portal, TimedClient]) -> None:
    """given a spent and an ended one, nothing live / when refreshed / then the newest is judged as if it came alone."""
    site = Site(stage[0], carrier="cookie")
    older, newer = await _older_and_newer(site)
    await site.portal.ledger.close("42", _family(site, older), "revoked")
    await site.by_cookie(b"/refresh", newer)
    site.portal.clock.advance(60)
    assert (await site.by_cookie(b"/refresh", older, newer)).status == 401
    assert [event.family for event in site.portal.reported(ReuseDetected)] == [_family(site, newer)]


async def test_case_33_users_are_asked_about_one_by_one(stage: tuple[Portal, TimedClient]) -> None:
    """given cookies of many users, all ended but one / when refreshed / then it goes on, for a bounded number of
    users."""
    site = Site(stage[0], carrier="cookie")
    tokens = []
    for number in range(MAX_USERS + 2):
        site.portal.clock.advance(1)
        site.portal.backend.knows(f"user-{number}")
        tokens.append((await site.post(b"/login")).token)
    live = tokens[3]
    for number, token in enumerate(tokens):
        if token != live:
            await site.portal.ledger.close(f"user-{number}", _family(site, token), "revoked")
    stage[1].sent.clear()
    outcome = await site.by_cookie(b"/refresh", *tokens)
    assert _family(site, outcome.token) == _family(site, live)
    assert [name for name, _ in stage[1].sent] == ["list"] * MAX_USERS + ["rotate"]


async def test_one_cookie_costs_one_script(stage: tuple[Portal, TimedClient]) -> None:
    """given one good token, alone, twice or beside forgeries / when refreshed / then only the decision is asked."""
    site = Site(stage[0], carrier="cookie")
    token = (await site.post(b"/login")).token
    for presented in ([token], [token, token], [token[:-4] + "AAAA", token]):
        stage[1].sent.clear()
        assert generation(site.portal, await site.by_cookie(b"/refresh", *presented)) == 2
        assert [name for name, _ in stage[1].sent] == ["rotate"]


async def test_case_33_what_redis_lost_beats_what_has_ended(stage: tuple[Portal, TimedClient]) -> None:
    """given an empty restart, and since then a session that has ended / when its cookie comes beside one of before /
    then that one is adopted."""
    site = Site(stage[0], carrier="cookie")
    older = (await site.post(b"/login")).token
    site.portal.clock.advance(3600)
    stage[1].redis.flushall()
    newer = (await site.post(b"/login")).token
    await site.by_cookie(b"/logout", newer)
    outcome = await site.by_cookie(b"/refresh", newer, older)
    assert _family(site, outcome.token) == _family(site, older)


async def test_case_33_while_redis_is_away_the_newest_is_given_back(stage: tuple[Portal, TimedClient]) -> None:
    """given no Redis to ask / when two cookies come / then the newer comes back; afterwards the live one goes on."""
    site = Site(stage[0], carrier="cookie")
    older, newer = await _older_and_newer(site)
    await site.portal.ledger.close("42", _family(site, newer), "revoked")
    stage[1].before = away()
    outcome = await site.by_cookie(b"/refresh", older, newer)
    assert (outcome.status, outcome.token == newer) == (200, True)
    stage[1].before = lambda name: None
    outcome = await site.by_cookie(b"/refresh", older, newer)
    assert _family(site, outcome.token) == _family(site, older)


@pytest.mark.parametrize("state", ["not taken over", "waiting", "upgraded", "another", "ended"])
async def test_case_33_an_old_backends_cookie_beside_an_ended_one(shared_valkey: ValkeyServer, state: str) -> None:
    """given an old backend's cookie, wherever its session stands, beside a newer ended one / when refreshed / then the
    old one goes on if it would alone; else 401, and nothing is ended by it."""
    portal = LegacyPortal(shared_valkey, carrier="both")
    old = portal.old_session()
    if state != "not taken over":
        await portal.migrate()
    upgraded = (await portal.refresh(old.token)).token if state in ("upgraded", "another") else ""
    if state == "ended":
        await portal.logout(old.token)
    shown = old_token("42", "old-1", int(portal.clock.now) - 30) if state == "another" else old.token
    newer = (await portal.login()).token
    await portal.ledger.close("42", portal.read(newer).family, "revoked")
    fields = [(b"Cookie", f"refresh_token={token}".encode()) for token in (newer, shown)]
    outcome = await portal.send(Exchange("POST", b"/refresh", fields, client="192.0.2.77"))
    assert outcome.status == (401 if state in ("another", "ended") else 200)
    assert portal.reported(ReuseDetected) == []
    if upgraded:
        assert generation(portal, await portal.refresh(upgraded)) == 2
    portal.client.close()
