"""Whether a vendor may have seen anything of a call: what decides if it can be made again."""

from __future__ import annotations

import pytest

from gateway.errors import GatewayError
from tests.wire.raw_server import Peer, answering, on_both_loops, serving
from tests.wire.upstreams import content, exchange, to_vendor

EMPTY = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"


@on_both_loops
async def test_a_call_that_could_not_connect_was_not_sent() -> None:
    """Nothing was written to a vendor that nobody could reach, and the attempt counts."""
    async with serving(answering()) as server:
        pass
    call = exchange("POST", sent=True)
    async with to_vendor(server.url) as upstream:
        with pytest.raises(GatewayError):
            await upstream.handle(call)
    assert (call.sent, call.attempts) == (False, 1)


@on_both_loops
async def test_a_call_that_was_refused_its_permit_was_not_sent() -> None:
    """Nothing was written before the permit, although the connection stood."""

    async def refuse() -> None:
        raise GatewayError("queue-timeout")

    call = exchange("POST", before_send=refuse)
    async with serving(answering()) as server, to_vendor(server.url) as upstream:
        with pytest.raises(GatewayError, match="queue-timeout"):
            await upstream.handle(call)
    assert (call.sent, call.attempts) == (False, 1)


@on_both_loops
async def test_a_call_that_broke_behind_its_permit_may_have_been_sent() -> None:
    """From the permit on nobody can tell what the vendor saw."""

    async def script(peer: Peer) -> None:
        await peer.head()
        peer.reset()

    call = exchange()
    async with serving(script) as server, to_vendor(server.url) as upstream:
        with pytest.raises(GatewayError, match="upstream-unreachable"):
            await upstream.handle(call)
        assert (call.sent, call.attempts) == (True, 1)
    async with serving(answering(EMPTY)) as server, to_vendor(server.url) as upstream:
        await content(await upstream.handle(call))
    assert (call.sent, call.attempts) == (True, 2)
