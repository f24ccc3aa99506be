"""Counts arrivals and tells the busiest window: the demo's independent judge of the gateway's rate limits.

The one idea: it shares nothing with the limiter that it judges. A window is half-open, `[t, t + length)`, and may
start anywhere; the fullest one can always be moved so that it ends with an arrival, so that looking back once from
each arrival is exact, and each arrival enters and leaves the look-back once.
"""

from __future__ import annotations

from array import array
from collections import deque

from gateway.clock import SYSTEM, Clock


class WindowCounter:
    """The most arrivals in any window of `length` seconds; O(1) amortised for each arrival.

    Raises:
        ValueError: when `length` is not more than zero.
    """

    def __init__(self, length: float) -> None:
        if not length > 0:
            raise ValueError("a window is longer than zero seconds")
        self.peak = 0
        self._length = length
        self._recent: deque[float] = deque()

    def add(self, at: float) -> None:
        """Count an arrival at `at` seconds.

        Raises:
            ValueError: when `at` lies before the arrival counted last.
        """
        recent = self._recent
        if recent and at < recent[-1]:
            raise ValueError("arrivals are counted in order")
        recent.append(at)
        while at - recent[0] >= self._length:
            recent.popleft()
        self.peak = max(self.peak, len(recent))


class Arrivals:
    """Remembers when each call arrived, so that a window of any length can be asked for afterwards."""

    def __init__(self, clock: Clock = SYSTEM) -> None:
        self._clock = clock
        self._times = array("d")

    def __len__(self) -> int:
        return len(self._times)

    def record(self) -> None:
        """Count a call that arrives now."""
        self._times.append(self._clock.monotonic())

    def busiest(self, length: float) -> int:
        """Return the most arrivals that any window of `length` seconds held.

        Raises:
            ValueError: when `length` is not more than zero.
        """
        counter = WindowCounter(length)
        for at in self._times:
            counter.add(at)
        return counter.peak

    def span(self) -> float:
        """Return the seconds from the first arrival to the last; zero when there are fewer than two."""
        return self._times[-1] - self._times[0] if self._times else 0.0

    def clear(self) -> None:
        """Forget every arrival."""
        del self._times[:]
