"""Tells a caller where its call spent its time: the `Server-Timing` field (W3C Server Timing).

The one idea: the exchange keeps the account while it is on its way; this frame, outside of all that wait, reads it out.
"""

from __future__ import annotations

from gateway.exchange import Exchange, Handler, Reply


class ServerTimingLayer:
    """Adds `queue` and `upstream` (milliseconds) and the number of `attempts` to every answer, the vendor's own beside.

    Attempts are those that set out for the vendor: none when the gateway answered without asking it.
    """

    async def handle(self, exchange: Exchange, forward: Handler) -> Reply:
        """Forward, and annotate the answer at its header section."""
        reply = await forward(exchange)
        account = (exchange.queue_seconds * 1000, exchange.upstream_seconds * 1000, exchange.attempts)
        value = b'queue;dur=%.1f, upstream;dur=%.1f, attempts;desc="%d"' % account
        reply.headers = [*reply.headers, (b"Server-Timing", value)]
        return reply
