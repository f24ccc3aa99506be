"""The exact sliding window: no `per` seconds, wherever they start, see more than `cap` calls.

The one idea: the log of the last `cap` dispatch times is the whole truth. A slot counts from its grant for
`per + guard` seconds, so a write that lags behind its grant by up to `guard` still keeps `per` seconds of distance
from the write that takes the slot next. Pure: `now` is an argument and never goes back.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Taken:
    """A slot was taken; the guard counts from `at`."""

    at: float


@dataclass(frozen=True, slots=True)
class Wait:
    """No slot is free; the next one will be in `seconds`."""

    seconds: float


TAKEN: Final = Taken(0.0)


class Window:
    """The dispatch times of the last `per + guard` seconds, in a ring of `cap` places."""

    __slots__ = ("_count", "_first", "_log", "cap", "guard", "span")

    def __init__(self, cap: int, per: float, guard: float) -> None:
        self.cap = cap
        self.guard = guard
        self.span = per + guard
        """Seconds that a slot counts."""
        self._log = [0.0] * cap
        self._first = 0
        self._count = 0

    def used(self, now: float) -> int:
        """Return how many slots count at `now`."""
        while self._count and self._log[self._first] + self.span <= now:
            self._first = (self._first + 1) % self.cap
            self._count -= 1
        return self._count

    def free(self, now: float) -> int:
        """Return how many calls may be dispatched at `now`."""
        return self.cap - self.used(now)

    def take(self, now: float) -> Taken | Wait:
        """Take a slot when one is free; nothing changes when none is."""
        if self.used(now) == self.cap:
            return Wait(self._log[self._first] + self.span - now)
        self._log[(self._first + self._count) % self.cap] = now
        self._count += 1
        return Taken(now)

    def refund(self, granted: float) -> None:
        """Take back one slot granted at that time, for a call that was never written; none when it has aged out.

        Costs as much as there were grants since then, which is the time it takes to wake a call.
        """
        place = self._count - 1
        while place >= 0 and self._at(place) > granted:
            place -= 1
        if place < 0 or self._at(place) != granted:
            return
        for later in range(place + 1, self._count):
            self._log[(self._first + later - 1) % self.cap] = self._at(later)
        self._count -= 1

    def load(self, times: Sequence[float]) -> None:
        """Replace the log by these times, ascending; of more than `cap` the latest count."""
        times = times[-self.cap :]
        self._first, self._count = 0, len(times)
        self._log[: len(times)] = times

    def push(self, at: float) -> None:
        """Note a slot that was granted elsewhere, no earlier than any other; the oldest gives way when all are used."""
        if self._count == self.cap:
            self._first = (self._first + 1) % self.cap
            self._count -= 1
        self._log[(self._first + self._count) % self.cap] = at
        self._count += 1

    def next_free(self, now: float) -> float | None:
        """Return when the number of free slots grows next, or None when nothing counts."""
        return self._log[self._first] + self.span if self.used(now) else None

    def slot_after(self, now: float, ahead: int) -> float:
        """Return when a call with `ahead` others before it gets its slot, each taking one as soon as it is free."""
        turns, place = divmod(ahead, self.cap)
        free = self.free(now)
        if place < free:
            return now + turns * self.span
        return self._at(place - free) + (turns + 1) * self.span

    def _at(self, place: int) -> float:
        return self._log[(self._first + place) % self.cap]
