"""What of the old scheme may go, and what stays until its owner has come.

The one idea: a key goes when it leads nowhere, or when the new scheme has taken over what it leads to; a session that
still needs it keeps it, and so does one that is just being written, because every finding is looked at twice. What the
old backend cannot have written, whatever its key is called, is somebody else's and stays.

Pure, like `migration`, whose records these are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from gateway.tokens.migration import NO_EXPIRY, UNREADABLE, OldFamily, OldToken, Skipped, is_taken_over
from gateway.tokens.rotation import Policy, Record

Records = Mapping[str, Record]


@dataclass(frozen=True, slots=True)
class Finding:
    """What is said of a key, or of a member of a set: whether it may go, and why or why not."""

    reason: str
    goes: bool


TAKEN_OVER = Finding("taken_over", goes=True)
NO_FAMILY = Finding("no_family", goes=True)
NO_TOKEN = Finding("no_token", goes=True)
OTHER_USER = Finding("other_user", goes=True)
NEVER_EXPIRES = Finding("no_expiry", goes=True)
"""It has no TTL, and its session would be over by any reckoning."""
FOREIGN = Finding("foreign", goes=False)
"""Not a key, type or content as the old backend wrote it: nobody knows whose it is."""
SPENT = Finding("spent", goes=False)
"""The old backend knows reuse by it, until its family is taken over or gone."""
IN_USE = Finding("in_use", goes=False)
IN_USE_FOR_EVER = Finding("in_use_no_expiry", goes=False)


def judge_token(
    token: OldToken | Skipped, family: OldFamily | Skipped, ttl: int, records: Records, now: int, policy: Policy
) -> Finding:
    """Return what becomes of `refresh_token:<hash>`; `ttl` is its PTTL, `now` the store's time (ms)."""
    if isinstance(token, Skipped):
        return FOREIGN
    if isinstance(family, Skipped):
        return NO_FAMILY
    if is_taken_over(records, token.family, family.digest):
        return TAKEN_OVER
    if not token.valid or family.digest != token.digest:
        return SPENT
    if ttl != NO_EXPIRY:
        return IN_USE
    is_over = family.created_ms is not None and family.created_ms + 1000 * policy.session_ttl < now
    return NEVER_EXPIRES if is_over else IN_USE_FOR_EVER


def judge_family(name: str, family: OldFamily | Skipped, token: OldToken | Skipped, records: Records) -> Finding:
    """Return what becomes of `refresh_family:<name>`; `token` is the one that it waits for."""
    if isinstance(family, Skipped):
        return FOREIGN
    if is_taken_over(records, name, family.digest):
        return TAKEN_OVER
    return NO_TOKEN if isinstance(token, Skipped) else IN_USE


def judge_member(user: str, name: str, family: OldFamily | Skipped, records: Records) -> Finding:
    """Return what becomes of a family's name in `refresh_user:<user>`."""
    if isinstance(family, Skipped):
        return FOREIGN if family == UNREADABLE else NO_FAMILY
    if family.user != user:
        return OTHER_USER
    return TAKEN_OVER if is_taken_over(records, name, family.digest) else IN_USE
