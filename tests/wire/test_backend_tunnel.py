"""Upgraded connections: which upgrades are offered, and the bytes both ways."""

from __future__ import annotations

import asyncio

import pytest

from gateway.errors import GatewayError
from gateway.exchange import Buffered, Exchange, Tunnel
from gateway.wire.events import UpstreamResponded
from gateway.wire.inflow import HIGH_WATER
from tests.wire.raw_server import Peer, answering, on_both_loops, serving
from tests.wire.upstreams import HOST, Upstream, content, exchange, to_backend

SWITCH = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade, X-Hop\r\nX-Hop: gone\r\n"
    b"Sec-WebSocket-Accept: abc\r\n\r\n"
)


def upgrade(protocol: bytes = b"WebSocket", body: Buffered | None = None) -> Exchange:
    headers = [HOST, (b"Connection", b"keep-alive, upgrade"), (b"Upgrade", protocol), (b"Sec-WebSocket-Key", b"k")]
    return exchange(headers=headers, body=body)


async def tunnel(upstream: Upstream) -> Tunnel:
    reply = await upstream.handle(upgrade())
    assert reply.status == 101
    assert reply.tunnel is not None
    return reply.tunnel


@on_both_loops
async def test_a_websocket_upgrade_becomes_a_tunnel() -> None:
    """The upgrade is offered as the client spelled it; after the 101, bytes go both ways, those read along first."""

    async def script(peer: Peer) -> None:
        await peer.head()
        await peer.send(SWITCH + b"first")
        assert await peer.exactly(4) == b"ping"
        await peer.send(b"pong")
        await peer.end()

    async with serving(script) as server, to_backend(server.url) as upstream:
        reply = await upstream.handle(upgrade())
        assert reply.status == 101
        assert reply.headers == [(b"Sec-WebSocket-Accept", b"abc"), (b"Upgrade", b"websocket")]
        assert await content(reply) == b""
        assert reply.tunnel is not None
        assert await reply.tunnel.read() == b"first"
        await reply.tunnel.write(b"ping")
        assert await reply.tunnel.read() == b"pong"
        await reply.tunnel.aclose()
        await server.peers[0].ended.wait()
        assert b"\r\nConnection: Upgrade\r\nUpgrade: WebSocket\r\n" in server.received[0]
        assert server.received[0].count(b"onnection:") == server.received[0].count(b"pgrade:") == 1
        assert upstream.events == [UpstreamResponded("backend", 101)]
        assert upstream.pool.waiting == 0


@on_both_loops
async def test_the_end_of_the_tunnel_is_read_as_nothing() -> None:
    """When the backend closes, `read` gives what came, then `b""`; writing then fails."""

    async def script(peer: Peer) -> None:
        await peer.head()
        await peer.send(SWITCH)
        await peer.send(b"bye")

    async with serving(script) as server, to_backend(server.url) as upstream:
        line = await tunnel(upstream)
        assert await line.read() == b"bye"
        assert await line.read() == b""
        while upstream.pool.open:
            await asyncio.sleep(0)
        with pytest.raises(ConnectionError):
            await line.write(b"x")
        await line.aclose()


@on_both_loops
async def test_a_reset_tunnel_is_an_error() -> None:
    """A tunnel that is reset does not end properly."""
    go = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.head()
        await peer.send(SWITCH + b"first")
        await go.wait()
        peer.reset()

    async with serving(script) as server, to_backend(server.url) as upstream:
        line = await tunnel(upstream)
        assert await line.read() == b"first"
        go.set()
        with pytest.raises(GatewayError):
            await line.read()
        await line.aclose()


@on_both_loops
async def test_closing_the_tunnel_delivers_what_was_written() -> None:
    """`aclose` closes the connection behind the bytes that were written before, once."""
    message = bytes(range(256)) * 256

    async def script(peer: Peer) -> None:
        await peer.head()
        await peer.send(SWITCH)
        await peer.end()

    async with serving(script) as server, to_backend(server.url) as upstream:
        line = await tunnel(upstream)
        await line.write(message)
        await line.aclose()
        await line.aclose()
        await server.peers[0].ended.wait()
        assert server.received[0].endswith(message)


