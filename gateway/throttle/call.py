"""What the schedule moves about: a call, where it stands, and the lane it takes.

The one idea: the state says what a call holds, so giving everything back needs nothing but the state.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from enum import Enum
from math import inf
from typing import Any, Final

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


class Lane:
    """A queue with its own concurrency."""

    __slots__ = ("_ran", "concurrency", "in_flight", "mean", "name", "paused_until", "pending", "waiting")

    def __init__(self, name: str, concurrency: int, guess: float = 0.0) -> None:
        self.name = name
        self.concurrency = concurrency
        self.waiting: OrderedDict[Call, None] = OrderedDict()
        """In the order of arrival; a map, so that a call can leave from the middle at once."""
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


@dataclass(slots=True, eq=False)
class Call:
    """One call on its way through the throttle."""

    lane: Lane
    deadline: float
    state: State = State.WAITING
    granted: float | None = None
    """When its last slot was taken."""
    waited: float = 0.0
    """Seconds in line and for a slot; kept by the edge."""
    told: bool = False
    """Its wait was reported; kept by the edge."""
    waiter: Any = None
    """What the edge wakes; the schedule never looks at it."""
