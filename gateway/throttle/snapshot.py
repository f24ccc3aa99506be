"""What a throttle looks like at a moment, for gauges and pages.

The one idea: whoever shows a throttle gets plain numbers, and nothing that it could change.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LaneSnapshot:
    """A lane at a moment."""

    name: str
    depth: int
    """Calls in line, without a permit."""
    in_flight: int
    """Calls with a permit."""
    concurrency: int


@dataclass(frozen=True, slots=True)
class Snapshot:
    """An upstream's throttle at a moment."""

    upstream: str
    lanes: tuple[LaneSnapshot, ...]
    cap: int
    used_ratio: float
    """Share of the window's slots that count."""
    degraded: bool = False
    """Whether it lives on its share, because the fleet's books cannot be asked."""
