"""The calls that a simulation is offered: when each comes, what it says of itself, and how long the vendor takes.

The one idea: a call is a value, whether it was read from a trace or drawn; the same seed draws the same calls.
"""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import NamedTuple

from gateway.throttle.line import Priority


class Arrival(NamedTuple):
    """A call that comes at `time` (seconds since the begin) and that the vendor answers after `duration` seconds."""

    time: float
    lane: str
    duration: float
    tenant: str = ""
    priority: Priority = "normal"


class Draw:
    """Random numbers for times between arrivals and for durations, from one seed."""

    def __init__(self, seed: int, service: float) -> None:
        """`service` is the mean duration of a call in seconds; 0 is always 0."""
        self._gaps = Random(seed)  # noqa: S311 - nothing here is a secret
        self._durations = Random(seed + 1)  # noqa: S311 - of its own, so that the times do not change with `service`
        self._service = service

    def duration(self) -> float:
        """Return the duration of a call: exponential, as of a server without memory."""
        return self._durations.expovariate(1.0) * self._service

    def poisson(self, rate: float, seconds: float, lane: str) -> Iterator[Arrival]:
        """Yield the arrivals of a Poisson process: `rate` a second on the mean, from 0 until `seconds`."""
        now = self._gaps.expovariate(rate)
        while now < seconds:
            yield Arrival(now, lane, self.duration())
            now += self._gaps.expovariate(rate)
