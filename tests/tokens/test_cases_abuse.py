"""Guessers: failed attempts are limited, and nobody else is, through the room's layers on a real server."""

from __future__ import annotations

import pytest

from gateway.tokens.abuse import BURST, PERIOD
from gateway.tokens.events import AttemptFailed, Audit
from tests.tokens.site import Site, forged
from tests.tokens.support import Portal, TimedClient, generation


async def test_failed_attempts_are_limited(stage: tuple[Portal, TimedClient]) -> None:
    """given a guesser / when it has failed too often / then 429 with Retry-After, until it has waited."""
    site = Site(stage[0])
    guess = forged((await site.post(b"/login")).token)
    assert {(await site.by_json(b"/refresh", guess)).status for _ in range(BURST)} == {401}
    outcome = await site.by_json(b"/refresh", guess)
    assert (outcome.status, outcome.code) == (429, "too-many-attempts")
    assert (await site.by_json(b"/refresh", guess, client="192.0.2.78")).status == 401
    site.portal.clock.advance(PERIOD)
    assert (await site.by_json(b"/refresh", guess)).status == 401
    assert (await site.by_json(b"/refresh", guess)).status == 429


async def test_unknown_families_are_failed_attempts_too(stage: tuple[Portal, TimedClient]) -> None:
    """given tokens of ours whose family nobody knows / when they come again and again / then 429."""
    site = Site(stage[0])
    token = (await site.post(b"/login")).token
    site.portal.clock.advance(600)
    stage[1].redis.delete("gw:t:{42}")
    statuses = [(await site.by_json(b"/refresh", token)).status for _ in range(BURST + 1)]
    assert statuses == [401] * BURST + [429]
    assert site.portal.reported(AttemptFailed) == [AttemptFailed("refresh", "too-many-attempts", "192.0.2.0/24")]


async def test_good_tokens_pass_behind_a_guessers_address(stage: tuple[Portal, TimedClient]) -> None:
    """given an address with too many failures / when a customer behind it refreshes or logs out / then served."""
    site = Site(stage[0])
    first = await site.post(b"/login")
    for _ in range(BURST + 5):
        await site.by_json(b"/refresh", forged(first.token))
    second = await site.by_json(b"/refresh", first.token)
    assert generation(site.portal, second) == 2
    assert {(await site.by_json(b"/refresh", first.token)).status for _ in range(BURST)} == {200}
    assert (await site.by_json(b"/logout", second.token)).status == 204


@pytest.mark.parametrize("kind", ["replayed", "ended", "expired", "malformed"])
async def test_only_failed_attempts_count(stage: tuple[Portal, TimedClient], kind: str) -> None:
    """given tokens that were good once, or are no tokens / when they come in numbers / then a guess is still a 401."""
    site = Site(stage[0])
    token = (await site.post(b"/login")).token
    if kind == "replayed":
        await site.by_json(b"/refresh", token)
    elif kind == "ended":
        await site.by_json(b"/logout", token)
    elif kind == "expired":
        site.portal.clock.advance(604_800)
    for _ in range(BURST + 1):
        outcome = await site.by_json(b"/refresh", "junk" if kind == "malformed" else token)
    assert outcome.status == {"replayed": 200, "malformed": 400}.get(kind, 401)
    assert (await site.by_json(b"/refresh", forged(token))).status == 401


async def test_a_limited_attempt_leaves_no_trail_of_its_token(stage: tuple[Portal, TimedClient]) -> None:
    """given forged tokens / when they are limited / then no event holds one, and no user is named for them."""
    site = Site(stage[0])
    token = (await site.post(b"/login")).token
    site.portal.events.clear()
    for _ in range(BURST + 1):
        await site.by_json(b"/refresh", forged(token))
    assert site.portal.reported(Audit) == []
    told = [AttemptFailed("refresh", outcome, "192.0.2.0/24") for outcome in ("invalid", "too-many-attempts")]
    assert site.portal.reported(AttemptFailed) == [*[told[0]] * BURST, told[1]]
    assert (forged(token) in repr(site.portal.events)) is False
