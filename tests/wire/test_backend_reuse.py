"""Which connection a request takes, and when it is sent again."""

from __future__ import annotations

import asyncio

import pytest

from gateway.errors import GatewayError
from gateway.exchange import Body, Buffered
from gateway.wire.events import UpstreamFailed
from tests.wire.raw_server import Peer, RawServer, Script, answering, on_both_loops, serving
from tests.wire.upstreams import Pieces, content, exchange, to_backend

EMPTY = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"


@on_both_loops
async def test_one_connection_serves_one_request_after_the_other() -> None:
    """Requests in turn share a connection; requests at once have one each."""
    async with serving(answering(*[EMPTY] * 5)) as server, to_backend(server.url) as upstream:
        for _ in range(3):
            await upstream.handle(exchange())
        assert len(server.peers) == upstream.pool.open == upstream.pool.waiting == 1
        await asyncio.gather(*(upstream.handle(exchange()) for _ in range(2)))
        assert len(server.peers) == upstream.pool.open == upstream.pool.waiting == 2


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n",
        EMPTY + b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        EMPTY + b"x",
        b"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nhello",
        b"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n",
        b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\nhello",
    ],
    ids=range(7),
)
@on_both_loops
async def test_a_connection_that_cannot_be_trusted_is_not_used_again(answer: bytes) -> None:
    """After `close`, HTTP/1.0, or bytes that were not asked for, the answer is good and the connection is closed."""
    async with serving(answering(answer)) as server, to_backend(server.url) as upstream:
        assert (await upstream.handle(exchange())).status in (200, 204, 304)
        assert upstream.pool.waiting == 0
        await server.peers[0].ended.wait()


@on_both_loops
async def test_content_behind_a_head_answer_is_never_the_next_answer() -> None:
    """A backend that sends content to a HEAD loses the connection, and the next request sees none of it."""
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 40\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx"
    async with serving(answering(answer, EMPTY)) as server, to_backend(server.url) as upstream:
        assert await content(await upstream.handle(exchange("HEAD"))) == b""
        assert upstream.pool.waiting == 0
        await server.peers[0].ended.wait()


@on_both_loops
async def test_bytes_without_a_request_close_the_connection() -> None:
    """A backend that speaks while its connection waits loses it; a request sent later sees nothing of that."""
    speak = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.head()
        await peer.send(EMPTY)
        await speak.wait()
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison")
        await peer.end()

    async with serving(script) as server, to_backend(server.url) as upstream:
        await upstream.handle(exchange())
        speak.set()
        await server.peers[0].ended.wait()
        assert upstream.pool.open == 0


@on_both_loops
async def test_a_connection_that_was_closed_while_it_waited_is_not_used() -> None:
    """A connection that the backend has closed is replaced before anything is written, whatever the method."""

    async def script(peer: Peer) -> None:
        await peer.head()
        await peer.send(EMPTY)

    async with serving(script) as server, to_backend(server.url) as upstream:
        for number in range(1, 4):
            assert (await upstream.handle(exchange("POST", body=Buffered(b"x")))).status == 200
            assert len(server.peers) == number
            await server.peers[-1].ended.wait()
        assert all(sent.count(b"POST") == 1 for sent in server.received)


def closing_on_the_second(reset: bool, partial: bytes = b"") -> Script:
    """Answer the first request of the first connection; close it when the second has arrived."""

    async def script(peer: Peer) -> None:
        await peer.head()
        await peer.send(EMPTY)
        await peer.head()
        if partial:
            await peer.send(partial)
        if reset:
            peer.reset()

    return script


def first_breaks(breaking: Script) -> Script:
    """`breaking` for the first connection, good answers on all others."""
    count = 0

    async def script(peer: Peer) -> None:
        nonlocal count
        count += 1
        await (breaking if count == 1 else answering(*[EMPTY] * 3))(peer)

    return script


def requests(server: RawServer, method: str) -> int:
    return sum(sent.count(method.encode() + b" / ") for sent in server.received)


