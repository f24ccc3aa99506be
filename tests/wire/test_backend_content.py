"""Content on its way: streaming, backpressure, early answers, content that is not what it says."""

from __future__ import annotations

import asyncio
import hashlib

import pytest

from gateway.errors import GatewayError
from gateway.wire.events import UpstreamResponded
from gateway.wire.inflow import HIGH_WATER
from tests.wire.raw_server import Peer, answering, on_both_loops, serving
from tests.wire.upstreams import Pieces, content, exchange, to_backend

EMPTY = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
PART = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello"


@on_both_loops
async def test_content_is_handed_on_as_it_comes() -> None:
    """The reply is there before its content, and each piece before the next is sent."""
    go = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.head()
        await peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(3):
            await go.wait()
            go.clear()
            await peer.send(b"5\r\nhello\r\n")
        await go.wait()
        await peer.send(b"0\r\n\r\n")
        await peer.end()

    async with serving(script) as server, to_backend(server.url) as upstream:
        reply = await upstream.handle(exchange())
        pieces = aiter(reply.body)
        for _ in range(3):
            go.set()
            assert await anext(pieces) == b"hello"
        go.set()
        with pytest.raises(StopAsyncIteration):
            await anext(pieces)
        assert upstream.pool.waiting == 1
        await reply.body.aclose()
        assert upstream.pool.waiting == upstream.pool.open == 1


