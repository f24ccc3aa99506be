"""However a call ends, it leaves no connection behind."""

from __future__ import annotations

import asyncio

import pytest

from gateway.errors import GatewayError
from gateway.exchange import Buffered
from tests.wire.raw_server import Peer, RawServer, answering, on_both_loops, serving
from tests.wire.upstreams import Pieces, Vendor, content, exchange, to_vendor

EMPTY = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"


async def settled(upstream: Vendor, server: RawServer) -> None:
    """See that no call holds a connection, and that the vendor's side has noticed."""
    assert (upstream.in_use, upstream.waiting) == (0, 0)
    for peer in server.peers:
        await peer.ended.wait()


@pytest.mark.parametrize("pooled", [False, True], ids=["new", "pooled"])
@pytest.mark.parametrize("phase", ["answer", "upload", "content"])
@on_both_loops
async def test_a_cancelled_call_closes_its_connection(phase: str, pooled: bool) -> None:
    """A call that is cancelled while its answer is awaited, sent to, or read, frees its connection at once."""
    reached = asyncio.Event()
    never = asyncio.Event()

    async def script(peer: Peer) -> None:
        if pooled:
            await peer.head()
            await peer.send(EMPTY)
        await peer.head()
        if phase == "content":
            await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello")
        else:
            reached.set()
        await peer.end()

    async def call(upstream: Vendor, body: Pieces | Buffered) -> None:
        reply = await upstream.handle(exchange("POST", body=body))
        try:
            async for _ in reply.body:
                reached.set()
        finally:
            await reply.body.aclose()

    async with serving(script) as server, to_vendor(server.url) as upstream, asyncio.TaskGroup() as tasks:
        if pooled:
            await content(await upstream.handle(exchange()))
        body = Pieces([b"a", b"b"], gate=never.wait) if phase == "upload" else Buffered()
        task = tasks.create_task(call(upstream, body))
        await reached.wait()
        assert upstream.in_use == 1
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert not getattr(body, "reading", False)
        await settled(upstream, server)


@on_both_loops
async def test_a_call_cancelled_at_its_permit_gives_its_connection_back() -> None:
    """A connection that carried nothing is not lost with the call that waited with it."""
    waiting = asyncio.Event()
    never = asyncio.Event()

    async def permit() -> None:
        waiting.set()
        await never.wait()

    async with serving(answering(EMPTY)) as server, to_vendor(server.url) as upstream, asyncio.TaskGroup() as tasks:
        task = tasks.create_task(upstream.handle(exchange(before_send=permit)))
        await waiting.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert (upstream.in_use, upstream.waiting) == (0, 1)
        await content(await upstream.handle(exchange()))
        assert len(server.peers) == 1


@on_both_loops
async def test_a_call_cancelled_at_any_turn_leaks_nothing() -> None:
    """Wherever in its connect, permit, write and read a call is cancelled, no connection stays in use."""

    async def call(upstream: Vendor) -> None:
        await content(await upstream.handle(exchange("POST", body=Pieces([b"a", b"b"], 2))))

    script = answering(*[EMPTY] * 80)
    async with serving(script) as server, to_vendor(server.url) as upstream, asyncio.TaskGroup() as tasks:
        for turns in range(40):
            task = tasks.create_task(call(upstream))
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait((task,))
            assert upstream.in_use == 0


@on_both_loops
async def test_a_timeout_around_the_call_frees_the_connection() -> None:
    """The lane's `asyncio.timeout` ends the call and its connection, and nothing takes it for an upstream's failure."""
    async with serving(Peer.end) as server, to_vendor(server.url) as upstream:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await upstream.handle(exchange())
        assert upstream.events == []
        await settled(upstream, server)


@on_both_loops
async def test_content_is_streamed_and_the_connection_kept() -> None:
    """Content comes as it is sent, and the connection waits for the next call as soon as it is whole."""
    go = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.head()
        await peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
        await go.wait()
        await peer.send(b"5\r\nworld\r\n0\r\n\r\n")
        await peer.end()

    async with serving(script) as server, to_vendor(server.url) as upstream:
        reply = await upstream.handle(exchange())
        assert reply.body.length is None
        pieces = aiter(reply.body)
        assert await anext(pieces) == b"hello"
        assert upstream.in_use == 1
        go.set()
        assert [data async for data in pieces] == [b"world"]
        await reply.body.aclose()
        assert (upstream.in_use, upstream.waiting) == (0, 1)


@on_both_loops
async def test_closing_content_before_its_end_closes_the_connection() -> None:
    """`aclose` in the middle closes the connection; called twice it does nothing more."""

    async def script(peer: Peer) -> None:
        await peer.head()
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello")
        await peer.end()

    async with serving(script) as server, to_vendor(server.url) as upstream:
        reply = await upstream.handle(exchange())
        assert await anext(aiter(reply.body)) == b"hello"
        await reply.body.aclose()
        await reply.body.aclose()
        await settled(upstream, server)


@on_both_loops
async def test_an_early_answer_is_handed_on_during_the_upload() -> None:
    """A 413 that comes before the content is whole is relayed, and the upload ends."""
    never = asyncio.Event()
    body = Pieces([b"hello", b"world"], 10, gate=never.wait)

    async def script(peer: Peer) -> None:
        await peer.head()
        await peer.until(b"hello")
        await peer.send(b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 2\r\n\r\nno")
        await peer.end()

    async with serving(script) as server, to_vendor(server.url) as upstream:
        reply = await upstream.handle(exchange("POST", body=body))
        assert reply.status == 413
        assert await content(reply) == b"no"
        assert not body.reading
        await settled(upstream, server)


@pytest.mark.parametrize("pieces", [[b"hell"], [b"hello!"]])
@on_both_loops
async def test_content_of_another_length_is_never_a_whole_call(pieces: list[bytes]) -> None:
    """A body shorter or longer than its length ends the call with an error before it is whole."""
    async with serving(Peer.end) as server, to_vendor(server.url) as upstream:
        with pytest.raises(GatewayError) as caught:
            await upstream.handle(exchange("POST", body=Pieces(pieces, 5)))
        assert caught.value.code == "internal-error"
        await settled(upstream, server)
        assert len(server.received[0].partition(b"\r\n\r\n")[2]) < 5


@on_both_loops
async def test_an_error_in_the_clients_content_passes() -> None:
    """What reading the client's body raises comes out of `handle`, and the vendor's connection is closed."""

    class Broken(Pieces):
        async def __aiter__(self):  # type: ignore[no-untyped-def]
            yield b"hello"
            raise GatewayError("payload-too-large")

    async with serving(Peer.end) as server, to_vendor(server.url) as upstream:
        with pytest.raises(GatewayError) as caught:
            await upstream.handle(exchange("POST", body=Broken([])))
        assert caught.value.code == "payload-too-large"
        assert upstream.events == []
        await settled(upstream, server)


@on_both_loops
async def test_closing_the_upstream_closes_its_connections() -> None:
    """`aclose` closes what waits; an upstream that made no call has nothing to close."""
    async with serving(answering(EMPTY)) as server, to_vendor(server.url) as upstream:
        await upstream.aclose()
        await content(await upstream.handle(exchange()))
        await upstream.aclose()
        await server.peers[0].ended.wait()