@pytest.mark.parametrize("reset", [False, True], ids=["closed", "reset"])
@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "OPTIONS", "TRACE"])
@on_both_loops
async def test_an_idempotent_request_is_sent_again_once(method: str, reset: bool) -> None:
    """A pooled connection that dies on a request without an answer: one more try on a new connection."""
    async with serving(first_breaks(closing_on_the_second(reset))) as server, to_backend(server.url) as upstream:
        await upstream.handle(exchange("OPTIONS", b"*"))
        body = Buffered(b"again") if method == "PUT" else Buffered()
        assert (await upstream.handle(exchange(method, body=body))).status == 200
        assert requests(server, method) == 2
        assert len(server.peers) == 2
        assert not [event for event in upstream.events if isinstance(event, UpstreamFailed)]


@pytest.mark.parametrize(
    ("method", "body", "partial"),
    [
        ("POST", Buffered(b"x"), b""),
        ("PATCH", Buffered(), b""),
        ("PUT", Pieces([b"x"], 1), b""),
        ("GET", Buffered(), b"HTTP/1.1 2"),
        ("GET", Buffered(), b"HTTP/1.1 100 Continue\r\n\r\n"),
    ],
    ids=["post", "patch", "put-stream", "part-of-an-answer", "interim-answer"],
)
@on_both_loops
async def test_what_may_do_harm_is_never_sent_again(method: str, body: Body, partial: bytes) -> None:
    """Other methods, content that was read, and requests that were partly answered reach the backend once: 502."""
    script = first_breaks(closing_on_the_second(reset=False, partial=partial))
    async with serving(script) as server, to_backend(server.url) as upstream:
        await upstream.handle(exchange("OPTIONS", b"*"))
        with pytest.raises(GatewayError) as caught:
            await upstream.handle(exchange(method, body=body))
        assert caught.value.code == "upstream-unreachable"
        assert requests(server, method) == 1
        assert upstream.events[-1] == UpstreamFailed("backend", "disconnect")


@on_both_loops
async def test_a_new_connection_that_dies_is_not_replaced() -> None:
    """A request is only sent again when its connection was a pooled one: a backend that crashes is not asked twice."""

    async def script(peer: Peer) -> None:
        await peer.head()

    async with serving(script) as server, to_backend(server.url) as upstream:
        with pytest.raises(GatewayError):
            await upstream.handle(exchange())
        assert requests(server, "GET") == 1


@on_both_loops
async def test_the_permit_comes_behind_the_connection_and_before_the_request() -> None:
    """`before_send` is awaited when the connection stands and the backend has seen nothing of the request."""
    seen: list[tuple[int, list[bytes]]] = []
    async with serving(answering(EMPTY)) as server, to_backend(server.url) as upstream:

        async def permit() -> None:
            await server.connections(1)
            seen.append((upstream.pool.open, server.received))

        assert (await upstream.handle(exchange(before_send=permit))).status == 200
    assert seen == [(1, [b""])]


@on_both_loops
async def test_a_refused_permit_keeps_the_connection() -> None:
    """When `before_send` raises, its error passes, nothing is sent, and the connection waits for the next request."""

    async def refuse() -> None:
        raise GatewayError("queue-timeout")

    async with serving(answering(EMPTY)) as server, to_backend(server.url) as upstream:
        with pytest.raises(GatewayError) as caught:
            await upstream.handle(exchange(before_send=refuse))
        assert caught.value.code == "queue-timeout"
        assert upstream.pool.waiting == 1
        assert (await upstream.handle(exchange())).status == 200
        assert len(server.peers) == 1


@on_both_loops
async def test_a_connection_that_closes_during_the_permit_is_replaced() -> None:
    """A pooled connection lost while `before_send` waited was never written to, so any method goes on a new one."""
    close = asyncio.Event()

    async def first(peer: Peer) -> None:
        await peer.head()
        await peer.send(EMPTY)
        await close.wait()

    async with serving(first_breaks(first)) as server, to_backend(server.url) as upstream:
        await upstream.handle(exchange())

        async def permit() -> None:
            if not close.is_set():
                close.set()
                while upstream.pool.open:
                    await asyncio.sleep(0)

        assert (await upstream.handle(exchange("POST", body=Buffered(b"x"), before_send=permit))).status == 200
        assert requests(server, "POST") == 1
