"""A clock for what reads the time and never waits."""

from __future__ import annotations


class SteppedClock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now

    def wall(self) -> float:
        return self.now