@on_both_loops
async def test_a_slow_reader_holds_the_backend() -> None:
    """What is not read is not taken from the socket beyond the high-water mark; when it is read, it is all there."""
    size = 32 * 1024 * 1024
    block = bytes(range(256)) * 256
    given = 0

    async def script(peer: Peer) -> None:
        nonlocal given
        await peer.head()
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
        for _ in range(size // len(block)):
            await peer.send(block)
            given += len(block)
        await peer.end()

    async with serving(script) as server, to_backend(server.url) as upstream:
        reply = await upstream.handle(exchange())
        before = -1
        while given != before:  # until the backend gets rid of no more
            before = given
            await asyncio.sleep(0.05)
        assert given < size
        assert reply.body.size <= HIGH_WATER + 256 * 1024
        digest = hashlib.sha256()
        async for data in reply.body:
            assert len(data) <= HIGH_WATER + 256 * 1024
            digest.update(data)
        await reply.body.aclose()
        assert digest.digest() == hashlib.sha256(block * (size // len(block))).digest()
        assert upstream.pool.waiting == 1


@on_both_loops
async def test_a_large_upload_arrives_whole() -> None:
    """A streamed body of unknown length larger than every buffer reaches the backend unchanged."""
    block = bytes(range(256)) * 1024
    count = 40
    hashed = hashlib.sha256()

    async def script(peer: Peer) -> None:
        await peer.head()
        while size := int(await peer.until(b"\r\n"), 16):
            hashed.update(await peer.exactly(size))
            await peer.exactly(2)
        await peer.until(b"\r\n")
        peer.received = b""
        await peer.send(EMPTY)
        await peer.end()

    async with serving(script) as server, to_backend(server.url) as upstream:
        body = Pieces([block] * count)
        assert (await upstream.handle(exchange("PUT", body=body))).status == 200
        assert hashed.digest() == hashlib.sha256(block * count).digest()
        assert upstream.pool.waiting == 1
        assert not body.reading


@pytest.mark.parametrize("length", [None, 10])
@on_both_loops
async def test_an_early_answer_is_handed_on_during_the_upload(length: int | None) -> None:
    """A 413 that comes before the content is whole is relayed; the pump ends, and the connection is closed."""
    held = asyncio.Event()
    body = Pieces([b"hello", b"world"], length, gate=held.wait)

    async def script(peer: Peer) -> None:
        await peer.head()
        await peer.until(b"hello")
        await peer.send(b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 2\r\n\r\nno")
        await peer.end()

    async with serving(script) as server, to_backend(server.url) as upstream:
        reply = await upstream.handle(exchange("POST", body=body))
        assert reply.status == 413
        assert await content(reply) == b"no"
        assert not body.reading
        assert upstream.pool.waiting == 0
        await server.peers[0].ended.wait()
        assert upstream.events == [UpstreamResponded("backend", 413)]


@on_both_loops
async def test_content_flows_both_ways_at_once() -> None:
    """An answer may begin, and go on, while the request's content is still being sent."""
    pulled = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.head()
        await peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for word in (b"one", b"two"):
            await peer.until(word + b"\r\n")
            await peer.send(b"3\r\n" + word + b"\r\n")
        await peer.until(b"0\r\n\r\n")
        await peer.send(b"0\r\n\r\n")
        await peer.end()

    async with serving(script) as server, to_backend(server.url) as upstream:
        reply = await upstream.handle(exchange("POST", body=Pieces([b"one", b"two"], gate=pulled.wait)))
        pieces = aiter(reply.body)
        assert await anext(pieces) == b"one"
        pulled.set()
        assert await anext(pieces) == b"two"
        assert [data async for data in pieces] == []
        await reply.body.aclose()
        assert upstream.pool.waiting == 1


@on_both_loops
async def test_continue_is_asked_and_given() -> None:
    """With `Expect: 100-continue` the backend's 100 reaches the client before the content is sent."""
    told = asyncio.Event()

    async def script(peer: Peer) -> None:
        assert b"Expect: 100-continue" in await peer.head()
        await peer.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        await peer.exactly(5)
        await peer.send(EMPTY)
        await peer.end()

    class Asked(Pieces):
        async def __aiter__(self):  # type: ignore[no-untyped-def]
            await told.wait()
            yield b"hello"

    async with serving(script) as server, to_backend(server.url) as upstream:
        call = exchange(
            "POST",
            headers=[(b"Host", b"a"), (b"Expect", b"100-continue"), (b"Content-Length", b"5")],
            body=Asked([], 5),
            on_informational=lambda status, reason, headers: told.set(),
        )
        assert (await upstream.handle(call)).status == 200


@on_both_loops
async def test_content_is_not_asked_of_the_client_before_the_backend_wants_it() -> None:
    """With `Expect: 100-continue`, a backend that refuses by the header section alone is sent no content."""

    async def script(peer: Peer) -> None:
        await peer.head()
        await peer.send(b"HTTP/1.1 417 Expectation Failed\r\nContent-Length: 0\r\n\r\n")
        await peer.end()

    body = Pieces([b"hello"], 5)
    async with serving(script) as server, to_backend(server.url) as upstream:
        headers = [(b"Host", b"a"), (b"Expect", b"100-continue"), (b"Content-Length", b"5")]
        reply = await upstream.handle(exchange("POST", headers=headers, body=body))
        assert reply.status == 417
        await reply.body.aclose()
        assert body.given == 0
        assert upstream.pool.waiting == 0, "a connection with half a request is not used again"


@on_both_loops
async def test_a_backend_that_never_asks_is_sent_the_content_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    """An old backend that knows no 100 gets the content when it has said nothing for a moment."""
    monkeypatch.setattr("gateway.wire.upload.PERMISSION_SECONDS", 0.01)

    async def script(peer: Peer) -> None:
        await peer.head()
        await peer.exactly(5)
        await peer.send(EMPTY)
        await peer.end()

    async with serving(script) as server, to_backend(server.url) as upstream:
        headers = [(b"Host", b"a"), (b"Expect", b"100-continue"), (b"Content-Length", b"5")]
        assert (await upstream.handle(exchange("POST", headers=headers, body=Pieces([b"hello"], 5)))).status == 200


@on_both_loops
async def test_a_request_without_host_gets_the_backends() -> None:
    """What came as HTTP/1.0 without Host goes on as HTTP/1.1, which must have one (RFC 9112 section 3.2)."""
    async with serving(answering(EMPTY)) as server, to_backend(server.url) as upstream:
        await upstream.handle(exchange(headers=[]))
        assert f"Host: {server.url.removeprefix('http://')}\r\n".encode() in server.received[0]


@on_both_loops
async def test_an_error_in_the_clients_content_passes() -> None:
    """What reading the client's body raises (gone, too large) comes out of `handle`, and the backend is aborted."""

    class Broken(Pieces):
        async def __aiter__(self):  # type: ignore[no-untyped-def]
            yield b"hello"
            raise GatewayError("payload-too-large")

    async with serving(answering(EMPTY, EMPTY)) as server, to_backend(server.url) as upstream:
        with pytest.raises(GatewayError) as caught:
            await upstream.handle(exchange("POST", body=Broken([])))
        assert caught.value.code == "payload-too-large"
        assert upstream.events == []
        assert upstream.pool.waiting == 0
        await server.peers[0].ended.wait()
        assert not server.received[0].endswith(b"0\r\n\r\n")


@pytest.mark.parametrize("pieces", [[b"hell"], [b"hello!"], [b"hello", b"!"]])
@on_both_loops
async def test_content_of_another_length_is_never_a_whole_request(pieces: list[bytes]) -> None:
    """A body shorter or longer than its length never reaches the backend as a whole request with bytes behind it."""

    async def script(peer: Peer) -> None:
        await peer.head()
        await peer.exactly(5)
        await peer.send(EMPTY)
        await peer.end()

    async with serving(script) as server, to_backend(server.url) as upstream:
        call = exchange("POST", body=Pieces(pieces, 5))
        if pieces[0] == b"hello":
            await upstream.handle(call)
            assert server.received[0].endswith(b"\r\n\r\nhello")
            return
        with pytest.raises(GatewayError) as caught:
            await upstream.handle(call)
        assert caught.value.code == "internal-error"
        await server.peers[0].ended.wait()
        assert len(server.received[0].partition(b"\r\n\r\n")[2]) < 5
