"""One call is at most one call at the vendor, and written behind its permit."""

from __future__ import annotations

import asyncio

import pytest

from gateway.errors import GatewayError
from gateway.exchange import Buffered
from gateway.wire import vendor_connector
from tests.wire.raw_server import Peer, answering, on_both_loops, serving
from tests.wire.upstreams import Pieces, content, exchange, to_vendor

EMPTY = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "OPTIONS", "TRACE", "POST"])
@pytest.mark.parametrize("reset", [False, True], ids=["closed", "reset"])
@on_both_loops
async def test_a_call_is_never_sent_again(method: str, reset: bool) -> None:
    """A pooled connection that dies on a call: 502, and the vendor saw the call once, whatever the method."""

    async def script(peer: Peer) -> None:
        await peer.head()
        await peer.send(EMPTY)
        await peer.head()
        if reset:
            peer.reset()

    async with serving(script) as server, to_vendor(server.url) as upstream:
        await content(await upstream.handle(exchange(target=b"/first")))
        with pytest.raises(GatewayError) as caught:
            await upstream.handle(exchange(method, b"/second"))
        assert caught.value.code == "upstream-unreachable"
        assert sum(sent.count(b"/second") for sent in server.received) == 1
        assert len(server.peers) == 1


@on_both_loops
async def test_the_permit_comes_behind_the_connection_and_before_the_call() -> None:
    """`before_send` is awaited when the connection stands and the vendor has seen no byte, new or pooled."""
    seen: list[tuple[int, bytes]] = []
    async with serving(answering(EMPTY, EMPTY)) as server, to_vendor(server.url) as upstream:

        async def permit() -> None:
            [peer] = await server.connections(1)
            await asyncio.sleep(0.02)
            seen.append((len(server.peers), peer.received))

        for target in (b"/1", b"/2"):
            await content(await upstream.handle(exchange(target=target, before_send=permit)))
    assert seen[0] == (1, b"")
    assert seen[1][0] == 1
    assert b"/2" not in seen[1][1]


@on_both_loops
async def test_the_wait_for_a_permit_is_no_connect_timeout() -> None:
    """A permit may take longer than the connection was allowed to, and is not counted as the vendor's time."""

    async def permit() -> None:
        await asyncio.sleep(0.3)

    async with serving(answering(EMPTY)) as server, to_vendor(server.url, connect_timeout=0.1) as upstream:
        call = exchange(before_send=permit)
        assert (await upstream.handle(call)).status == 200
        assert call.upstream_seconds < 0.3


@on_both_loops
async def test_the_header_section_goes_out_with_the_permit() -> None:
    """A streamed call is begun at once, not when the client sends its content."""
    held = asyncio.Event()

    class Held(Pieces):
        async def __aiter__(self):  # type: ignore[no-untyped-def]
            await held.wait()
            yield b"hello"

    async def script(peer: Peer) -> None:
        await peer.head()
        held.set()
        await peer.exactly(5)
        await peer.send(EMPTY)
        await peer.end()

    async with serving(script) as server, to_vendor(server.url) as upstream:
        assert (await upstream.handle(exchange("POST", body=Held([], 5)))).status == 200


@pytest.mark.parametrize("error", [GatewayError("queue-timeout"), TimeoutError(), ConnectionError(), ValueError()])
@on_both_loops
async def test_a_refused_permit_passes_and_keeps_the_connection(error: Exception) -> None:
    """What `before_send` raises comes out unchanged, nothing is sent, and the connection waits for the next call."""

    async def refuse() -> None:
        raise error

    async with serving(answering(EMPTY)) as server, to_vendor(server.url) as upstream:
        with pytest.raises(type(error)) as caught:
            await upstream.handle(exchange(before_send=refuse))
        assert caught.value is error
        assert upstream.events == []
        assert (upstream.in_use, upstream.waiting) == (0, 1)
        await content(await upstream.handle(exchange()))
        assert len(server.peers) == 1


@on_both_loops
async def test_a_connection_that_closes_during_the_permit_is_replaced_under_a_new_permit() -> None:
    """When the vendor closes the connection while the permit is waited for, another permit goes with another."""
    permits = 0

    async def script(peer: Peer) -> None:
        if len(server.peers) > 1:
            await answering(EMPTY)(peer)

    async with serving(script) as server, to_vendor(server.url) as upstream:

        async def permit() -> None:
            nonlocal permits
            permits += 1
            [*_, last] = await server.connections(permits)
            if permits == 1:
                await last.ended.wait()
                await asyncio.sleep(0.02)

        assert (await upstream.handle(exchange("POST", body=Buffered(b"x"), before_send=permit))).status == 200
        assert permits == 2
        assert b"".join(server.received).count(b"POST") == 1


@on_both_loops
async def test_a_vendor_that_always_closes_costs_few_permits() -> None:
    """A vendor that closes every connection while the permit is waited for is a 502 in the end, and costs no permit."""
    permits = 0

    async def permit() -> None:
        nonlocal permits
        permits += 1
        [*_, last] = await server.connections(permits)
        await last.ended.wait()
        await asyncio.sleep(0.02)

    async def script(peer: Peer) -> None:
        return

    unsent = 0

    def on_unsent() -> None:
        nonlocal unsent
        unsent += 1

    async with serving(script) as server, to_vendor(server.url) as upstream:
        with pytest.raises(GatewayError) as caught:
            await upstream.handle(exchange(before_send=permit, on_unsent=on_unsent))
        assert caught.value.code == "upstream-unreachable"
        assert permits == unsent == vendor_connector._CONNECTIONS, "every permit was given back"


@on_both_loops
async def test_there_is_no_limit_on_connections() -> None:
    """As many calls run at once as are offered; the limits are the throttle's."""
    async with serving(answering(EMPTY)) as server, to_vendor(server.url) as upstream:

        async def permit() -> None:
            await server.connections(110)

        async def call() -> None:
            await content(await upstream.handle(exchange(before_send=permit)))

        await asyncio.gather(*(call() for _ in range(110)))
        assert len(server.peers) == 110
        assert upstream.in_use == 0
