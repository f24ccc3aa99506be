"""Vendors that cannot be reached, break off, or make no sense."""

from __future__ import annotations

import asyncio

import pytest

from gateway.errors import GatewayError
from gateway.wire.events import UpstreamFailed
from tests.wire.raw_server import Peer, answering, deaf, on_both_loops, serving
from tests.wire.upstreams import exchange, to_vendor

EMPTY = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"


@on_both_loops
async def test_nobody_listens() -> None:
    """A refused connection is a 502 that tells the client nothing of the inside."""
    async with serving(answering()) as server:
        pass
    async with to_vendor(server.url) as upstream:
        with pytest.raises(GatewayError) as caught:
            await upstream.handle(exchange())
        assert (caught.value.code, caught.value.detail) == ("upstream-unreachable", "")
        assert upstream.events == [UpstreamFailed("whmcs", "connect")]


@on_both_loops
async def test_an_unknown_name() -> None:
    """A vendor whose name does not resolve is a 502 with the reason `dns`."""
    async with to_vendor("http://vendor.invalid") as upstream:
        with pytest.raises(GatewayError) as caught:
            await upstream.handle(exchange())
        assert caught.value.code == "upstream-unreachable"
        assert upstream.events == [UpstreamFailed("whmcs", "dns")]


@on_both_loops
async def test_a_connection_that_is_not_accepted_in_time() -> None:
    """A connection that does not come about within the limit is a 502."""
    with deaf() as port:
        async with to_vendor(f"http://127.0.0.1:{port}", connect_timeout=0.05) as upstream:
            with pytest.raises(GatewayError) as caught:
                await upstream.handle(exchange())
            assert caught.value.code == "upstream-unreachable"
            assert upstream.events == [UpstreamFailed("whmcs", "connect")]


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"", "disconnect"),
        (b"HTTP/1.1 200", "disconnect"),
        (b"hush-garbage\r\n\r\n", "protocol"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", "protocol"),
        (b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n", "protocol"),
    ],
    ids=["closed", "part", "garbage", "two-lengths", "switched"],
)
@on_both_loops
async def test_no_answer_that_makes_sense(answer: bytes, reason: str) -> None:
    """A vendor that closes before the end of the header section, or answers nonsense, is a 502 that quotes nothing."""

    async def script(peer: Peer) -> None:
        await peer.head()
        await peer.send(answer)

    async with serving(script) as server, to_vendor(server.url) as upstream:
        with pytest.raises(GatewayError) as caught:
            await upstream.handle(exchange())
        assert caught.value.code == "upstream-unreachable"
        assert caught.value.detail == ""
        assert "hush-" not in caught.value.private
        assert caught.value.__suppress_context__
        assert upstream.events == [UpstreamFailed("whmcs", reason)]
        assert upstream.waiting == 0


@on_both_loops
async def test_content_that_breaks_off_is_an_error() -> None:
    """When the vendor closes in the middle, the reader gets what came and then an error, never a proper end."""
    go = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.head()
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello")
        await go.wait()

    async with serving(script) as server, to_vendor(server.url) as upstream:
        reply = await upstream.handle(exchange())
        pieces = aiter(reply.body)
        assert await anext(pieces) == b"hello"
        go.set()
        with pytest.raises(GatewayError) as caught:
            await anext(pieces)
        assert caught.value.code == "upstream-unreachable"
        await reply.body.aclose()
        assert upstream.events[-1] == UpstreamFailed("whmcs", "disconnect")
