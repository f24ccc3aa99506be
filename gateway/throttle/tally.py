"""What became of the calls of a simulation: waits, refusals, use of the window, and all of it over time.

The one idea: only times are kept (a few bytes a call), and every figure is worked out from them at the end. A wait is
the time from the arrival to the slot; a refused call has none.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Final, Literal

from gateway.throttle.arrivals import Arrival

Reason = Literal["queue-full", "queue-timeout"]

PERCENTILES: Final = (0.5, 0.95, 0.99)
_FEWEST: Final = 8
"""Calls that a slice of time has on the mean at least, so that its percentiles say something."""


@dataclass(frozen=True, slots=True)
class Figures:
    """The calls of one lane, or of all. Times in seconds; None where no call was served."""

    calls: int
    served: int
    refused: dict[str, int]
    timed_out: int
    """Served, but not answered within the lane's timeout."""
    p50: float | None
    p95: float | None
    p99: float | None
    longest: float | None


@dataclass(frozen=True, slots=True)
class Use:
    """How the window was used, by all replicas together."""

    allowed: int
    """Calls in any window, by the limits in force: `cap`, times the replicas where each has its own."""
    busiest: int
    """The most calls in any window of `per` seconds, wherever it starts."""
    share: float
    """Of the slots that the window and its guard allow, those that were taken, on the mean over time."""


@dataclass(frozen=True, slots=True)
class Slice:
    """The calls that arrived in a stretch of time, `begin` until `end`."""

    begin: float
    end: float
    calls: int
    refused: int
    p50: float | None
    p95: float | None
    longest: float | None


class _Lane:
    """The times of one lane."""

    __slots__ = ("arrived", "refused", "timed_out", "turned_away", "waits")

    def __init__(self) -> None:
        self.arrived = array("d")
        """Of the calls that were served, in the order in which they were sent."""
        self.waits = array("d")
        self.turned_away = array("d")
        """When the refused ones had arrived."""
        self.refused: Counter[str] = Counter()
        self.timed_out = 0


class Tally:
    """Takes down what a simulation does."""

    def __init__(self, lanes: Iterable[str]) -> None:
        self._lanes = {name: _Lane() for name in lanes}
        self._sends = array("d")

    def sent(self, now: float, arrival: Arrival, *, timed_out: bool) -> None:
        """Note that a call was written to the vendor at `now`, which never goes back and begins with 0."""
        lane = self._lanes[arrival.lane]
        lane.arrived.append(arrival.time)
        lane.waits.append(now - arrival.time)
        lane.timed_out += timed_out
        self._sends.append(now)

    def refused(self, arrival: Arrival, reason: Reason) -> None:
        """Note that a call was turned away, at its arrival or after a wait."""
        lane = self._lanes[arrival.lane]
        lane.turned_away.append(arrival.time)
        lane.refused[reason] += 1

    def lanes(self) -> dict[str, Figures]:
        """Return the figures of each lane, in the policy's order."""
        return {name: _figures([lane]) for name, lane in self._lanes.items()}

    def total(self) -> Figures:
        """Return the figures of all lanes together."""
        return _figures(self._lanes.values())

    def use(self, allowed: int, per: float, span: float) -> Use:
        """Return how a window of `per` seconds, whose slots count for `span`, was used, when `allowed` fit into it."""
        return Use(allowed, _busiest(self._sends, per), self._share(allowed, span))

    def slices(self, most: int) -> list[Slice]:
        """Cut the time until the last arrival into at most so many equal parts."""
        last = self._last_arrival()
        served = [pair for lane in self._lanes.values() for pair in zip(lane.arrived, lane.waits, strict=True)]
        refused = [at for lane in self._lanes.values() for at in lane.turned_away]
        count = min(most, max(1, (len(served) + len(refused)) // _FEWEST)) if last else 1
        width = last / count
        waits: list[list[float]] = [[] for _ in range(count)]
        away = [0] * count
        for at, wait in served:
            waits[_place(at, width, count)].append(wait)
        for at in refused:
            away[_place(at, width, count)] += 1
        slices = []
        for place, (inside, turned) in enumerate(zip(waits, away, strict=True)):
            inside.sort()
            p50, p95, longest = (_percentile(inside, share) for share in (0.5, 0.95, 1.0))
            calls = len(inside) + turned
            slices.append(Slice(place * width, (place + 1) * width, calls, turned, p50, p95, longest))
        return slices

    def _share(self, allowed: int, span: float) -> float:
        if not self._sends:
            return 0.0
        until = max(self._sends[-1], span)
        taken = sum(min(span, until - at) for at in self._sends)
        return taken / (allowed * until)

    def _last_arrival(self) -> float:
        columns = [column for lane in self._lanes.values() for column in (lane.arrived, lane.turned_away)]
        return max((max(column) for column in columns if column), default=0.0)


def _figures(lanes: Iterable[_Lane]) -> Figures:
    lanes = list(lanes)
    waits = sorted(wait for lane in lanes for wait in lane.waits)
    refused: Counter[str] = sum((lane.refused for lane in lanes), Counter())
    p50, p95, p99, longest = (_percentile(waits, share) for share in (*PERCENTILES, 1.0))
    return Figures(
        calls=len(waits) + refused.total(),
        served=len(waits),
        refused=dict(sorted(refused.items())),
        timed_out=sum(lane.timed_out for lane in lanes),
        p50=p50,
        p95=p95,
        p99=p99,
        longest=longest,
    )


def _percentile(ordered: Sequence[float], share: float) -> float | None:
    """Return the smallest value that at least this share of all does not pass (nearest rank)."""
    return ordered[max(0, ceil(share * len(ordered)) - 1)] if ordered else None


def _busiest(times: Sequence[float], length: float) -> int:
    """Return the most of `times`, which are in order, that any half-open window of `length` holds."""
    most = begin = 0
    for place, at in enumerate(times):
        while at - times[begin] >= length:
            begin += 1
        most = max(most, place - begin + 1)
    return most


def _place(at: float, width: float, count: int) -> int:
    return min(int(at / width), count - 1) if width else 0
