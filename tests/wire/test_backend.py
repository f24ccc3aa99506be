"""Requests to the backend and its answers, byte for byte."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.errors import GatewayError
from gateway.exchange import Buffered, Headers, header
from gateway.wire.events import UpstreamFailed, UpstreamResponded
from tests.wire.raw_server import Peer, answering, deaf, on_both_loops, serving
from tests.wire.upstreams import HOST, Pieces, content, exchange, to_backend

EMPTY = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"


@on_both_loops
async def test_a_request_goes_out_as_it_came() -> None:
    """Target, field order, case, duplicates and 8-bit bytes reach the backend unchanged; the hop's own are added."""
    headers: Headers = [
        HOST,
        (b"X-b", b"1"),
        (b"x-A", b"\xe9\xff"),
        (b"X-B", b"2"),
        (b"Connection", b"keep-alive, X-Hop"),
        (b"X-Hop", b"gone"),
        (b"TE", b"trailers"),
        (b"Empty", b""),
    ]
    async with serving(answering(EMPTY)) as server, to_backend(server.url) as upstream:
        reply = await upstream.handle(exchange("GET", b"//a/../%2f;x?\xe9=?&", headers))
        assert reply.status == 200
    assert server.received == [
        b"GET //a/../%2f;x?\xe9=?& HTTP/1.1\r\nHost: portal.example\r\nX-b: 1\r\nx-A: \xe9\xff\r\nX-B: 2\r\nEmpty: \r\n"
        b"X-Forwarded-For: 127.0.0.1\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: portal.example\r\n\r\n"
    ]


@pytest.mark.parametrize(
    ("told", "body", "framing"),
    [
        ([], Buffered(), b""),
        ([b"0"], Buffered(), b"Content-Length: 0"),
        ([b"5"], Buffered(b"hello"), b"Content-Length: 5"),
        ([], Buffered(b"hello"), b"Content-Length: 5"),
        ([b"99"], Buffered(b"hello"), b"Content-Length: 5"),
        ([b"5"], Pieces([b"he", b"llo"], 5), b"Content-Length: 5"),
        ([b"5"], Pieces([b"he", b"", b"llo"]), b"Transfer-Encoding: chunked"),
    ],
)
@on_both_loops
async def test_the_gateway_frames_the_content(told: list[bytes], body: Pieces | Buffered, framing: bytes) -> None:
    """Content-Length follows from the body, chunks from an unknown length; a client's own length never wins."""

    async def script(peer: Peer) -> None:
        head = await peer.head()
        if b"chunked" in head:
            await peer.until(b"0\r\n\r\n")
        elif body.length:
            await peer.exactly(body.length)
        await peer.send(EMPTY)
        await peer.end()

    headers: Headers = [HOST, *((b"Content-Length", value) for value in told)]
    async with serving(script) as server, to_backend(server.url) as upstream:
        assert (await upstream.handle(exchange("POST", b"/", headers, body))).status == 200
        head, _, sent = server.received[0].partition(b"\r\n\r\n")
        lines = [line for line in head.split(b"\r\n") if line.startswith((b"Content-Length", b"Transfer-Encoding"))]
        assert lines == ([framing] if framing else [])
        assert sent == (
            b"2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n" if b"chunked" in framing else b"hello" if body.length else b""
        )


@on_both_loops
async def test_an_answer_comes_back_as_it_was() -> None:
    """Status, reason, field order, case, duplicates and 8-bit bytes come back; hop-by-hop fields do not."""
    answer = (
        b"HTTP/1.1 299 Fine \xe9\r\nSet-Cookie: a\r\nset-cookie: b\r\nX: \xff \t\r\nKeep-Alive: timeout=5\r\n"
        b"Connection: keep-alive\r\nContent-Length: 5\r\nEmpty:\r\n\r\nhello"
    )
    async with serving(answering(answer)) as server, to_backend(server.url) as upstream:
        reply = await upstream.handle(exchange())
        assert (reply.status, reply.reason) == (299, b"Fine \xe9")
        assert reply.headers == [
            (b"Set-Cookie", b"a"),
            (b"set-cookie", b"b"),
            (b"X", b"\xff"),
            (b"Content-Length", b"5"),
            (b"Empty", b""),
        ]
        assert reply.body.length == 5
        assert await content(reply) == b"hello"
        assert upstream.events == [UpstreamResponded("backend", 299)]


@on_both_loops
async def test_chunked_content_keeps_an_unknown_length() -> None:
    """Chunks are taken apart, extensions and trailer fields dropped, and the length stays unknown."""
    answer = (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-T\r\n\r\n"
        b"3;name=value\r\nabc\r\n2\r\nde\r\n0\r\nX-T: 1\r\n\r\n"
    )
    async with serving(answering(answer, EMPTY)) as server, to_backend(server.url) as upstream:
        reply = await upstream.handle(exchange())
        assert reply.body.length is None
        assert reply.headers == []
        assert await content(reply) == b"abcde"
        assert (await upstream.handle(exchange())).status == 200
        assert len(server.peers) == 1


@on_both_loops
async def test_content_may_end_with_the_connection() -> None:
    """Without a length the content ends where the backend closes, and that is a proper end."""

    async def script(peer: Peer) -> None:
        await peer.head()
        await peer.send(b"HTTP/1.0 200 OK\r\n\r\nto the ")
        await peer.send(b"end")

    async with serving(script) as server, to_backend(server.url) as upstream:
        reply = await upstream.handle(exchange())
        assert reply.body.length is None
        assert await content(reply) == b"to the end"


