"""Tells the token room when time stood still, although it must not know who else lives in the house.

The one idea: whoever reports an outage or maintenance reports through here, and the grace of tokens learns of it in the
same step, before the first request that comes afterwards.
"""

from __future__ import annotations

from gateway.availability.events import RedisAvailable
from gateway.clock import SYSTEM, Clock
from gateway.events import Emit, Event
from gateway.maintenance.events import MaintenanceChanged
from gateway.tokens.standstill import Standstill


def watched(emit: Emit, standstill: Standstill, clock: Clock = SYSTEM) -> Emit:
    """Return `emit` for a room whose reports say when Redis was away or when token routes are closed."""

    def report(event: Event) -> None:
        now = clock.monotonic()
        match event:
            case RedisAvailable(away_seconds):
                standstill.stood(now - away_seconds, now)
            case MaintenanceChanged(active):
                (standstill.hold if active else standstill.release)(now)
        emit(event)

    return report
