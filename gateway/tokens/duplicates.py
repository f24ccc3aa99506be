"""Several refresh cookies of one name: which of them counts.

The one idea: the newest one need not be the good one (a session that was ended elsewhere leaves its cookie behind). So
the ledger is asked what it holds of the users, which changes nothing, and the table itself says what each token would
meet there. Only the chosen one is then really shown to the ledger; the others are neither spent nor ended.

A request with one token, which nearly all are, asks nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from gateway.tokens.desk import Claim, Desk
from gateway.tokens.legacy import Legacy
from gateway.tokens.migration import mark_of, own_of
from gateway.tokens.records import Held
from gateway.tokens.rotation import Family, Granted, Record, Tombstone, Unknown, decide

MAX_USERS: Final = 8
"""Users that are asked about; a browser has one, seldom two. Tokens of further ones count as unknown."""
_GRANTED, _UNCLEAR, _REFUSED = range(3)


async def chosen(desk: Desk, claims: Sequence[Claim]) -> Claim:
    """Return the token that counts, of at least one, the newest first.

    That is the newest that would be granted; else the newest that only a second look can judge, as of a family that
    Redis has lost; else the newest.

    Raises:
        StoreUnavailable: when the ledger did not answer.
    """
    if len(claims) == 1:
        return claims[0]
    held: dict[str, Held] = {}
    for user in list(dict.fromkeys(claim.token.login.user for claim in claims))[:MAX_USERS]:
        held[user] = await desk.ledger.families(user)
    return min(claims, key=lambda claim: _rank(desk, claim, held.get(claim.token.login.user)))


def _rank(desk: Desk, claim: Claim, held: Held | None) -> int:
    if held is None:
        return _UNCLEAR
    presented = desk.promises.now(claim.token.login.user, claim.presented)
    record: Record | None = held.live.get(presented.family) or held.ended.get(presented.family)
    if claim.old is not None and not isinstance(record, Tombstone):
        if record is None or _is_stale(record, claim.old):
            return _UNCLEAR
        if record.generation > 0 and own_of(claim.old.digest) not in held.ended:
            return _REFUSED  # its family was traded for another token
        presented = replace(presented, auth_time=record.auth_time)
    result = decide(record, presented, held.now, desk.policy, desk.mint.key_id, floor=held.floor)
    return _GRANTED if isinstance(result, Granted) else _UNCLEAR if isinstance(result, Unknown) else _REFUSED


def _is_stale(record: Family, old: Legacy) -> bool:
    """Whether a family waits for another token of the old backend's, which may have been traded for this one since."""
    return record.generation == 0 and record.key_id != mark_of(old.digest)
