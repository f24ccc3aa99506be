"""How exchanges end that do not end well: broken-off content, cancellation, silence, the end of the gateway."""

from __future__ import annotations

import asyncio

import pytest

from gateway.errors import GatewayError
from gateway.exchange import Buffered
from gateway.wire.events import UpstreamFailed, UpstreamResponded
from tests.wire.raw_server import Peer, answering, on_both_loops, serving
from tests.wire.upstreams import Pieces, Upstream, content, exchange, to_backend

EMPTY = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
PART = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello"


@pytest.mark.parametrize("reset", [False, True], ids=["closed", "reset"])
@pytest.mark.parametrize(
    "answer", [PART, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"], ids=["counted", "chunked"]
)
@on_both_loops
async def test_content_that_breaks_off_is_an_error(answer: bytes, reset: bool) -> None:
    """When the backend closes in the middle, the reader gets what came and then an error, never a proper end."""
    go = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.head()
        await peer.send(answer)
        await go.wait()
        if reset:
            peer.reset()

    async with serving(script) as server, to_backend(server.url) as upstream:
        reply = await upstream.handle(exchange())
        pieces = aiter(reply.body)
        assert await anext(pieces) == b"hello"
        go.set()
        with pytest.raises(GatewayError) as caught:
            await anext(pieces)
        assert caught.value.code == "upstream-unreachable"
        await reply.body.aclose()
        assert upstream.events == [UpstreamResponded("backend", 200), UpstreamFailed("backend", "disconnect")]
        assert upstream.pool.open == 0


@on_both_loops
async def test_a_reset_is_no_proper_end() -> None:
    """Content that ends with the connection is broken off when the connection is reset."""
    go = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.head()
        await peer.send(b"HTTP/1.1 200 OK\r\n\r\nhello")
        await go.wait()
        peer.reset()

    async with serving(script) as server, to_backend(server.url) as upstream:
        reply = await upstream.handle(exchange())
        pieces = aiter(reply.body)
        assert await anext(pieces) == b"hello"
        go.set()
        with pytest.raises(GatewayError):
            await anext(pieces)
        await reply.body.aclose()


@on_both_loops
async def test_a_bad_chunk_breaks_the_content_off() -> None:
    """A chunk that makes no sense ends the content with an error and the reason `protocol`."""
    answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"

    async def script(peer: Peer) -> None:
        await peer.head()
        await peer.send(answer)
        await go.wait()
        await peer.send(b"0x5\r\n")
        await peer.end()

    go = asyncio.Event()
    async with serving(script) as server, to_backend(server.url) as upstream:
        reply = await upstream.handle(exchange())
        pieces = aiter(reply.body)
        assert await anext(pieces) == b"hello"
        go.set()
        with pytest.raises(GatewayError):
            await anext(pieces)
        await reply.body.aclose()
        assert upstream.events[-1] == UpstreamFailed("backend", "protocol")


@on_both_loops
async def test_closing_content_before_its_end_closes_the_connection() -> None:
    """`aclose` in the middle closes the connection at once; called twice it does nothing more."""

    async def script(peer: Peer) -> None:
        await peer.head()
        await peer.send(PART)
        await peer.end()

    async with serving(script) as server, to_backend(server.url) as upstream:
        reply = await upstream.handle(exchange())
        assert await anext(aiter(reply.body)) == b"hello"
        await reply.body.aclose()
        await reply.body.aclose()
        assert upstream.pool.waiting == 0
        await server.peers[0].ended.wait()
        with pytest.raises(GatewayError):
            await anext(aiter(reply.body))


async def cancelled(upstream: Upstream, call: asyncio.Task[object], server_side: Peer | None) -> None:
    """Cancel a request, and see that its connection goes at once."""
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert upstream.pool.waiting == 0
    if server_side is not None:
        await server_side.ended.wait()
    while upstream.pool.open:
        await asyncio.sleep(0)


@pytest.mark.parametrize("phase", ["permit", "answer", "upload", "pooled"])
@on_both_loops
async def test_a_cancelled_request_closes_its_connection(phase: str) -> None:
    """A client that leaves takes its connection with it, at whatever point, except that an unused one is kept."""
    reached = asyncio.Event()
    never = asyncio.Event()

    async def script(peer: Peer) -> None:
        if phase == "pooled":
            await peer.head()
            await peer.send(EMPTY)
        await peer.head()
        reached.set()
        await peer.end()

    async def permit() -> None:
        reached.set()
        await never.wait()

    async with serving(script) as server, to_backend(server.url) as upstream, asyncio.TaskGroup() as tasks:
        if phase == "pooled":
            await upstream.handle(exchange())
        body = Pieces([b"a", b"b"], gate=never.wait) if phase == "upload" else Buffered()
        call = exchange("POST", body=body, before_send=permit if phase == "permit" else None)
        task = tasks.create_task(upstream.handle(call))
        await reached.wait()
        if phase == "permit":
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert upstream.pool.waiting == upstream.pool.open == 1
            return
        await cancelled(upstream, task, server.peers[0])
        assert not getattr(body, "reading", False)


@on_both_loops
async def test_a_request_cancelled_while_it_connects() -> None:
    """A cancelled connect leaves no connection behind, however it ends."""
    async with serving(answering(EMPTY)) as server, to_backend(server.url) as upstream, asyncio.TaskGroup() as tasks:
        for turns in range(8):
            task = tasks.create_task(upstream.handle(exchange()))
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait((task,))
        await asyncio.sleep(0.05)
        assert upstream.pool.open == upstream.pool.waiting <= 8


@on_both_loops
async def test_a_request_cancelled_in_the_moment_of_its_answer() -> None:
    """Cancelling a request whose answer has just been read neither leaks its connection nor harms the next request."""
    answered = asyncio.Event()

    async def script(peer: Peer) -> None:
        while True:
            await peer.head()
            await peer.send(EMPTY)
            answered.set()

    async with serving(script) as server, to_backend(server.url) as upstream, asyncio.TaskGroup() as tasks:
        for turns in range(12):
            answered.clear()
            task = tasks.create_task(upstream.handle(exchange()))
            await answered.wait()
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait((task,))
            assert (await upstream.handle(exchange())).status == 200
        assert upstream.pool.open == upstream.pool.waiting == 1


@on_both_loops
async def test_a_silent_backend_is_given_up_in_the_middle_of_content() -> None:
    """No byte either way for `idle_timeout` ends the content with `upstream-timeout`."""

    async def script(peer: Peer) -> None:
        await peer.head()
        await peer.send(PART)
        await peer.end()

    async with serving(script) as server, to_backend(server.url, idle_timeout="100ms") as upstream:
        reply = await upstream.handle(exchange())
        pieces = aiter(reply.body)
        assert await anext(pieces) == b"hello"
        with pytest.raises(GatewayError) as caught:
            await anext(pieces)
        assert caught.value.code == "upstream-timeout"
        await reply.body.aclose()
        assert upstream.events[-1] == UpstreamFailed("backend", "timeout")
        await server.peers[0].ended.wait()


@on_both_loops
async def test_a_silent_upload_is_given_up() -> None:
    """An upload in which no byte moves for `idle_timeout` is a 504."""
    never = asyncio.Event()
    body = Pieces([b"a", b"b"], gate=never.wait)
    async with serving(Peer.end) as server, to_backend(server.url, idle_timeout="100ms") as upstream:
        with pytest.raises(GatewayError) as caught:
            await upstream.handle(exchange("POST", body=body))
        assert caught.value.code == "upstream-timeout"
        assert not body.reading


@on_both_loops
async def test_a_thinking_backend_is_not_silent() -> None:
    """The idle limit does not run while the request is whole and its answer awaited."""

    async def script(peer: Peer) -> None:
        await peer.head()
        await peer.exactly(5)
        await asyncio.sleep(0.3)
        await peer.send(EMPTY)
        await peer.end()

    async with serving(script) as server, to_backend(server.url, idle_timeout="100ms") as upstream:
        assert (await upstream.handle(exchange("POST", body=Pieces([b"hello"], 5)))).status == 200


@on_both_loops
async def test_trickling_content_is_not_silent() -> None:
    """Each byte starts the idle limit anew."""

    async def script(peer: Peer) -> None:
        await peer.head()
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n")
        for _ in range(8):
            await asyncio.sleep(0.05)
            await peer.send(b"x")
        await peer.end()

    async with serving(script) as server, to_backend(server.url, idle_timeout="200ms") as upstream:
        assert await content(await upstream.handle(exchange())) == b"x" * 8


@on_both_loops
async def test_closing_the_upstream_ends_what_is_in_use() -> None:
    """`aclose` breaks off content that is being read, and returns when every connection is closed."""

    async def script(peer: Peer) -> None:
        await peer.head()
        await peer.send(PART)
        await peer.end()

    async with serving(script) as server, to_backend(server.url) as upstream:
        reply = await upstream.handle(exchange())
        assert await anext(aiter(reply.body)) == b"hello"
        await upstream.aclose()
        assert upstream.pool.open == 0
        with pytest.raises(GatewayError):
            await anext(aiter(reply.body))
        await reply.body.aclose()
