"""The road of a call to a vendor, top to bottom.

The one idea: a call is refused if it need not wait, then read, then tried; and every attempt takes a permit and a slot
of its own, so that no retry escapes the limits. The breaker stands before everything, and around each attempt.
"""

from __future__ import annotations

from collections.abc import Callable

from gateway.clock import SYSTEM, Clock
from gateway.config.policy import Policy
from gateway.errors import Shape
from gateway.events import Emit, ignore
from gateway.exchange import Exchange, Handler, Layer, chain
from gateway.observability.layer import EgressObserver
from gateway.observability.metrics import Metrics
from gateway.observability.server_timing import ServerTimingLayer
from gateway.rescue import RescueLayer
from gateway.retry.breaker_layer import BreakerDoor, BreakerLayer
from gateway.retry.buffer_layer import BufferLayer, Room
from gateway.retry.layer import REASONS, RetryLayer
from gateway.throttle.layer import ThrottleLayer


def egress(
    policy: Policy,
    throttle: ThrottleLayer,
    vendor: Handler,
    room: Room,
    metrics: Metrics,
    shape: Shape = "problem",
    emit: Emit = ignore,
    clock: Clock = SYSTEM,
) -> Handler:
    """Return the way through the layers of `policy` to `vendor`; `room` is what all request contents share."""
    name = policy.upstream
    breaker = None
    if policy.breaker is not None:
        breaker = BreakerLayer(
            name, policy.breaker, lane_of=lambda exchange: throttle.lane_of(exchange), emit=emit, clock=clock
        )
    retry = []
    if policy.retry is not None:
        may_go = _may_go(throttle, breaker)
        retry.append(RetryLayer(name, policy.retry, may_go=may_go, emit=emit, clock=clock))
        for reason in (*map(str, policy.retry.statuses), *REASONS):
            metrics.upstream_retries_total.labels(name, reason)
    metrics.breaker_open.labels(name).set_function(lambda: breaker is not None and breaker.open)
    layers: list[Layer] = [
        EgressObserver(metrics),
        *([ServerTimingLayer()] if policy.annotate else []),
        RescueLayer(name, shape, emit),
        *([BreakerDoor(breaker)] if breaker else []),
        BufferLayer(room),
        *retry,
        *([breaker] if breaker else []),
        throttle,
    ]
    return chain(layers, vendor)


def _may_go(throttle: ThrottleLayer, breaker: BreakerLayer | None) -> Callable[[Exchange], bool]:
    """Return whether another attempt would be let through; else the vendor's own answer is the better one to give."""
    return lambda exchange: throttle.in_time(exchange) and (breaker is None or breaker.lets_through())
