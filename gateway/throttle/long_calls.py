"""The budget of long calls: whatever runs for long, in any lane, leaves the long lane less room.

The one idea: vendors count calls that take long whatever they are for (Salesforce: 25 that run for 20 s or more). The
long lane's calls are taken to become such calls, so they count from their admission; those of other lanes count once
they have. A soft bound: what runs is not recalled, so calls of other lanes that age later can exceed it.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

from gateway.throttle.call import Call, Lane


@dataclass(frozen=True, slots=True)
class LongCalls:
    """A call of `lane` is let in while its calls, and others that have run for `after` seconds, are below `limit`."""

    lane: str
    limit: int
    after: float


class Ageing:
    """The running calls of lanes that are not the long one, told apart by whether they have aged."""

    __slots__ = ("_aged", "_young", "budget")

    def __init__(self, budget: LongCalls, before: Ageing | None = None) -> None:
        """Take over what `before` has counted; without it, only calls that are dispatched from now on are counted."""
        self.budget = budget
        self._young: OrderedDict[Call, float] = OrderedDict()
        """When each was dispatched, in that order."""
        self._aged: dict[Call, float] = {}
        if before is not None:
            for call, since in (*before._aged.items(), *before._young.items()):
                self.runs(call, since)

    def runs(self, call: Call, since: float) -> None:
        """Say that `call` was dispatched."""
        if call.lane.name != self.budget.lane:
            self._young[call] = since

    def ends(self, call: Call) -> None:
        """Say that `call` has ended, or has lost its slot."""
        if self._young.pop(call, None) is None:
            self._aged.pop(call, None)

    def room(self, now: float, lane: Lane) -> bool:
        """Return whether a call of `lane` may be let in."""
        return lane.name != self.budget.lane or lane.in_flight + self.aged(now) < self.budget.limit

    def aged(self, now: float) -> int:
        """Return how many calls count at `now`."""
        while self._young:
            call, since = next(iter(self._young.items()))
            if since + self.budget.after > now:
                break
            del self._young[call]
            self._aged[call] = since
        return len(self._aged)
