"""What of the old scheme may go."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from gateway.tokens.migration import NO_EXPIRY, NO_FAMILY, UNREADABLE, OldFamily, OldToken, mark_of, name_of
from gateway.tokens.orphans import (
    FOREIGN,
    IN_USE,
    IN_USE_FOR_EVER,
    NEVER_EXPIRES,
    NO_TOKEN,
    OTHER_USER,
    SPENT,
    TAKEN_OVER,
    Finding,
    judge_family,
    judge_member,
    judge_token,
)
from gateway.tokens.orphans import NO_FAMILY as ALONE
from gateway.tokens.rotation import Family, Policy

NOW = 1_800_000_000_000
DIGEST = "ab" * 32
TOKEN = OldToken(DIGEST, "fam", "42")
FAMILY = OldFamily("42", DIGEST, NOW - 1000, "")
KNOWN = {name_of("fam"): Family(0, mark_of(DIGEST), 0, 0, 0)}
LONG_AGO = replace(FAMILY, created_ms=NOW - 31 * 86_400_000)


@pytest.mark.parametrize(
    ("token", "family", "ttl", "records", "finding"),
    [
        (TOKEN, FAMILY, 1000, {}, IN_USE),
        (TOKEN, FAMILY, 1000, KNOWN, TAKEN_OVER),
        (UNREADABLE, FAMILY, 1000, {}, FOREIGN),
        (TOKEN, NO_FAMILY, 1000, {}, ALONE),
        (TOKEN, UNREADABLE, 1000, {}, ALONE),
        (replace(TOKEN, valid=False), FAMILY, 1000, {}, SPENT),
        (replace(TOKEN, digest="cd" * 32), FAMILY, 1000, {}, SPENT),
        (replace(TOKEN, valid=False), FAMILY, 1000, KNOWN, TAKEN_OVER),
        (TOKEN, FAMILY, NO_EXPIRY, {}, IN_USE_FOR_EVER),
        (TOKEN, LONG_AGO, NO_EXPIRY, {}, NEVER_EXPIRES),
        (TOKEN, replace(FAMILY, created_ms=None), NO_EXPIRY, {}, IN_USE_FOR_EVER),
    ],
)
def test_tokens(token: Any, family: Any, ttl: int, records: Any, finding: Finding) -> None:
    """A token goes when it leads nowhere or was taken over; one that is of use, or tells of reuse, stays."""
    assert judge_token(token, family, ttl, records, NOW, Policy()) == finding


@pytest.mark.parametrize(
    ("family", "token", "records", "finding"),
    [
        (FAMILY, TOKEN, {}, IN_USE),
        (FAMILY, UNREADABLE, {}, NO_TOKEN),
        (FAMILY, TOKEN, KNOWN, TAKEN_OVER),
        (FAMILY, UNREADABLE, KNOWN, TAKEN_OVER),
        (UNREADABLE, TOKEN, {}, FOREIGN),
    ],
)
def test_families(family: Any, token: Any, records: Any, finding: Finding) -> None:
    """A family goes when the token that it waits for is gone, or when it was taken over."""
    assert judge_family("fam", family, token, records) == finding


@pytest.mark.parametrize(
    ("user", "family", "records", "finding"),
    [
        ("42", FAMILY, {}, IN_USE),
        ("42", NO_FAMILY, {}, ALONE),
        ("42", UNREADABLE, {}, FOREIGN),
        ("43", FAMILY, {}, OTHER_USER),
        ("42", FAMILY, KNOWN, TAKEN_OVER),
    ],
)
def test_members(user: str, family: Any, records: Any, finding: Finding) -> None:
    """A name in a user's set goes when its family is gone, is somebody else's, or was taken over."""
    assert judge_member(user, "fam", family, records) == finding
