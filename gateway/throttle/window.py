"""The exact sliding window: no `per` seconds, wherever they start, see more than `cap` calls.

The one idea: the log of the last `cap` dispatch times is the whole truth. A slot counts from its grant for
`per + guard` seconds, so a write that lags behind its grant by up to `guard` still keeps `per` seconds of distance
from the write that takes the slot next. Pure: `now` is an argument and never goes back.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Taken:
    """A slot was taken; it is good for a write until `at + guard`."""

    at: float


@dataclass(frozen=True, slots=True)
class Wait:
    """No slot is free; the next one will be in `seconds`."""

    seconds: float


class Slots(Protocol):
    """Where a schedule takes its slots from: the window of this process, or this replica's part of a shared one."""

    @property
    def cap(self) -> int:
        """The most slots that count at once."""
        ...

    @property
    def guard(self) -> float:
        """Seconds that a write may lag behind `Taken.at`."""
        ...

    @property
    def span(self) -> float:
        """Seconds that a slot counts."""
        ...

    def used(self, now: float) -> int:
        """Return how many slots count at `now`."""
        ...

    def free(self, now: float) -> int:
        """Return how many calls may be dispatched at `now`."""
        ...

    def take(self, now: float) -> Taken | Wait:
        """Take a slot when one is free; nothing changes when none is."""
        ...

    def refund(self, granted: float) -> None:
        """Take back one slot granted at that time, for a call that was never written; none when it has aged out."""
        ...

    def next_free(self, now: float) -> float | None:
        """Return when the number of free slots grows next, or None when nothing counts."""
        ...

    def slot_after(self, now: float, ahead: int) -> float:
        """Return the time before which a call with `ahead` others before it has no slot."""
        ...

    def resize(self, cap: int, per: float, guard: float) -> None:
        """Put other limits in force; what was sent goes on counting."""
        ...


class Window:
    """The dispatch times of the last `per + guard` seconds, in a ring; the slots of one process."""

    __slots__ = ("_count", "_first", "_forgot", "_kept", "_log", "cap", "guard", "span")

    def __init__(self, cap: int, per: float, guard: float) -> None:
        self.cap = cap
        self.guard = guard
        self.span = per + guard
        """Seconds that a slot counts."""
        self._log = [0.0] * cap
        self._first = 0
        self._count = 0
        """Entries that count, from `_first` on. More than `cap` for a while after the cap was lowered."""
        self._kept = 0
        """Entries before `_first` that count no more, and would again in a longer window."""
        self._forgot = -inf
        """Time of the last entry before those, which is gone."""

    def used(self, now: float) -> int:
        """Return how many slots count at `now`."""
        while self._count and self._log[self._first] + self.span <= now:
            self._first = (self._first + 1) % len(self._log)
            self._count -= 1
            self._kept += 1
        return self._count

    def free(self, now: float) -> int:
        """Return how many calls may be dispatched at `now`."""
        return max(0, self.cap - self.used(now))

    def take(self, now: float) -> Taken | Wait:
        """Take a slot when one is free; nothing changes when none is."""
        if self.used(now) >= self.cap:
            return Wait(self._at(self._count - self.cap) + self.span - now)
        if self._count + self._kept == len(self._log):
            self._forgot = self._at(-self._kept)
            self._kept -= 1
        self._log[(self._first + self._count) % len(self._log)] = now
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
            self._log[(self._first + later - 1) % len(self._log)] = self._at(later)
        self._count -= 1

    def load(self, times: Sequence[float]) -> None:
        """Replace the log by these times, ascending; of more than `cap` the latest count."""
        times = times[-self.cap :]
        self._first, self._count, self._kept, self._forgot = 0, len(times), 0, -inf
        self._log = [*times, *[0.0] * (self.cap - len(times))]

    def push(self, at: float) -> None:
        """Note a slot that was granted elsewhere, no earlier than any other; the oldest gives way for want of room."""
        if self._count + self._kept == len(self._log):
            self._forgot = self._at(-self._kept)
            if self._kept:
                self._kept -= 1
            else:
                self._first = (self._first + 1) % len(self._log)
                self._count -= 1
        self._log[(self._first + self._count) % len(self._log)] = at
        self._count += 1

    def next_free(self, now: float) -> float | None:
        """Return when the number of free slots grows next, or None when nothing counts."""
        used = self.used(now)
        return self._at(max(0, used - self.cap)) + self.span if used else None

    def slot_after(self, now: float, ahead: int) -> float:
        """Return when a call with `ahead` others before it gets its slot, each taking one as soon as it is free."""
        turns, place = divmod(ahead, self.cap)
        room = self.cap - self.used(now)
        if place < room:
            return now + turns * self.span
        return self._at(place - room) + (turns + 1) * self.span

    def resize(self, cap: int, per: float, guard: float) -> None:
        """Put other limits in force; what was sent goes on counting, in the new window as long as that is.

        When that reaches further back than the log, the window counts as full at the last entry that is gone.
        """
        known = [self._at(place) for place in range(-self._kept, self._count)]
        if self._forgot > -inf and len(known) < cap:
            known = [self._forgot] * (cap - len(known)) + known
        self.cap, self.guard, self.span = cap, guard, per + guard
        self._first, self._count, self._kept = 0, len(known), 0
        self._log = known + [0.0] * (cap - len(known))

    def _at(self, place: int) -> float:
        return self._log[(self._first + place) % len(self._log)]
