"""How late the event loop wakes up: the first sign that one core is not enough."""

from __future__ import annotations

import asyncio

from gateway.clock import SYSTEM, Clock
from gateway.observability.metrics import Metrics

INTERVAL_SECONDS = 0.5


async def watch_lag(metrics: Metrics, clock: Clock = SYSTEM) -> None:
    """Measure for ever: sleep, and note by how much the sleep was too long."""
    while True:
        due = clock.monotonic() + INTERVAL_SECONDS
        await asyncio.sleep(INTERVAL_SECONDS)
        metrics.event_loop_lag_seconds.set(max(0.0, clock.monotonic() - due))
