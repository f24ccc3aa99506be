"""Old records in, verdicts out."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.tokens.migration import (
    EXPIRED,
    NO_EXPIRY,
    NO_FAMILY,
    OTHER_USER,
    SPENT,
    SUPERSEDED,
    UNREADABLE,
    OldFamily,
    OldToken,
    TakeOver,
    is_taken_over,
    mark_of,
    name_of,
    own_of,
    read_family,
    read_token,
    take_over,
)
from gateway.tokens.rotation import Family, Policy, Record, Tombstone

NOW = 1_800_000_000_000
DAY = 86_400
DIGEST = "ab" * 32
POLICY = Policy()
TOKEN = OldToken(DIGEST, "fam", "42")
FAMILY = OldFamily("42", DIGEST, NOW - 1000 * DAY, "phone")


def _json(**fields: Any) -> bytes:
    return json.dumps(fields).encode()


def test_a_token_is_read() -> None:
    """Family, user (a number too) and whether it is good."""
    assert read_token(DIGEST, _json(familyId="fam", userId="42", valid=True)) == TOKEN
    assert read_token(DIGEST, _json(familyId=7, userId=42, valid=False)) == OldToken(DIGEST, "7", "42", valid=False)
    assert read_token(DIGEST, None) == EXPIRED


@pytest.mark.parametrize(
    "value",
    [b"", b"{", b"[1]", b"null", b"\xff", b"[" * 10_000, _json(familyId="f"), _json(userId="u", valid=True),
     _json(familyId="", userId="u"), _json(familyId="f", userId=True), _json(familyId="\ud800", userId="u"),
     _json(familyId="f", userId="x" * 257)],
    ids=range(12),
)  # fmt: skip
def test_what_the_old_backend_did_not_write_is_unreadable(value: bytes) -> None:
    """Whatever stands in a key, reading it fails nobody."""
    assert read_token(DIGEST, value) == UNREADABLE
    assert read_family(value) == UNREADABLE


def test_a_key_that_is_no_hash_is_unreadable() -> None:
    """A token is named by 64 hexadecimal digits."""
    assert read_token("nonsense", _json(familyId="f", userId="u", valid=True)) == UNREADABLE


@pytest.mark.parametrize(
    ("created", "milliseconds"),
    [
        ("2027-01-15T08:00:00.250Z", NOW + 250),
        ("2027-01-15T10:00:00+02:00", NOW),
        ("2027-01-15T08:00:00", NOW),
        (NOW, NOW),
        (NOW // 1000, NOW),
        ("yesterday", None),
        (None, None),
        (True, None),
        (-1, None),
        (1e300, None),
    ],
)
def test_a_familys_beginning_is_read_however_it_is_written(created: Any, milliseconds: int | None) -> None:
    """ISO 8601, milliseconds or seconds; what is none of them counts as not known."""
    family = read_family(_json(userId="42", tokenHash=DIGEST, createdAt=created, userAgent="phone"))
    assert family == OldFamily("42", DIGEST, milliseconds, "phone")


def test_a_device_is_bounded_and_printable() -> None:
    """The user agent, else the device's id; never more than a record may hold, and no line of the trail breaks."""
    long = read_family(_json(userId="1", tokenHash=DIGEST, userAgent="a\r\nü" + "b" * 200))
    other = read_family(_json(userId="1", tokenHash=DIGEST, deviceId="device-7"))
    assert isinstance(long, OldFamily)
    assert isinstance(other, OldFamily)
    assert (long.device, other.device) == (f"a {'b' * 78}", "device-7")
    assert read_family(_json(userId="1", tokenHash=DIGEST, userAgent=["x"])) == OldFamily("1", DIGEST, None, "")


def test_a_good_session_is_taken_over() -> None:
    """It began when it began, was used last when its token was made, and ends with its token."""
    assert take_over(TOKEN, FAMILY, 6 * DAY * 1000, NOW, POLICY) == TakeOver(
        name=name_of("fam"),
        mark=mark_of(DIGEST),
        rotated_ms=NOW - 1000 * DAY,
        auth_time=NOW // 1000 - DAY,
        expires=NOW // 1000 + 6 * DAY,
        began=NOW // 1000 - DAY,
        own=own_of(DIGEST),
        note=" phone",
    )


