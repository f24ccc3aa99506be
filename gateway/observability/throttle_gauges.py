"""What a throttle looks like at the moment of a scrape.

The one idea: gauges of a state that changes with every call are read when they are asked for, not written each time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import get_args

from gateway.observability.metrics import Metrics
from gateway.throttle.events import Outcome
from gateway.throttle.snapshot import LaneSnapshot, Snapshot


def watch_throttle(metrics: Metrics, snapshot: Callable[[], Snapshot]) -> None:
    """Bind the gauges of one upstream to its snapshot, and make the children of its counters."""
    first = snapshot()
    upstream = first.upstream
    metrics.throttle_rate_limit.labels(upstream).set_function(lambda: snapshot().cap)
    metrics.throttle_window_used_ratio.labels(upstream).set_function(lambda: snapshot().used_ratio)
    metrics.throttle_degraded.labels(upstream).set_function(lambda: snapshot().degraded)
    for lane in first.lanes:
        _watch_lane(metrics, snapshot, upstream, lane.name)


def _watch_lane(metrics: Metrics, snapshot: Callable[[], Snapshot], upstream: str, name: str) -> None:
    def now() -> LaneSnapshot:
        return next((lane for lane in snapshot().lanes if lane.name == name), LaneSnapshot(name, 0, 0, 0))

    metrics.throttle_queue_depth.labels(upstream, name).set_function(lambda: now().depth)
    metrics.throttle_in_flight.labels(upstream, name).set_function(lambda: now().in_flight)
    metrics.throttle_concurrency_limit.labels(upstream, name).set_function(lambda: now().concurrency)
    metrics.throttle_queue_wait_seconds.labels(upstream, name)
    for outcome in get_args(Outcome):
        metrics.throttle_calls_total.labels(upstream, name, outcome)
