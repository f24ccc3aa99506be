"""The transition table, row by row, on its edges."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gateway.tokens.rotation import (
    Adopted,
    Ended,
    Expired,
    Family,
    Healed,
    Policy,
    Presented,
    Replayed,
    Result,
    Reused,
    Rotated,
    Tombstone,
    Unknown,
    bury,
    decide,
)

NOW_S = 1_800_000_000
NOW = NOW_S * 1000 + 123
DAY = 86_400
POLICY = Policy(refresh_ttl=7 * DAY, session_ttl=30 * DAY, grace_ms=30_000)
LIVE = Family(5, "k1", NOW - 10_000, NOW_S - DAY, NOW_S + 6 * DAY, device="phone")
TOKEN = Presented("f", 5, NOW_S - DAY, NOW_S - 3600, NOW_S + 6 * DAY, device="laptop")
NEXT = Family(6, "k2", NOW, NOW_S - DAY, NOW_S + 7 * DAY, device="phone")


def _decided(
    record: Family | Tombstone | None, token: Presented, *, now: int = NOW, birth: int = 0, floor: int = 0
) -> Result:
    return decide(record, token, now, POLICY, "k2", birth, floor)


def test_the_current_generation_rotates() -> None:
    """live, gen = current: the record moves on by one, to now, with the key in force and an idle time from now."""
    assert _decided(LIVE, TOKEN) == Rotated(NEXT)


@pytest.mark.parametrize(("age_ms", "kind"), [(0, Replayed), (30_000, Replayed), (30_001, Reused), (-5_000, Replayed)])
def test_the_direct_predecessor_is_replayed_up_to_the_end_of_grace(age_ms: int, kind: type[Result]) -> None:
    """live, gen = current - 1: the very record while grace lasts (a clock that stepped back counts as in it)."""
    record = replace(LIVE, rotated_ms=NOW - age_ms)
    result = _decided(record, replace(TOKEN, generation=4))
    assert type(result) is kind
    if isinstance(result, Replayed):
        assert result.family == record


def test_a_newer_generation_heals_the_record() -> None:
    """live, gen > current: a write was lost; the record follows the token."""
    assert _decided(LIVE, replace(TOKEN, generation=9)) == Healed(replace(NEXT, generation=10))


@pytest.mark.parametrize("generation", [1, 3])
def test_an_older_generation_is_reuse_even_in_grace(generation: int) -> None:
    """live, anything else: the family gets a tombstone."""
    result = _decided(LIVE, replace(TOKEN, generation=generation))
    assert result == Reused(Tombstone("reused", NOW_S + DAY, LIVE.auth_time))


@pytest.mark.parametrize("generation", [1, 4, 5, 6])
def test_a_tombstone_answers_with_its_reason(generation: int) -> None:
    """tombstone, any gen: no alarm, the reason is told, also when the token could be adopted."""
    grave = Tombstone("evicted", NOW_S + DAY, NOW_S - DAY)
    result = _decided(grave, replace(TOKEN, generation=generation, degraded=True), birth=NOW)
    assert result == Ended("evicted")


@pytest.mark.parametrize(
    ("change", "birth", "adopted"),
    [
        ({}, 0, False),
        ({}, (NOW_S - 3600) * 1000, False),
        ({}, (NOW_S - 3600) * 1000 + 1, True),
        ({"issued_at": NOW_S - 299}, 0, True),
        ({"issued_at": NOW_S - 300}, 0, False),
        ({"issued_at": NOW_S + 120}, 0, True),
        ({"degraded": True}, 0, True),
    ],
)
def test_an_unknown_family_is_adopted_when_the_client_is_not_to_blame(
    change: dict[str, int], birth: int, adopted: bool
) -> None:
    """unknown: adopted when older than the dataset, younger than five minutes, or minted while Redis was away."""
    result = _decided(None, replace(TOKEN, **change), birth=birth)  # type: ignore[arg-type]
    expected = Adopted(replace(NEXT, adopted=True, device="laptop")) if adopted else Unknown()
    assert result == expected


def test_the_floor_keeps_crowded_out_families_from_coming_back() -> None:
    """An unknown family that began at or before the floor is not adopted, one that began later is."""
    assert _decided(None, TOKEN, birth=NOW, floor=TOKEN.auth_time) == Unknown()
    assert isinstance(_decided(None, TOKEN, birth=NOW, floor=TOKEN.auth_time - 1), Adopted)


@pytest.mark.parametrize("record", [None, LIVE, Tombstone("revoked", NOW_S + DAY, NOW_S - DAY)])
def test_an_expired_token_is_expired_whatever_is_known(record: Family | Tombstone | None) -> None:
    """At its `exp` a token ends, one millisecond before it does not; nothing happens to the family."""
    token = replace(TOKEN, expires=NOW_S)
    assert _decided(record, token, now=NOW_S * 1000) == Expired()
    assert _decided(record, token, now=NOW_S * 1000 - 1) != Expired()


def test_the_session_ends_by_the_policy_in_force() -> None:
    """A token whose `exp` was set under a longer session time is still cut at the session's end of today."""
    token = replace(TOKEN, auth_time=NOW_S - 30 * DAY)
    assert _decided(LIVE, token) == Expired()


def test_a_successor_never_outlives_the_session() -> None:
    """Near the absolute end the idle time is cut."""
    token = replace(TOKEN, auth_time=NOW_S - 29 * DAY)
    result = _decided(LIVE, token)
    assert isinstance(result, Rotated)
    assert result.family.expires == token.auth_time + 30 * DAY


def test_a_tombstone_of_an_adopted_family_outlives_its_tokens() -> None:
    """An ordinary family's end may be forgotten after a day, an adopted one's only with its last token."""
    assert bury(LIVE, "revoked", NOW).until == NOW_S + DAY
    assert bury(replace(LIVE, adopted=True), "revoked", NOW).until == LIVE.expires
    assert bury(replace(LIVE, expires=NOW_S + 60), "revoked", NOW).until == NOW_S + 60