@on_both_loops
async def test_a_tunnel_waits_for_both_ends() -> None:
    """A writer waits while the backend takes nothing, and the backend while nobody reads."""
    release = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.head()
        await peer.send(SWITCH)
        await release.wait()
        await asyncio.gather(peer.end(), peer.send(b"x" * 4_000_000))

    async with serving(script) as server, to_backend(server.url) as upstream, asyncio.TaskGroup() as tasks:
        line = await tunnel(upstream)

        async def write() -> None:
            for _ in range(200):
                await line.write(b"y" * 65536)

        writing = tasks.create_task(write())
        await asyncio.wait((writing,), timeout=0.1)
        assert not writing.done()
        release.set()
        await writing
        got = 0
        while got < 4_000_000:
            data = await line.read()
            assert len(data) <= HIGH_WATER + 256 * 1024
            got += len(data)
        await line.aclose()


@on_both_loops
async def test_a_silent_tunnel_is_closed() -> None:
    """No byte either way for `idle_timeout` ends the tunnel."""

    async def script(peer: Peer) -> None:
        await peer.head()
        await peer.send(SWITCH)
        await peer.end()

    async with serving(script) as server, to_backend(server.url, idle_timeout="100ms") as upstream:
        line = await tunnel(upstream)
        with pytest.raises(GatewayError) as caught:
            await line.read()
        assert caught.value.code == "upstream-timeout"
        await line.aclose()
        await server.peers[0].ended.wait()


@on_both_loops
async def test_a_closed_tunnel_whose_last_bytes_nobody_takes_is_aborted() -> None:
    """A backend that takes nothing more cannot keep a closed tunnel for longer than `idle_timeout`."""
    never = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.head()
        await peer.send(SWITCH)
        await never.wait()

    async with serving(script) as server, to_backend(server.url, idle_timeout="100ms") as upstream:
        line = await tunnel(upstream)

        async def write() -> None:
            while True:
                await line.write(b"y" * 65536)

        with pytest.raises(TimeoutError):
            await asyncio.wait_for(write(), 0.05)
        await line.aclose()
        while upstream.pool.open:
            await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    "call", [upgrade(b"h2c"), upgrade(b"h2c, foo/2"), upgrade(body=Buffered(b"x"))], ids=["h2c", "others", "content"]
)
@on_both_loops
async def test_other_upgrades_are_not_offered(call: Exchange) -> None:
    """An upgrade to another protocol, or of a request with content, is forwarded as a plain request."""
    empty = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
    async with serving(answering(empty)) as server, to_backend(server.url) as upstream:
        reply = await upstream.handle(call)
        assert (reply.status, reply.tunnel) == (200, None)
        assert b"pgrade" not in server.received[0]


@on_both_loops
async def test_a_refused_upgrade_is_an_answer_like_any_other() -> None:
    """When the backend answers an upgrade with a 403 or 200, HTTP goes on and the connection is kept."""
    refusal = b"HTTP/1.1 403 Forbidden\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 2\r\n\r\nno"
    async with serving(answering(refusal)) as server, to_backend(server.url) as upstream:
        reply = await upstream.handle(upgrade())
        assert (reply.status, reply.tunnel) == (403, None)
        assert reply.headers == [(b"Content-Length", b"2")]
        assert await content(reply) == b"no"
        assert upstream.pool.waiting == 1


@on_both_loops
async def test_a_switch_to_another_protocol_is_refused() -> None:
    """A 101 to something that was not asked for is a 502, and the connection is closed."""
    answer = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n"
    async with serving(answering(answer)) as server, to_backend(server.url) as upstream:
        with pytest.raises(GatewayError) as caught:
            await upstream.handle(upgrade())
        assert caught.value.code == "upstream-unreachable"
        await server.peers[0].ended.wait()
