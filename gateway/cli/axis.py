"""The axis of a chart: a unit that suits its length, and ticks at round numbers.

The one idea: steps of 1, 2 or 5 times a power of ten, so that every label is short.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, floor, log10
from typing import Self

_SHORTEST = 1e-3
"""Seconds: an axis of nothing would have no steps."""


@dataclass(frozen=True, slots=True)
class Axis:
    """From 0 to `top` in units; a unit is `scale` of what the values are counted in."""

    top: float
    step: float
    unit: str
    scale: float

    @classmethod
    def of_seconds(cls, longest: float, steps: int, *, whole: bool = True) -> Self:
        """Return an axis that holds `longest` seconds with about so many steps; a `whole` one ends with a tick."""
        longest = max(longest, _SHORTEST)
        unit, scale = next((unit, scale) for unit, scale, least in _UNITS if longest >= least)
        step = _round_step(longest / scale / steps)
        return cls(ceil(longest / scale / step - 1e-9) * step if whole else longest / scale, step, unit, scale)

    def ticks(self) -> list[float]:
        """Return where the ticks are, in units."""
        return [place * self.step for place in range(floor(self.top / self.step + 1e-9) + 1)]

    def share(self, value: float) -> float:
        """Return how far along the axis a value in seconds lies, from 0 to 1."""
        return value / self.scale / self.top


_UNITS = (("h", 3600.0, 7200.0), ("min", 60.0, 180.0), ("s", 1.0, 0.5), ("ms", 0.001, 0.0))
"""A unit, its seconds, and the seconds from which on it is used."""


def _round_step(about: float) -> float:
    power: float = 10.0 ** floor(log10(about))
    return next(times * power for times in (1.0, 2.0, 5.0, 10.0) if times * power >= about * (1 - 1e-9))
