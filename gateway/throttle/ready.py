"""The calls that have a connection and wait for a slot: whose turn it is.

The one idea: first ready, first served, over all lanes; each lane's calls stand by themselves and carry their place
among all, so a lane that is paused is stepped over at once.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from math import inf

from gateway.throttle.call import Call, Lane


class Ready:
    """Calls in the order in which slots are for them."""

    __slots__ = ("_lanes", "_places", "size")

    def __init__(self) -> None:
        self.size = 0
        """How many wait."""
        self._lanes: dict[Lane, OrderedDict[Call, int]] = {}
        """Those that have ready calls; of each call its place."""
        self._places = 0

    def __iter__(self) -> Iterator[Call]:
        """Iterate over all calls, in no particular order."""
        return (call for calls in self._lanes.values() for call in calls)

    def add(self, call: Call) -> None:
        """Put `call` last, or first when it had a slot already."""
        calls = self._lanes.setdefault(call.lane, OrderedDict())
        self.size += 1
        self._places += 1
        if call.granted is None:
            calls[call] = self._places
        else:
            calls[call] = -self._places
            calls.move_to_end(call, last=False)

    def remove(self, call: Call) -> None:
        """Take `call` out, wherever it stands."""
        calls = self._lanes[call.lane]
        del calls[call]
        self.size -= 1
        if not calls:
            del self._lanes[call.lane]

    def first(self, now: float) -> Call | None:
        """Return the call that the next slot is for; None when all that are ready belong to paused lanes."""
        first, lowest = None, inf
        for lane, calls in self._lanes.items():
            if lane.paused_until <= now:
                call, place = next(iter(calls.items()))
                if place < lowest:
                    first, lowest = call, place
        return first

    def lanes(self, now: float) -> int:
        """Return how many lanes have calls that could use a slot now."""
        return sum(lane.paused_until <= now for lane in self._lanes)

    def resumes(self, now: float) -> float:
        """Return when the first pause that holds up a ready call ends; infinity without one."""
        return min((lane.paused_until for lane in self._lanes if lane.paused_until > now), default=inf)
