"""The `Server-Timing` field."""

from __future__ import annotations

from gateway.exchange import Exchange, Reply
from gateway.observability.server_timing import ServerTimingLayer


async def test_the_account_of_the_exchange_is_read_out_in_milliseconds() -> None:
    """Wait, time at the vendor and attempts are added as a field of their own; what the vendor said stays first."""
    vendors = [(b"server-timing", b"db;dur=1")]

    async def forward(exchange: Exchange) -> Reply:
        exchange.queue_seconds, exchange.upstream_seconds, exchange.attempts = 1.5, 0.0204, 2
        return Reply(200, vendors)

    reply = await ServerTimingLayer().handle(Exchange("GET", b"/"), forward)
    assert reply.headers == [*vendors, (b"Server-Timing", b'queue;dur=1500.0, upstream;dur=20.4, attempts;desc="2"')]
    assert vendors == [(b"server-timing", b"db;dur=1")]
