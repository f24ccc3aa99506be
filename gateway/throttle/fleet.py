"""What a replica and the fleet's books say to each other.

The one idea: a replica states facts and not changes (what it holds, what it wants, what it sent), so a statement may be
repeated when its answer was lost, and books that lost their data are right again once everybody has spoken.
All times are microseconds of the store's clock, whole numbers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias

Standing: TypeAlias = Literal["new", "shared", "sharing", "held", "leaving"]
"""How a replica sends: not yet at all (`new`), by what the books grant (`shared`), by its own share (`sharing`), not
any more until the books are open (`held`), never again (`leaving`)."""

Verdict: TypeAlias = Literal["open", "gathering", "closing", "stale"]
"""Where the books stand: granting (`open`), waiting until everybody has pushed what it sent (`gathering`), then until
everybody has stopped sending by its share and pushed the rest (`closing`); or the statement is older than one that was
heard already (`stale`: nothing was done)."""


@dataclass(frozen=True, slots=True)
class LaneStatement:
    """What a replica says of a lane."""

    name: str
    limit: int
    """The concurrency of its policy."""
    held: int
    """Permits it has on the books, given out or not."""
    wants: int
    """Further permits it could use."""
    spare: int = 0
    """Further permits beyond those that it would keep in reserve, where nobody waits for them."""


@dataclass(frozen=True, slots=True)
class Statement:
    """Everything that a replica says at a time."""

    replica: str
    """Id of the process, 12 hexadecimal digits."""
    number: int
    """Counts up with each statement; the same number again repeats it."""
    acknowledged: int
    """The highest number that was answered; 0: none."""
    epoch: str
    """The epoch it knows; empty: none."""
    standing: Standing
    reset: bool
    """The store's clock jumped against this replica's."""
    known: tuple[str, ...]
    """Replicas that it knows to be live, itself not."""
    sends: tuple[tuple[str, int], ...]
    """What it sent in the last span: (member, time). A member that the log has is not added again; it begins with the
    replica's id and a colon."""
    cap: int
    span: int
    """Microseconds that a slot counts: `per` and `guard` together."""
    lanes: tuple[LaneStatement, ...]
    long_lane: str
    """The lane that long calls shrink; empty: none."""
    long_limit: int
    """How many long calls there may be; 0: no bound."""
    aged: int
    """Its calls, in lanes other than the long one, that have run for long."""
    slots: int
    """How many slots it asks for."""
    back: tuple[str, ...]
    """Members of reservations that it will not use; those that lie in the future are taken back."""
    view: bool
    """Whether it wants the log."""


@dataclass(frozen=True, slots=True)
class LaneAnswer:
    """What the books say of a lane that was stated."""

    granted: int
    """Permits that are now held in addition to what was stated."""
    contended: bool
    """Another live replica waits for a permit, or more are out than the limits in force allow: none is to be kept."""
    limit: int
    """The fleet's concurrency that is in force, the budget of long calls aside."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What the books say to a statement."""

    now: int
    verdict: Verdict
    epoch: str
    lanes: tuple[LaneAnswer, ...]
    """One for each lane stated, in that order."""
    slots: tuple[tuple[str, int], ...]
    """What was reserved: (`REPLICA:NUMBER:INDEX`, time). Not before `now`, but for the answer to a repetition."""
    rank: int
    """The lowest number that was free when the replica joined; it keeps it while it is known."""
    replicas: tuple[str, ...]
    """The live ones, the asker included, sorted."""
    cap: int
    """In force: the lowest of the live replicas."""
    span: int
    """In force: the longest of the live replicas."""
    used: int
    """Entries of the log that count at `now`, reservations for later included."""
    next: int
    """When the next asker would get a slot, not before `now`."""
    log: tuple[tuple[int, bool], ...] | None
    """With a view: (time, whether the asker's), ascending, all that still count at `now`."""
    data_lost: bool
    """The books do not hold what they had acknowledged to this replica."""


class Fleet(Protocol):
    """The books of one policy, wherever they are kept."""

    async def tell(self, statement: Statement) -> Answer:
        """Make a statement and hear what the books say to it.

        Raises:
            StoreUnavailable: when there was no answer; whether the statement was heard is then not known.
        """
        ...
