"""A fleet in the simulation: the books in memory, a way to them that takes its time, and a Redis that may be away.

The one idea: as in `simulate`, only the world is simulated; the replicas' core and the books' rules are the real ones.
A statement is heard when it is made, its answer comes back a round trip later, and one is under way at a time.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from typing import Final

from gateway.throttle.books import Books
from gateway.throttle.call import Lane
from gateway.throttle.fleet import Answer, Statement
from gateway.throttle.fleet_slots import MICROSECONDS, FleetSlots
from gateway.throttle.in_force import long_calls_of
from gateway.throttle.replica import Replica
from gateway.throttle.schedule import Schedule
from gateway.throttle.settings import PolicySettings

ROUND_TRIP: Final = 0.001
"""Seconds from a statement to its answer, or to the news that there is none."""


class Store:
    """The books of one policy, and the Redis that holds them; it is away from the one time until the other."""

    def __init__(self, away: tuple[float, float] | None) -> None:
        self._books = Books()
        self.breaks, self._back = away or (inf, inf)
        """When every line to it breaks, and from when on it answers again."""
        self._ties: list[Tie] = []

    def tie(self, policy: PolicySettings) -> Tie:
        """Return one more replica's tie to the books."""
        tie = Tie(self, f"{len(self._ties):012x}", policy)
        self._ties.append(tie)
        return tie

    def tell(self, now: float, statement: Statement) -> Answer | None:
        """Make a statement; None while Redis is away. All replicas hear of the news that it may be."""
        if self.breaks <= now < self._back:
            return None
        before = self._books.told
        answer = self._books.tell(statement, int(now * MICROSECONDS))
        if self._books.told > before:
            for tie in self._ties:
                tie.heard(now)
        return answer


class Tie:
    """What `Sharing` and its link are on the event loop: one replica's core, and what is under way to the books."""

    def __init__(self, store: Store, name: str, policy: PolicySettings) -> None:
        rate = policy.rate
        self.slots = FleetSlots(name, rate.cap, rate.per, rate.guard)
        self._name = name
        self._store = store
        self._breaks = store.breaks
        """When the line breaks next; infinite when it has."""
        self._answer: Answer | None = None
        self._asked, self._comes = 0.0, inf
        """When the statement under way was made, and when its answer comes; infinite when none is."""
        self._replica: Replica
        self._woken: Callable[[float], None]

    def join(self, schedule: Schedule, policy: PolicySettings, heard: Callable[[float], None]) -> None:
        """Share the limits of `schedule`; `heard` is called when `due` may have come nearer."""
        self._woken = heard
        replica = self._replica = Replica(self._name, schedule, self.slots)
        replica.replicas = policy.replicas
        replica.timeouts = {lane.name: lane.timeout for lane in policy.lanes}
        replica.long_calls = long_calls_of(policy)

    def due(self, now: float) -> float:
        """Return when `tell` has something to do, not before `now`."""
        asks = self._comes if self._comes < inf else self._replica.due(now)
        return max(now, min(asks, self._breaks))

    def tell(self, now: float) -> None:
        """Take the answer in when it has come, make a statement when one is due, notice that the line has broken."""
        if self._breaks <= now:
            self._breaks = inf
            self._replica.failed(now)
        elif self._comes <= now:
            self._comes = inf
            if self._answer is None:
                self._replica.failed(now)
            else:
                self._replica.answered(self._answer, self._asked, now)
        elif self._comes == inf and self._replica.due(now) <= now:
            self._asked, self._comes = now, now + ROUND_TRIP
            self._answer = self._store.tell(now, self._replica.statement(now))

    def heard(self, now: float) -> None:
        """Learn that the books have news."""
        self._replica.hurry()
        self._woken(now)

    def awake(self, now: float) -> None:
        """Say that calls may be let go now, before they are."""
        self._replica.grow(now)

    def left(self, lane: Lane) -> None:
        """Say that a call has left a lane, before anybody is admitted in its place."""
        self._replica.left(lane)
