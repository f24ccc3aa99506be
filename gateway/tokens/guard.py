"""What a refresh token of the backend's meets: the table of `mode: guard`.

The one idea: a refresh is a claim, a forward and a commit, and the record of a token says how far it came. Whoever
holds the claim may ask the backend; what it answers is kept for the grace period; a claim that ran out without a commit
is an ambiguous outcome, which only the backend can resolve, so the token is claimed and forwarded again.

| the token is | presented | answer |
|---|---|---|
| unknown, or the current one | no claim on it, or one that ran out | `Claimed`: forward it |
| the same | another's claim is in force | `Busy`: ask again |
| answered (spent or not) | in grace | `Kept`: the same answer again |
| spent, its answer lost or too large | in grace | `Claimed`: the backend decides, no alarm |
| spent | after grace | `Spent`: reuse; never forwarded |
| spent, and promised to be good in its grace | later | as in grace |
| spent, and its successor traded too | at any time | the same: only the parent of the current token is answered |

A token belongs to a family, and the family to a user: those records are the ledger's (`families`), so that whoever ends
a family there ends it here. A tombstone wins over every row of the table, and over a commit.

Pure. Times are milliseconds since the epoch, by the store's clock, but for what is named in seconds. The scripts
`guard_*.lua` are the same on the server; generated sequences hold the two together.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from gateway.tokens import families
from gateway.tokens.families import User
from gateway.tokens.rotation import Ended, Family, Policy, Tombstone
from gateway.tokens.standstill import Pauses, ran

KEY_ID: Final = "guard"
"""Stands where the ledger notes which key signed: the backend did."""


@dataclass(frozen=True, slots=True)
class Lineage:
    """Whose a token is.

    `auth_time` (s) is when the family began, as far as the gateway saw it; 0 in a `turn`: it begins with that.
    """

    user: str
    family: str
    auth_time: int
    generation: int = 1
    """Counts the trades that the gateway saw."""


@dataclass(frozen=True, slots=True)
class Token:
    """What is known of one token of the backend's."""

    lineage: Lineage | None = None
    """None while it is only claimed: it has not been seen to succeed."""
    spent: bool = False
    """The backend has given another one for it."""
    kept: bool = False
    """The backend's last answer to it was put away."""
    promised: bool = False
    """It was given back as still good in its grace, which therefore does not end."""
    traded: int = 0
    """When the backend answered it, 0 when it has not: grace runs from here."""
    owner: str = ""
    """Who forwards it."""
    claimed_until: int = 0


@dataclass(frozen=True, slots=True)
class Claimed:
    """It is yours to forward. `lineage` is None for a token from before the gateway."""

    lineage: Lineage | None


@dataclass(frozen=True, slots=True)
class Kept:
    """It was answered a moment ago: the same answer is to be given."""

    lineage: Lineage


@dataclass(frozen=True, slots=True)
class Busy:
    """Somebody else is forwarding it, until `until` at most."""

    lineage: Lineage | None
    until: int


@dataclass(frozen=True, slots=True)
class Spent:
    """It was traded before and its grace is over: theft, or a client that lost count."""

    lineage: Lineage


@dataclass(frozen=True, slots=True)
class Turned:
    """A family that began at `auth_time` (s) had its turn.

    `count` live families of the user, the `evicted` made room for it, oldest first.
    """

    auth_time: int
    count: int
    evicted: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Overtaken:
    """A token's family lives, and is two trades or more ahead of it."""


Presented = Claimed | Kept | Busy | Spent
"""What the record of a token says."""
Standing = Ended | Overtaken | None
"""What a family says of a token of its own; None when it lives, or nothing is known of it."""
Verdict = Presented | Ended
"""What a token meets, its family considered."""
Commit = Turned | Ended
"""How a family took a turn."""


def present(
    token: Token | None, owner: str, now: int, grace_ms: int, *, pauses: Pauses = (), again: bool = False
) -> Presented:
    """Return what a presented token meets; for `Claimed` the caller writes `claim` down.

    Args:
        token: what is known of it.
        owner: who would forward it.
        now: the store's time.
        grace_ms: how long an answer is given again.
        pauses: when time stood still, so that nobody could retry.
        again: the answer that ought to be there is not.
    """
    if token is None:
        return Claimed(None)
    in_grace = token.promised or ran(token.traded, now, now, pauses) <= grace_ms
    if token.lineage is not None and token.kept and in_grace and not again:
        return Kept(token.lineage)
    if token.lineage is not None and token.spent and not in_grace:
        return Spent(token.lineage)
    if token.owner not in ("", owner) and now < token.claimed_until:
        return Busy(token.lineage, token.claimed_until)
    return Claimed(token.lineage)