@pytest.mark.parametrize(
    ("method", "answer"),
    [
        ("HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"),
        ("HEAD", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Type: a\r\n\r\n"),
        ("HEAD", b"HTTP/1.1 200 OK\r\n\r\n"),
        ("GET", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n"),
        ("DELETE", b"HTTP/1.1 204 No Content\r\n\r\n"),
    ],
)
@on_both_loops
async def test_answers_without_content(method: str, answer: bytes) -> None:
    """HEAD, 204 and 304 have no content, keep their Content-Length, and the connection serves on."""
    async with serving(answering(answer, EMPTY)) as server, to_backend(server.url) as upstream:
        reply = await upstream.handle(exchange(method))
        assert await content(reply) == b""
        assert header(reply.headers, b"content-length") == (b"5" if b"5" in answer else None)
        assert (await upstream.handle(exchange())).status == 200
        assert len(server.peers) == 1


@on_both_loops
async def test_informational_answers_are_passed_on() -> None:
    """A 100 and a 103 go to `on_informational`, and the final answer follows."""
    answer = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + EMPTY
    seen: list[tuple[int, bytes, Headers]] = []
    async with serving(answering(answer)) as server, to_backend(server.url) as upstream:
        reply = await upstream.handle(exchange(on_informational=lambda *told: seen.append(told)))
        assert reply.status == 200
        assert seen == [(100, b"Continue", []), (103, b"Early Hints", [(b"Link", b"</a>")])]


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: a\r\n b\r\n\r\n",
        b"HTTP/1.1 200 OK\nX: a\n\n",
        b"HTTP/2.0 200 OK\r\n\r\n",
        b"HTTP/1.1 101 Switching\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * 70_000,
        b"not HTTP at all\r\n\r\n",
    ],
    ids=range(11),
)
@on_both_loops
async def test_an_answer_that_could_be_misread_is_refused(answer: bytes) -> None:
    """Ambiguous framing, unasked upgrades, endless header sections and garbage give 502 and close the connection."""
    async with serving(answering(answer)) as server, to_backend(server.url) as upstream:
        with pytest.raises(GatewayError) as caught:
            await upstream.handle(exchange())
        assert (caught.value.status, caught.value.code) == (502, "upstream-unreachable")
        assert caught.value.detail == ""
        assert upstream.events == [UpstreamFailed("backend", "protocol")]
        await server.peers[0].ended.wait()


@on_both_loops
async def test_a_unix_socket_is_a_backend(tmp_path: Path) -> None:
    """`unix:` reaches a backend that listens on a socket file."""
    path = str(tmp_path / "b.sock")
    async with serving(answering(EMPTY), path=path) as server, to_backend(f"unix:{path}") as upstream:
        assert (await upstream.handle(exchange())).status == 200
        assert server.received[0].startswith(b"GET / HTTP/1.1\r\nHost: portal.example\r\n")


@on_both_loops
async def test_nobody_listens() -> None:
    """A refused connection is a 502 that tells the client nothing of the inside."""
    async with serving(answering()) as server:
        pass
    async with to_backend(server.url) as upstream:
        with pytest.raises(GatewayError) as caught:
            await upstream.handle(exchange())
        assert caught.value.code == "upstream-unreachable"
        assert (caught.value.detail, caught.value.headers) == ("", [])
        assert upstream.events == [UpstreamFailed("backend", "connect")]


@on_both_loops
async def test_an_unknown_name() -> None:
    """A backend whose name does not resolve is a 502 with the reason `dns`."""
    async with to_backend("http://backend.invalid:1") as upstream:
        with pytest.raises(GatewayError):
            await upstream.handle(exchange())
        assert upstream.events == [UpstreamFailed("backend", "dns")]


@on_both_loops
async def test_a_connection_that_is_not_accepted_in_time() -> None:
    """A connection that does not come about within `connect_timeout` counts as unreachable: 502."""
    with deaf() as port:
        async with to_backend(f"http://127.0.0.1:{port}", connect_timeout="50ms") as upstream:
            with pytest.raises(GatewayError) as caught:
                await upstream.handle(exchange())
            assert caught.value.code == "upstream-unreachable"
            assert upstream.events == [UpstreamFailed("backend", "connect")]


@on_both_loops
async def test_no_answer_in_time() -> None:
    """Without a header section within `response_timeout` the answer is 504, and the connection is closed."""

    async def script(peer: Peer) -> None:
        await peer.head()
        await peer.send(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200")
        await peer.end()

    async with serving(script) as server, to_backend(server.url, response_timeout="50ms") as upstream:
        with pytest.raises(GatewayError) as caught:
            await upstream.handle(exchange())
        assert (caught.value.status, caught.value.code) == (504, "upstream-timeout")
        assert upstream.events == [UpstreamFailed("backend", "timeout")]
        await server.peers[0].ended.wait()


@on_both_loops
async def test_the_wait_for_the_answer_is_counted() -> None:
    """`upstream_seconds` grows by the wait for connection and header section, not by that for the permit."""

    class Ticks:
        now = 0.0

        def monotonic(self) -> float:
            return self.now

        wall = monotonic

    clock = Ticks()

    async def script(peer: Peer) -> None:
        await peer.head()
        clock.now += 5
        await peer.send(EMPTY)
        await peer.end()

    async def permit() -> None:
        clock.now += 100

    call = exchange(before_send=permit)
    async with serving(script) as server, to_backend(server.url, clock=clock) as upstream:
        await upstream.handle(call)
        assert call.upstream_seconds == 5
