"""The outermost frame of both roads: counts, times and tracks every request.

The one idea: a request ends when its reply's body is closed, not when its header section is sent; so a stream counts as
in flight for as long as it runs.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from gateway.clock import SYSTEM, Clock
from gateway.exchange import Buffered, Exchange, Handler, Released, Reply
from gateway.observability.metrics import METHODS, Metrics
from gateway.observability.recorder import Children

CLIENT_CLOSED = "499"
"""The code counted when the client went away before an answer (nginx's convention)."""


class IngressObserver:
    """Counts clients' requests by route, method and code, and times them."""

    def __init__(
        self, metrics: Metrics, label: Callable[[Exchange], str], routes: Sequence[str], clock: Clock = SYSTEM
    ) -> None:
        self._label = label
        self._clock = clock
        self._in_flight = metrics.requests_in_flight.labels("ingress")
        self._total = Children(metrics.requests_total)
        self._duration = Children(metrics.request_duration_seconds)
        self._overhead = Children(metrics.request_overhead_seconds)
        for route in (*routes, "other"):
            self._duration(route)
            self._overhead(route)

    async def handle(self, exchange: Exchange, forward: Handler) -> Reply:
        """Forward, then count under the route that the exchange met."""
        started = self._clock.monotonic()
        exchange.route = self._label(exchange)
        self._in_flight.inc()
        try:
            reply = await forward(exchange)
        except BaseException as error:
            code = CLIENT_CLOSED if isinstance(error, asyncio.CancelledError) else "500"
            self._done(exchange, started, code)
            raise
        elapsed = self._clock.monotonic() - started
        self._overhead(exchange.route).observe(max(0.0, elapsed - exchange.upstream_seconds))
        code = str(reply.status)
        if isinstance(reply.body, Buffered) and reply.tunnel is None:
            self._done(exchange, started, code)
        else:
            reply.body = Released(reply.body, lambda: self._done(exchange, started, code))
        return reply

    def _done(self, exchange: Exchange, started: float, code: str) -> None:
        self._in_flight.dec()
        method = exchange.method if exchange.method in METHODS else "other"
        self._total(exchange.route, method, code).inc()
        self._duration(exchange.route).observe(self._clock.monotonic() - started)


class EgressObserver:
    """Tracks how many calls to vendors are under way; the throttle counts their outcomes."""

    def __init__(self, metrics: Metrics) -> None:
        self._in_flight = metrics.requests_in_flight.labels("egress")

    async def handle(self, exchange: Exchange, forward: Handler) -> Reply:
        """Forward and hold the gauge until the body is closed."""
        self._in_flight.inc()
        try:
            reply = await forward(exchange)
        except BaseException:
            self._in_flight.dec()
            raise
        reply.body = Released(reply.body, self._in_flight.dec)
        return reply
