"""What time it is at the store, as far as a replica can know.

The one idea: an answer tells the store's time, and that time lay between the sending of the question and the coming of
the answer. So each answer bounds how far the store's clock is ahead of this process's monotonic one, and the bounds of
many answers together are far tighter than the slowest of them. Whatever hangs on the store's time is then decided by
the bound that errs on the safe side. Bounds that exclude each other mean that the store's clock was set.
"""

from __future__ import annotations

from typing import Final

FORGOTTEN: Final = 60.0
"""Seconds after which small steps that add up to the tolerance are forgotten: a clock that is slewed is set, slowly."""
DRIFT: Final = 0.0002
"""Seconds a second by which two honest clocks may drift apart (200 ppm)."""


class StoreClock:
    """Bounds of the store's clock less this process's monotonic one, in seconds.

    `tolerance` is by how many seconds two observations may exclude each other before the clock counts as set.
    """

    __slots__ = ("_at", "_high", "_low", "_moved", "tolerance")

    def __init__(self, tolerance: float) -> None:
        self.tolerance = tolerance
        self._low = self._high = 0.0
        self._moved = 0.0
        """Seconds by which it was set lately."""
        self._at: float | None = None
        """When the bounds were last mended (monotonic s)."""

    @property
    def known(self) -> bool:
        """Whether there was an observation."""
        return self._at is not None

    def observe(self, sent: float, received: float, store: float) -> bool:
        """Learn that the store's clock showed `store` between two moments; False when it must have been set since."""
        low, high = store - received, store - sent
        before = self._at
        self._at = received
        if before is None:
            self._low, self._high = low, high
            return True
        slack = DRIFT * max(0.0, received - before)
        was_low, was_high = self._low - slack, self._high + slack
        gap = max(low - was_high, was_low - high)
        self._moved = max(0.0, self._moved - self.tolerance * max(0.0, received - before) / FORGOTTEN)
        if gap > 0:
            self._low, self._high = low, high
            self._moved += gap
            steady = self._moved <= self.tolerance
            self._moved = self._moved if steady else 0.0
            return steady
        self._low, self._high = max(low, was_low), min(high, was_high)
        return True

    def surely_at(self, store: float) -> float:
        """Return the monotonic time from which on the store's clock has certainly reached `store`."""
        return store - self._low

    def not_before(self, store: float) -> float:
        """Return the monotonic time until which the store's clock has certainly not passed `store`."""
        return store - self._high

    def latest(self, now: float) -> float:
        """Return the latest time that the store's clock may show at `now`."""
        return now + self._high

    def earliest(self, now: float) -> float:
        """Return the earliest time that the store's clock may show at `now`."""
        return now + self._low