@pytest.mark.parametrize(
    ("token", "family", "ttl", "reason"),
    [
        (EXPIRED, FAMILY, 1000, EXPIRED),
        (UNREADABLE, FAMILY, 1000, UNREADABLE),
        (replace(TOKEN, valid=False), FAMILY, 1000, SPENT),
        (TOKEN, NO_FAMILY, 1000, NO_FAMILY),
        (TOKEN, UNREADABLE, 1000, UNREADABLE),
        (TOKEN, replace(FAMILY, user="43"), 1000, OTHER_USER),
        (TOKEN, replace(FAMILY, digest="cd" * 32), 1000, SUPERSEDED),
        (TOKEN, FAMILY, 0, EXPIRED),
        (TOKEN, FAMILY, -2, EXPIRED),
    ],
)
def test_what_is_not_taken_over_has_a_reason(token: Any, family: Any, ttl: int, reason: Any) -> None:
    """One for each way in which an old record is of no use."""
    assert take_over(token, family, ttl, NOW, POLICY) == reason


def test_a_key_without_expiry_lives_an_idle_time_and_counts_as_old() -> None:
    """It may be a leak: it must not push out sessions that are used."""
    taken = take_over(TOKEN, FAMILY, NO_EXPIRY, NOW, POLICY)
    assert isinstance(taken, TakeOver)
    assert (taken.expires, taken.rotated_ms) == (NOW // 1000 + POLICY.refresh_ttl, FAMILY.created_ms)


@given(
    created=st.none() | st.integers(0, 2 * NOW),
    ttl=st.just(NO_EXPIRY) | st.integers(1, 400 * DAY * 1000),
    refresh_ttl=st.integers(1, 90 * DAY),
    session_ttl=st.integers(1, 90 * DAY),
)
def test_nobody_is_logged_out_by_being_taken_over(
    created: int | None, ttl: int, refresh_ttl: int, session_ttl: int
) -> None:
    """Whatever the lifetimes, the record holds for the token's own time or a whole session, and began before now."""
    policy = Policy(refresh_ttl=refresh_ttl, session_ttl=session_ttl)
    taken = take_over(TOKEN, replace(FAMILY, created_ms=created), ttl, NOW, policy)
    assert isinstance(taken, TakeOver)
    own = (NOW + (1000 * refresh_ttl if ttl == NO_EXPIRY else ttl)) // 1000
    assert taken.expires == min(own, NOW // 1000 + session_ttl)
    assert taken.expires <= taken.auth_time + session_ttl
    assert taken.auth_time <= NOW // 1000
    assert taken.rotated_ms <= NOW
    assert taken.began == (0 if created is None else min(created, NOW) // 1000)


@given(st.text(max_size=256).filter(lambda text: text.isprintable()))
def test_a_name_is_one_of_ours(family: str) -> None:
    """Whatever an old family is called, its name here looks like any other, and is no field of another use."""
    name = name_of(family)
    assert len(name) == 24
    assert set(name) <= set("0123456789abcdef")


@pytest.mark.parametrize(
    ("records", "known"),
    [
        ({}, False),
        ({name_of("fam"): Family(0, mark_of(DIGEST), 0, 0, 0)}, True),
        ({name_of("fam"): Family(0, mark_of("cd" * 32), 0, 0, 0)}, False),
        ({name_of("fam"): Family(3, "k", 0, 0, 0)}, True),
        ({name_of("fam"): Tombstone("revoked", 0, 0)}, True),
        ({own_of(DIGEST): Tombstone("upgraded", 0, 0)}, True),
        ({name_of("other"): Family(3, "k", 0, 0, 0)}, False),
    ],
)
def test_when_old_keys_may_go(records: dict[str, Record], known: bool) -> None:
    """When the new scheme has the family, has ended it, or has traded the token; not while it waits for an older."""
    assert is_taken_over(records, "fam", DIGEST) is known
