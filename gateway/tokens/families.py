"""One user's families: room for a new one, and the end of an old one.

The one idea: the same step that adds a family drops the dead and ends the least recently rotated while there are too
many, so that no number of parallel logins is ever over the cap. Tombstones are bounded too: those crowded out leave a
floor behind, an `auth_time` up to which unknown families stay refused.

Pure, like `rotation`; `families.lua` is the same on the server.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from gateway.tokens.rotation import Family, Policy, Presented, Record, Tombstone, bury

MAX_TOMBSTONES: Final = 32


@dataclass(slots=True)
class User:
    """What a ledger holds for one user."""

    records: dict[str, Record] = field(default_factory=dict)
    floor: int = 0
    claims: tuple[int, str] | None = None
    """What the backend last said of the user, as JSON, and when (s)."""

    def live(self) -> dict[str, Family]:
        """Return the families that are not ended."""
        return {name: record for name, record in self.records.items() if isinstance(record, Family)}


def admit(user: User, name: str, family: Family, now: int, policy: Policy) -> tuple[str, ...]:
    """Add a family, and return the names of those that were ended for it, oldest first."""
    drop_dead(user, now)
    oldest_first = sorted(user.live().items(), key=lambda item: (item[1].rotated_ms, item[0]))
    excess = oldest_first[: max(0, len(oldest_first) - policy.max_families + 1)]
    for evicted, record in excess:
        user.records[evicted] = bury(record, "evicted", now)
    user.records[name] = family
    _bound_tombstones(user)
    return tuple(evicted for evicted, _ in excess)


def end(user: User, presented: Presented, reason: str, now: int) -> bool:
    """End the family of a presented token, of whatever generation; return False when it had ended before.

    An unknown family gets a tombstone as well, else a later refresh could adopt it.
    """
    match user.records.get(presented.family):
        case Tombstone():
            return False
        case Family() as live:
            user.records[presented.family] = bury(live, reason, now)
        case None if now < 1000 * presented.expires:
            user.records[presented.family] = Tombstone(reason, presented.expires, presented.auth_time)
    return True


def close(user: User, name: str | None, reason: str, now: int) -> tuple[str, ...]:
    """End the family `name`, of None all of the user's; return what ended now.

    Whoever ends all means also those that are not known here (a login that was lost, or one made while the store was
    away): the floor keeps them from being adopted.
    """
    drop_dead(user, now)
    closed = tuple(sorted(family for family in user.live() if name in (None, family)))
    for family in closed:
        user.records[family] = bury(user.live()[family], reason, now)
    if name is None:
        user.floor = max(user.floor, now // 1000)
    _bound_tombstones(user)
    return closed


def drop_dead(user: User, now: int) -> None:
    """Forget families whose last token is past its time, and tombstones that may go."""
    for name, record in list(user.records.items()):
        end_of_life = record.expires if isinstance(record, Family) else record.until
        if 1000 * end_of_life <= now:
            del user.records[name]


def _bound_tombstones(user: User) -> None:
    ended = [(record.until, name, record) for name, record in user.records.items() if isinstance(record, Tombstone)]
    for _, name, record in sorted(ended, key=lambda item: item[:2])[: max(0, len(ended) - MAX_TOMBSTONES)]:
        del user.records[name]
        user.floor = max(user.floor, record.auth_time)
