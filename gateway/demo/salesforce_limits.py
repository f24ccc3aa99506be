"""The simulated Salesforce's limits: calls in 24 hours, and long calls at once.

The one idea: a call is not long when it comes in, it becomes long; whether another one may come in is judged by those
that have become long and are still there. Source: Salesforce Developer Limits Quick Reference, "API requests".
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from gateway.clock import Clock

_DAY: Final = 86_400.0
_STEP: Final = 60.0


class Daily:
    """Counts calls over the last 24 hours, to the minute."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._minutes: deque[tuple[float, int]] = deque()
        self._used = 0

    def count(self) -> None:
        """Count a call now."""
        minute = self._clock.monotonic() // _STEP
        before = self._minutes.pop()[1] if self._minutes and self._minutes[-1][0] == minute else 0
        self._minutes.append((minute, before + 1))
        self._used += 1

    def used(self) -> int:
        """Return the calls of the last 24 hours."""
        while self._minutes and self._clock.monotonic() - self._minutes[0][0] * _STEP >= _DAY:
            self._used -= self._minutes.popleft()[1]
        return self._used

    def clear(self) -> None:
        """Count from zero again."""
        self._minutes.clear()
        self._used = 0


class LongCalls:
    """The calls in flight, and how many of them are long."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._began: dict[object, float] = {}
        self.peak = 0
        self.refused = 0

    def now(self, seconds: float) -> int:
        """Return how many calls have been in flight for `seconds` or more."""
        found = sum(1 for began in self._began.values() if self._clock.monotonic() - began >= seconds)
        self.peak = max(self.peak, found)
        return found

    @contextmanager
    def watch(self, seconds: float) -> Iterator[None]:
        """Keep a call among those in flight for as long as the block runs."""
        call = object()
        self._began[call] = self._clock.monotonic()
        try:
            yield
        finally:
            self.now(seconds)  # the most at once is reached when one of them ends
            del self._began[call]

    def clear(self) -> None:
        """Count from zero again; calls in flight stay."""
        self.peak = self.refused = 0
