"""The only place that asks for the time; everything else is given a `Clock` or a `now`.

The one idea: durations are measured on `monotonic`, which no clock step moves; `wall` is for timestamps that
leave the process (token times while Redis is away, log lines). Waiting is done on the event loop.
"""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """A source of time, in seconds."""

    def monotonic(self) -> float:
        """Seconds since an arbitrary start; never goes back."""
        ...

    def wall(self) -> float:
        """Seconds since the Unix epoch."""
        ...


class SystemClock:
    """The operating system's clocks."""

    monotonic = staticmethod(time.monotonic)
    wall = staticmethod(time.time)


SYSTEM: Clock = SystemClock()
