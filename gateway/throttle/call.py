"""What the schedule moves about: a call, where it stands, and the lane it takes.

The one idea: the state says what a call holds, so giving everything back needs nothing but the state.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from math import inf
from typing import Any, Final, Literal

from gateway.throttle.line import Line, Priority

_SMOOTHING: Final = 0.2
"""Weight of the latest call in the mean time a call runs."""


class State(Enum):
    """Where a call stands, and what it holds there."""

    WAITING = "in its lane's line, holds nothing"
    ADMITTED = "holds a permit, obtains a connection"
    READY = "holds a permit and a connection, waits for a slot"
    GRANTED = "has a slot as well, is not yet awake"
    RUNNING = "may write, or has written: the slot is spent, the permit held"
    DONE = "left, holds nothing"


WAITING, ADMITTED, READY, GRANTED, RUNNING, DONE = State  # looked up several times a call, which an enum makes slow
WAITS: Final = (WAITING, READY)
"""The states in which a call waits, in a line or for a slot, and may give up."""


class Lane:
    """A queue with its own concurrency."""

    __slots__ = ("_ran", "concurrency", "in_flight", "limit", "mean", "name", "paused_until", "pending", "waiting")

    def __init__(self, name: str, concurrency: int, guess: float = 0.0) -> None:
        self.name = name
        self.limit = concurrency
        """The policy's concurrency."""
        self.concurrency = concurrency
        """Permits that this process may have given out now."""
        self.waiting = Line()
        self.in_flight = 0
        """Permits given out."""
        self.pending = 0
        """Permits of calls that have no slot yet."""
        self.paused_until = -inf
        """Until then nothing is admitted and nothing is granted."""
        self.mean = guess
        """Seconds that a call runs, as a moving mean; a guess until one has ended."""
        self._ran = False

    def ran(self, seconds: float) -> None:
        """Note how long a call took from its slot to its end."""
        self.mean += (_SMOOTHING if self._ran else 1.0) * (seconds - self.mean)
        self._ran = True

    def inherit(self, other: Lane) -> None:
        """Take over the calls that wait in `other`, each to the place that its arrival gives it."""
        if other.waiting.size:
            calls = sorted((*self.waiting, *other.waiting), key=lambda call: call.rank)
            self.waiting, other.waiting = Line(), Line()
            for call in calls:
                call.lane = self
                self.waiting.add(call)


@dataclass(slots=True, eq=False)
class Call:
    """One call on its way through the throttle."""

    lane: Lane
    tenant: str
    priority: Priority
    rank: float
    """Where it stands among the calls of its tenant: the lowest goes first."""
    deadline: float
    state: State = WAITING
    granted: float | None = None
    """When its last slot was taken."""
    watched: bool = False
    """Stands among the deadlines."""
    waited: float = 0.0
    """Seconds in line and for a slot; kept by the edge."""
    told: bool = False
    """Its wait was reported; kept by the edge."""
    waiter: Any = None
    """What the edge wakes; the schedule never looks at it."""


@dataclass(frozen=True, slots=True)
class Rejected:
    """The call may not wait; `retry_after` is the estimated wait in seconds."""

    reason: Literal["queue-full", "queue-timeout"]
    retry_after: float
