"""What a presented refresh token meets: the transition table of token families.

The one idea: a family is a line of generations of which only the last is current, and its record is enough to mint
that last one again. So a token presented twice gets the same successor, a lost answer costs nothing, and a spent
token that comes back late is told from one that is merely retried.

Times: `now` and `rotated_ms` are milliseconds since the epoch, what goes into tokens is whole seconds (RFC 7519).
`rotate.lua` is the same table on the server; the tests hold the two together step by step.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final, NamedTuple

from gateway.tokens.standstill import Pauses, ran

YOUNG: Final = 300
"""Seconds: an unknown token younger than this may have lost its login write in a failover."""
TOMBSTONE_TTL: Final = 86_400
"""Seconds that the end of an ordinary family is remembered."""
OLD_TTL: Final = 400 * 86_400
"""Seconds for which a token of the old scheme may come at most: a browser keeps no cookie longer (RFC 6265bis section
5.5), and what the old backend meant its token to live is known only once it is presented."""
OLD_MARK: Final = "~"
"""Begins what stands in the place of a key id while a family waits for its old token."""


@dataclass(frozen=True, slots=True)
class Policy:
    """Lifetimes and limits. Seconds, but for `grace_ms`."""

    refresh_ttl: int = 604_800
    session_ttl: int = 2_592_000
    grace_ms: int = 30_000
    max_families: int = 10
    adopt_lost: bool = True
    """Whether families that are older than the dataset are adopted: a restarted, empty Redis logs nobody out."""
    old_tokens: bool = False
    """Whether tokens of the old scheme are taken over when they come."""

    def expiry(self, now: int, auth_time: int) -> int:
        """Return when a token minted at `now` (ms) ends: idle time, cut at the absolute end of the session."""
        return min(now // 1000 + self.refresh_ttl, auth_time + self.session_ttl)

    @property
    def presentable(self) -> int:
        """For how long (s) a token of now may be presented at most; also one of another `refresh_ttl` than today's."""
        return max(self.refresh_ttl, self.session_ttl, OLD_TTL if self.old_tokens else 0)


@dataclass(frozen=True, slots=True)
class Family:
    """A live family: everything its current token is minted from, besides the login's claims."""

    generation: int
    key_id: str
    rotated_ms: int
    """When the current token was made; its `iat` is this in whole seconds."""
    auth_time: int
    expires: int
    adopted: bool = False
    """It was unknown when it came: its tokens may be older than the dataset, so its tombstone lives as long as they."""
    device: str = ""
    kept: bool = False
    """The predecessor was given back as still good while Redis was in trouble: it may come beyond its grace."""


@dataclass(frozen=True, slots=True)
class Tombstone:
    """An ended family. It may be forgotten from `until` (seconds) on."""

    reason: str
    until: int
    auth_time: int


Record = Family | Tombstone


class Evicted(NamedTuple):
    """A family that made room for another one, and what its record said of its user."""

    family: str
    device: str


@dataclass(frozen=True, slots=True)
class Presented:
    """What a refresh token says of itself, once its signature holds."""

    family: str
    generation: int
    auth_time: int
    issued_at: int
    expires: int
    degraded: bool = False
    """Minted by a login while Redis was away: no ledger has seen the family yet."""
    device: str = ""
    """Who presents it: what is noted when the family is adopted."""
    pauses: Pauses = ()
    """When time stood still, as the gateway that answers saw it."""
    ago: int = 0
    """How long ago (ms) that gateway was first shown the token and gave it back as still good, unable to judge it."""


@dataclass(frozen=True, slots=True)
class Rotated:
    """The current token was spent; `family` is what the record says now."""

    family: Family


@dataclass(frozen=True, slots=True)
class Replayed:
    """The direct predecessor came again in grace: the same successor is minted again from `family`."""

    family: Family


@dataclass(frozen=True, slots=True)
class Healed:
    """The token is ahead of the record: signed by us, so a write was lost. Taken over and rotated."""

    family: Family


@dataclass(frozen=True, slots=True)
class Adopted:
    """The family was unknown for a reason that is not the client's. Taken over and rotated."""

    family: Family
    evicted: tuple[Evicted, ...] = ()
    """Families that made room for it, oldest first."""


