"""Counting requests."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from gateway.exchange import Exchange, Reply
from gateway.observability.layer import EgressObserver, IngressObserver
from gateway.observability.metrics import Metrics


class Ticks:
    """A clock that advances a second with each look."""

    now = 0.0

    def monotonic(self) -> float:
        self.now += 1.0
        return self.now

    def wall(self) -> float:
        return self.now


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(f"gateway_{name}", labels)


def observer(metrics: Metrics) -> IngressObserver:
    return IngressObserver(metrics, lambda exchange: "POST /login", ("POST /login",), Ticks())


async def test_a_request_is_counted_by_configured_route_method_and_code() -> None:
    """The labels come from the configuration and a closed list of methods, never from the client's bytes."""
    metrics = Metrics()

    async def forward(exchange: Exchange) -> Reply:
        exchange.upstream_seconds = 0.25
        return Reply(200)

    await observer(metrics).handle(Exchange("BREW", b"/login?x=1"), forward)
    assert value(metrics, "requests_total", route="POST /login", method="other", code="200") == 1
    assert value(metrics, "request_overhead_seconds_sum", route="POST /login") == 0.75
    assert value(metrics, "request_duration_seconds_count", route="other") == 0, "children exist before use"


async def test_a_stream_is_in_flight_until_its_body_is_closed() -> None:
    """A reply that streams counts as in flight, and is counted only when its body closes, once."""
    metrics = Metrics()

    class Endless:
        length = None

        def __aiter__(self) -> Any:
            raise AssertionError("not read here")

        async def aclose(self) -> None:
            return None

    async def forward(exchange: Exchange) -> Reply:
        return Reply(200, body=Endless())

    reply = await observer(metrics).handle(Exchange("GET", b"/"), forward)
    egress = await EgressObserver(metrics).handle(Exchange("GET", b"/"), forward)
    assert value(metrics, "requests_in_flight", direction="ingress") == 1
    assert value(metrics, "requests_in_flight", direction="egress") == 1
    for _ in range(2):
        await reply.body.aclose()
        await egress.body.aclose()
    assert value(metrics, "requests_in_flight", direction="ingress") == 0
    assert value(metrics, "requests_in_flight", direction="egress") == 0
    assert value(metrics, "requests_total", route="POST /login", method="GET", code="200") == 1


async def test_a_client_that_left_counts_as_499() -> None:
    """A cancelled request is counted under 499 and the cancellation goes on."""
    metrics = Metrics()

    async def forward(exchange: Exchange) -> Reply:
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await observer(metrics).handle(Exchange("GET", b"/"), forward)
    assert value(metrics, "requests_total", route="POST /login", method="GET", code="499") == 1
    assert value(metrics, "requests_in_flight", direction="ingress") == 0