def claim(token: Token | None, owner: str, now: int, claim_ms: int) -> Token:
    """Return the record with the claim on it; it ends by itself, `claim_ms` from now."""
    return replace(token or Token(), owner=owner, claimed_until=now + claim_ms)


def release(token: Token | None, owner: str) -> Token | None:
    """Return the record without the owner's claim; None when nothing else is known of the token."""
    if token is None or token.owner != owner:
        return token
    return None if token.lineage is None else replace(token, owner="", claimed_until=0)


def learn(token: Token | None, lineage: Lineage, *, fresh: bool) -> Token:
    """Return the record of a token that the backend has just given.

    One that is known stays what it is (the backend replays its own answers), unless it comes `fresh` from a login:
    then the backend lets it count anew, whatever became of it before.
    """
    known = token or Token()
    if known.lineage is not None and not fresh:
        return known
    return Token(lineage, owner=known.owner, claimed_until=known.claimed_until)


def trade(token: Token | None, owner: str, lineage: Lineage, now: int, *, spent: bool, kept: bool) -> Token:
    """Return the record of a token that the backend has answered well, without the owner's claim.

    A token that was spent before keeps the time it was spent at: no retry extends its grace.
    """
    known = token or Token()
    if known.lineage is None:
        known = replace(known, lineage=lineage)
    if known.spent:
        known = replace(known, kept=known.kept or kept)
    else:
        known = replace(known, spent=spent, kept=kept, traded=now)
    return replace(known, owner="", claimed_until=0) if known.owner == owner else known


def promise(token: Token | None, now: int, grace_ms: int, pauses: Pauses) -> Token | None:
    """Return the record of a token that was given back as still good; time stood still since then, see `pauses`.

    Only one that had been spent, and was in grace, needs it.
    """
    if token is None or not token.spent or ran(token.traded, now, now, pauses) > grace_ms:
        return token
    return replace(token, promised=True)


def lasting(now: int, end: int, policy: Policy) -> int:
    """Return for how long (s) something is remembered of a token that says it ends at `end` (s; 0: it does not say).

    Not shorter than the backend may take it, as far as the gateway can know: `refresh_ttl`, or what it says itself, but
    no longer than a session lasts.
    """
    return max(policy.refresh_ttl, min(end - now // 1000, policy.session_ttl))


def standing(user: User, lineage: Lineage) -> Standing:
    """Return what a family says of a token.

    Up to the user's floor the unknown count as ended: their tombstones were crowded out. A family that is behind its
    token lost a trade with a server, and nothing is held against the token.
    """
    match user.records.get(lineage.family):
        case Tombstone(reason=reason):
            return Ended(reason)
        case Family(generation=generation) if generation > lineage.generation + 1:
            return Overtaken()
        case None if lineage.auth_time <= user.floor:
            return Ended("revoked")
    return None


def judge(result: Presented, spent: bool, standing: Standing) -> Verdict:
    """Return what a token meets, its family considered.

    One that was not spent may be overtaken for no fault of its holder's (a commit broke off): the backend decides.
    """
    if isinstance(standing, Ended):
        return standing
    if isinstance(standing, Overtaken) and spent and result.lineage is not None:
        return Spent(result.lineage)
    return result


def turn(user: User, lineage: Lineage, device: str, now: int, policy: Policy, *, end: int = 0) -> Commit:
    """Note a login or a refresh of a family, unless it has ended: a tombstone wins over a refresh in flight.

    One that is not known is admitted, and the user's oldest go while there are too many. A family is remembered from
    its last turn for as long as its tokens, the last of which says that it ends at `end`; how long they live is the
    backend's affair. It counts as adopted, because its tokens may be older than the dataset. A tombstone is kept for
    as long as that as well: the backend has just given a successor, and it must not outlive what refuses it.
    """
    auth_time = lineage.auth_time or now // 1000
    expires = now // 1000 + lasting(now, end, policy)
    known = user.records.get(lineage.family)
    if isinstance(known, Tombstone):
        user.records[lineage.family] = replace(known, until=max(known.until, expires))
        return Ended(known.reason)
    if known is None and lineage.auth_time and auth_time <= user.floor:
        return Ended("revoked")
    evicted: tuple[str, ...] = ()
    if isinstance(known, Family):
        auth_time, generation = known.auth_time, max(known.generation, lineage.generation)
        expires = max(expires, known.expires)
        user.records[lineage.family] = replace(known, generation=generation, rotated_ms=now, expires=expires)
        families.drop_dead(user, now)
    else:
        family = Family(lineage.generation, KEY_ID, now, auth_time, expires, adopted=True, device=device)
        evicted = families.admit(user, lineage.family, family, now, policy)
    return Turned(auth_time, len(user.live()), evicted)