@dataclass(frozen=True, slots=True)
class Reused:
    """A spent token came again: theft, or a client that lost count. The family is ended."""

    tombstone: Tombstone


@dataclass(frozen=True, slots=True)
class Ended:
    """The family was ended before, for `reason` (`revoked`, `reused`, `evicted`, `undelivered`)."""

    reason: str


@dataclass(frozen=True, slots=True)
class Unknown:
    """Nobody knows the family, and nothing speaks for it."""


@dataclass(frozen=True, slots=True)
class Expired:
    """The token is past its time, or its session is. The family is left as it is."""


Granted = Rotated | Replayed | Healed | Adopted
Refused = Reused | Ended | Unknown | Expired
Result = Granted | Refused


def decide(
    record: Record | None,
    presented: Presented,
    now: int,
    policy: Policy,
    key_id: str,
    birth: int = 0,
    floor: int = 0,
) -> Result:
    """Return what a presented token meets; the caller writes the result's record down.

    Args:
        record: what is known of the family.
        presented: the verified token.
        now: the store's time, ms.
        policy: lifetimes and limits.
        key_id: the key that a successor is signed with.
        birth: when the store's dataset began, ms; 0 when that is not known.
        floor: no unknown family with an `auth_time` (s) up to this is adopted: its tombstone was crowded out.
    """
    if now >= 1000 * min(presented.expires, presented.auth_time + policy.session_ttl):
        return Expired()
    successor = Family(
        generation=presented.generation + 1,
        key_id=key_id,
        rotated_ms=now,
        auth_time=presented.auth_time,
        expires=policy.expiry(now, presented.auth_time),
    )
    match record:
        case None if presented.auth_time > floor and _adoptable(presented, now, birth if policy.adopt_lost else 0):
            return Adopted(replace(successor, adopted=True, device=presented.device))
        case None:
            return Unknown()
        case Tombstone(reason=reason):
            return Ended(reason)
        case Family() as live:
            return _turn(live, presented, replace(successor, adopted=live.adopted, device=live.device), policy)


def _turn(live: Family, presented: Presented, successor: Family, policy: Policy) -> Result:
    if presented.generation == live.generation:
        return Rotated(successor)
    if presented.generation > live.generation:
        return Healed(successor)
    now = successor.rotated_ms
    if presented.generation == live.generation - 1 and (live.kept or _in_grace(live, presented, now, policy)):
        return Replayed(live)
    return Reused(bury(live, "reused", now))


def keep(record: Record | None, presented: Presented, now: int, policy: Policy) -> Family | None:
    """Return the record that knows of a promise: the token was given back as still good, `presented.ago` ms ago.

    That binds when the family had moved on by then, or did without anybody's learning of it, and the token was in its
    grace: asked in good time, the ledger would have replayed the successor, so it does until that is used. Else None,
    and nothing changes; a token that was spent for good by then stays so.
    """
    if not isinstance(record, Family) or record.kept or presented.generation != record.generation - 1:
        return None
    return replace(record, kept=True) if _in_grace(record, presented, now, policy) else None


def _in_grace(live: Family, presented: Presented, now: int, policy: Policy) -> bool:
    return ran(live.rotated_ms, now - presented.ago, now, presented.pauses) <= policy.grace_ms


def _adoptable(presented: Presented, now: int, birth: int) -> bool:
    issued = 1000 * presented.issued_at
    return presented.degraded or now - issued < 1000 * YOUNG or issued < birth


def bury(family: Family, reason: str, now: int) -> Tombstone:
    """Return the tombstone of a family that ends at `now` (ms).

    A family that began in this dataset cannot be adopted once its tokens are older than `YOUNG`, so its tombstone
    may go early; an adopted one's must outlive every token of it, and one that waits for its old token does not know
    when that ends.
    """
    seconds = now // 1000
    until = family.expires if family.adopted else min(family.expires, seconds + TOMBSTONE_TTL)
    if family.key_id.startswith(OLD_MARK):
        until = max(until, seconds + OLD_TTL)
    return Tombstone(reason, until, family.auth_time)
