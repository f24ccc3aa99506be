"""When time stood still: Redis was away, or maintenance was on, and no client could have retried.

The one idea: the gateway measures such pauses on its own monotonic clock and tells them as distances from now, so that
the store can lay them over its own time. What counts of them is decided where the rotation's time is known, by `ran`.

Pure; `families.lua` has `ran` once more.
"""

from __future__ import annotations

from typing import Final, TypeAlias

Pauses: TypeAlias = tuple[tuple[int, int], ...]
"""Pauses that do not overlap: how long ago each ended, and how long it was, in ms."""

MAX_PAUSES: Final = 32
HORIZON: Final = 3600.0
"""Seconds of running time after which a pause is forgotten: no grace is longer."""


def ran(since: int, until: int, now: int, pauses: Pauses) -> int:
    """Return how many ms of [since, until] time did not stand still; `pauses` are told from `now`, all in ms."""
    stood = 0
    for ago, length in pauses:
        ended = now - ago
        stood += max(0, min(ended, until) - max(ended - length, since))
    return until - since - stood


class Standstill:
    """The last pauses that this gateway saw; times are monotonic seconds."""

    def __init__(self) -> None:
        self._past: list[tuple[float, float]] = []
        self._held_since: float | None = None

    def stood(self, start: float, end: float) -> None:
        """Note a pause that is over: Redis was away from `start` to `end`. It joins with those it touches."""
        if end <= start:
            return
        apart = []
        for known in self._past:
            if known[1] < start or known[0] > end:
                apart.append(known)
            else:
                start, end = min(start, known[0]), max(end, known[1])
        self._past = sorted([*apart, (start, end)])[-MAX_PAUSES:]

    def hold(self, now: float) -> None:
        """Begin a pause that ends with `release`: maintenance is on."""
        if self._held_since is None:
            self._held_since = now

    def release(self, now: float) -> None:
        """End the pause that `hold` began."""
        if self._held_since is not None:
            self.stood(self._held_since, now)
            self._held_since = None

    def pauses(self, now: float) -> Pauses:
        """Return the pauses that may still matter, newest first, told from `now`."""
        if self._held_since is not None:
            self.stood(self._held_since, now)
        if not self._past:
            return ()
        told = []
        running, later = 0.0, now
        for start, end in reversed(self._past):
            running += later - end
            if running > HORIZON:
                self._past = [pause for pause in self._past if pause[0] > start]
                break
            told.append((round(1000 * (now - end)), round(1000 * (end - start))))
            later = start
        return tuple(told)
