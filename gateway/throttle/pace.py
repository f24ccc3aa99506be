"""How the schedule sees the leaky bucket that smooths bursts; the bucket itself is aiolimiter's, on the event loop.

The one idea: the schedule only counts drops that were drawn for it, so it stays a function of state and `now`.
"""

from __future__ import annotations


class Pace:
    """The leaky bucket as the schedule sees it: drops that were drawn and not used, and how fast more can come."""

    __slots__ = ("burst", "drops", "interval")

    def __init__(self, cap: float, per: float) -> None:
        self.burst = cap
        self.interval = per / cap
        self.drops = 0
