"""The records of a backend that kept refresh tokens by itself: what they say, and what becomes of them here.

The one idea: a record goes in and a verdict comes out, a `TakeOver` or the reason why there is none; reading and
writing is somebody else's. Each old family gets a name that is made of its own, so that taking it over twice is once.

| key | holds |
|---|---|
| `refresh_token:<SHA-256 of the token>` | `{familyId, userId, valid}` |
| `refresh_family:<id>` | `{userId, tokenHash, deviceId, userAgent, createdAt}` |
| `refresh_user:<id>` | a set of family ids |

Pure. Times are milliseconds since the epoch, but for what is named in seconds.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from gateway.tokens.client import printable
from gateway.tokens.identity import subject_of
from gateway.tokens.rotation import OLD_MARK, Family, Policy, Record

TOKEN: Final = "refresh_token:"  # noqa: S105  # a key, no secret
FAMILY: Final = "refresh_family:"
USER: Final = "refresh_user:"
NO_EXPIRY: Final = -1
"""PTTL of a key that never expires."""
_HASH: Final = re.compile(r"[0-9a-f]{64}", re.ASCII)
_MILLISECONDS: Final = 10**11
"""A number beyond this counts milliseconds: in seconds it would be the year 5138."""
_LATEST: Final = 2**40 * 1000


@dataclass(frozen=True, slots=True)
class Skipped:
    """A record that is not taken over, and why."""

    reason: str


UNREADABLE: Final = Skipped("unreadable")
"""Not the JSON, or not the key, that the old backend wrote."""
SPENT: Final = Skipped("spent")
"""`valid: false`: it was traded or revoked."""
NO_FAMILY: Final = Skipped("no_family")
SUPERSEDED: Final = Skipped("superseded")
"""Its family waits for another token."""
OTHER_USER: Final = Skipped("other_user")
"""Token and family name two users."""
EXPIRED: Final = Skipped("expired")
"""The key was gone when it was looked at again."""


@dataclass(frozen=True, slots=True)
class OldToken:
    """A token that the old backend knows, and whether it would take it."""

    digest: str
    family: str
    user: str
    valid: bool = True


@dataclass(frozen=True, slots=True)
class OldFamily:
    """A family of the old backend, and the one token it waits for."""

    user: str
    digest: str
    created_ms: int | None
    device: str


@dataclass(frozen=True, slots=True)
class TakeOver:
    """What is written: a family at generation 0, whose key id is the mark of its old token. Field by field what
    `takeover.lua` takes."""

    name: str
    mark: str
    rotated_ms: int
    auth_time: int
    expires: int
    began: int
    """When the old backend says that it began, s; 0: it does not say. Unlike `auth_time`, which is fitted to
    `session_ttl`, it proves whether the session is younger than an end of all."""
    own: str
    note: str


def name_of(old_family: str) -> str:
    """Return the name that a family of the old scheme has here."""
    return hashlib.sha256(b"family " + old_family.encode()).hexdigest()[:24]


def is_digest(text: str) -> bool:
    """Tell whether a text is a SHA-256 as the old backend wrote it."""
    return _HASH.fullmatch(text) is not None


def mark_of(digest: str) -> str:
    """Return what stands for an old token in the place of a key id."""
    return f"{OLD_MARK}{digest[:32]}"


def own_of(digest: str) -> str:
    """Return the name of the tombstone that an old token gets once it was traded."""
    return digest[:24]


def read_token(digest: str, value: bytes | None) -> OldToken | Skipped:
    """Return what `refresh_token:<digest>` says."""
    if value is None:
        return EXPIRED
    data = _object(value)
    if data is None or not is_digest(digest):
        return UNREADABLE
    family, user, valid = subject_of(data.get("familyId")), subject_of(data.get("userId")), data.get("valid")
    if family is None or user is None or not isinstance(valid, bool):
        return UNREADABLE
    return OldToken(digest, family, user, valid)


def read_family(value: bytes | None) -> OldFamily | Skipped:
    """Return what `refresh_family:<id>` says."""
    if value is None:
        return NO_FAMILY
    data = _object(value)
    if data is None:
        return UNREADABLE
    user, digest = subject_of(data.get("userId")), data.get("tokenHash")
    if user is None or not isinstance(digest, str) or not is_digest(digest):
        return UNREADABLE
    device = data.get("userAgent") or data.get("deviceId") or ""
    text = device if isinstance(device, str) else ""
    return OldFamily(user, digest, _milliseconds(data.get("createdAt")), printable(text.encode("utf-8", "replace")))


def take_over(
    token: OldToken | Skipped, family: OldFamily | Skipped, ttl: int, now: int, policy: Policy
) -> TakeOver | Skipped:
    """Return what a token and its family become.

    Nobody is logged out by it: a session older than `session_ttl` allows lives as long as its old token would have, but
    never longer than one that began now.

    Args:
        token: the token.
        family: the family it names.
        ttl: PTTL of the token's key, ms; `NO_EXPIRY` counts as a full idle time from now.
        now: the store's time, ms.
        policy: lifetimes of the new scheme.
    """
    if isinstance(token, Skipped):
        return token
    if not token.valid:
        return SPENT
    if isinstance(family, Skipped):
        return family
    if family.user != token.user:
        return OTHER_USER
    if family.digest != token.digest:
        return SUPERSEDED
    if ttl != NO_EXPIRY and ttl <= 0:
        return EXPIRED
    rotated, auth_time, expires = _times(family, ttl, now, policy)
    return TakeOver(
        name=name_of(token.family),
        mark=mark_of(token.digest),
        rotated_ms=rotated,
        auth_time=auth_time,
        expires=expires,
        began=0 if family.created_ms is None else min(now, family.created_ms) // 1000,
        own=own_of(token.digest),
        note=f" {family.device}",
    )


def _times(family: OldFamily, ttl: int, now: int, policy: Policy) -> tuple[int, int, int]:
    """Return when a family was rotated (ms), when its user logged in and when its token ends (s), see `take_over`."""
    left = 1000 * policy.refresh_ttl if ttl == NO_EXPIRY else ttl
    expires = (now + left) // 1000
    created = min(now, family.created_ms if family.created_ms is not None else now)
    auth_time = min(now // 1000, max(created // 1000, expires - policy.session_ttl))
    rotated = created if ttl == NO_EXPIRY else max(created, min(now, now + left - 1000 * policy.refresh_ttl))
    return rotated, auth_time, min(expires, auth_time + policy.session_ttl)


def is_taken_over(records: Mapping[str, Record], old_family: str, digest: str) -> bool:
    """Tell whether the new scheme knows a family well enough for the old keys of its token `digest` to go.

    It does not while it still waits for an earlier token: the old backend has traded that one since.
    """
    match records.get(name_of(old_family)):
        case None:
            return own_of(digest) in records
        case Family(generation=0, key_id=mark):
            return mark == mark_of(digest)
        case _:
            return True


def _object(value: bytes) -> dict[str, Any] | None:
    try:
        data = json.loads(value)
    except (ValueError, RecursionError):
        return None
    return data if isinstance(data, dict) else None


def _milliseconds(value: Any) -> int | None:
    """Read a time as JavaScript writes it: ISO 8601, or a number of milliseconds or seconds."""
    if isinstance(value, str):
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            return None
        value = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000
    elif isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < _MILLISECONDS:
        value *= 1000
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < _LATEST:
        return None
    return int(value)
