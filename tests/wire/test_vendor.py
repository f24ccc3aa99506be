"""Calls to a vendor and its answers: what goes over the wire."""

from __future__ import annotations

import pytest

from gateway.errors import GatewayError
from gateway.exchange import Body, Buffered, Headers, header
from gateway.wire.events import UpstreamResponded
from tests.wire.raw_server import Peer, answering, on_both_loops, serving
from tests.wire.upstreams import HOST, Pieces, content, exchange, to_vendor

EMPTY = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"


@on_both_loops
async def test_a_call_goes_out_as_it_came() -> None:
    """Fields keep order, case and duplicates; the vendor's Host goes first, nothing is added, the hops' own goes."""
    headers: Headers = [
        HOST,
        (b"X-b", b"1"),
        (b"authorization", b"Bearer hush-t"),
        (b"X-b", b"2"),
        (b"X-Gateway-Lane", b"long"),
        (b"x-gateway-priority", b"high"),
        (b"X-Forwarded-For", b"10.0.0.1"),
        (b"x_forwarded_proto", b"http"),
        (b"Forwarded", b"for=10.0.0.1"),
        (b"Connection", b"keep-alive, X-Hop"),
        (b"X-Hop", b"gone"),
        (b"TE", b"trailers"),
        (b"Cookie", b"a=b; c"),
        (b"x-B", b"3"),
        (b"Empty", b""),
    ]
    async with serving(answering(EMPTY)) as server, to_vendor(server.url + "/base/") as upstream:
        reply = await upstream.handle(exchange("GET", b"/a?b", headers))
        assert await content(reply) == b""
        assert server.received == [
            b"GET /base/a?b HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nX-b: 1\r\nauthorization: Bearer hush-t\r\nX-b: 2\r\n"
            b"Cookie: a=b; c\r\nX-b: 3\r\nEmpty: \r\n\r\n" % server.port
        ]


@pytest.mark.parametrize(
    "target",
    [
        b"/",
        b"/a?",
        b"//evil.example/x",
        b"/a/../%2f/./b",
        b"/a;p?x=%zz&y=+%20&z=a/b?c",
        b"/%41?%c3%a9",
        b"/\xc3\xa9?q=\xe2\x82\xac",
        b'/a\\b|c[d]{e}"<>^`',
        b"/a?b#c",
        b"/services/data/v61.0/query?q=SELECT+Id+FROM+Account+WHERE+Name='a'",
    ],
)
@on_both_loops
async def test_the_target_passes_byte_for_byte(target: bytes) -> None:
    """Whatever the target holds, it is written behind the base path as it came."""
    async with serving(answering(EMPTY, EMPTY)) as server, to_vendor(server.url + "/b%2fc") as upstream:
        for _ in range(2):  # also when libraries have cached it
            await content(await upstream.handle(exchange(target=target)))
        assert server.received[0].startswith(b"GET /b%2fc" + target + b" HTTP/1.1\r\n")
        assert server.received[0].count(target + b" HTTP/1.1\r\n") == 2


@on_both_loops
async def test_the_authority_of_a_target_is_never_dialled() -> None:
    """An absolute-form target (RFC 9112 section 3.2.2) is sent to the vendor, without its authority."""
    async with serving(answering(EMPTY, EMPTY)) as server, to_vendor(server.url) as upstream:
        await content(await upstream.handle(exchange(target=b"http://evil.invalid/x?y")))
        await content(await upstream.handle(exchange(target=b"HTTPS://u:p@evil.invalid")))
        first, second = server.received[0].split(b"\r\n\r\n")[:2]
        assert first.startswith(b"GET /x?y HTTP/1.1\r\nHost: 127.0.0.1:")
        assert second.startswith(b"GET / HTTP/1.1\r\nHost: 127.0.0.1:")


@pytest.mark.parametrize(
    ("method", "target", "headers", "code"),
    [
        ("OPTIONS", b"*", [], "not-implemented"),
        ("GET", b"/\xff", [], "bad-request"),
        ("GET", b"/\r\nX: y", [], "bad-request"),
        ("GET", b"/", [(b"X", b"a\r\nY: b")], "bad-request"),
        ("G T", b"/", [], "bad-request"),
    ],
)
@on_both_loops
async def test_what_cannot_be_sent_is_refused(method: str, target: bytes, headers: Headers, code: str) -> None:
    """A target, method or field that aiohttp could not carry unchanged is refused, and the vendor sees nothing."""
    async with serving(answering(EMPTY)) as server, to_vendor(server.url) as upstream:
        with pytest.raises(GatewayError) as caught:
            await upstream.handle(exchange(method, target, headers))
        assert caught.value.code == code
        assert upstream.events == []
        assert b"".join(server.received) == b""


@on_both_loops
async def test_field_values_are_sent_as_utf8() -> None:
    """UTF-8 passes unchanged; other bytes arrive as the UTF-8 of their ISO-8859-1 reading."""
    headers = [HOST, (b"A", "é€".encode()), (b"B", b"\xe9")]
    async with serving(answering(EMPTY)) as server, to_vendor(server.url) as upstream:
        await content(await upstream.handle(exchange(headers=headers)))
        assert "\r\nA: é€\r\nB: é\r\n".encode() in server.received[0]


@pytest.mark.parametrize(
    ("told", "body", "framing"),
    [
        ([], Buffered(), [b"Content-Length: 0"]),
        ([b"0"], Buffered(), [b"Content-Length: 0"]),
        ([b"5"], Buffered(b"hello"), [b"Content-Length: 5"]),
        ([], Buffered(b"hello"), [b"Content-Length: 5"]),
        ([b"99"], Buffered(b"hello"), [b"Content-Length: 5"]),
        ([b"5"], Pieces([b"he", b"llo"], 5), [b"Content-Length: 5"]),
        ([], Pieces([b"he", b"", b"llo"]), [b"Transfer-Encoding: chunked"]),
        ([b"5"], Pieces([b"he", b"llo"]), [b"Transfer-Encoding: chunked"]),
    ],
)
@on_both_loops
async def test_the_gateway_frames_the_content(told: list[bytes], body: Body, framing: list[bytes]) -> None:
    """Content-Length follows from the body, chunks from an unknown length; nothing of the content is added."""

    async def script(peer: Peer) -> None:
        head = await peer.head()
        if b"chunked" in head:
            await peer.until(b"0\r\n\r\n")
        elif body.length:
            await peer.exactly(body.length)
        await peer.send(EMPTY)
        await peer.end()

    headers: Headers = [HOST, *((b"Content-Length", value) for value in told)]
    async with serving(script) as server, to_vendor(server.url) as upstream:
        await content(await upstream.handle(exchange("POST", b"/", headers, body)))
        head, _, sent = server.received[0].partition(b"\r\n\r\n")
        assert head.split(b"\r\n")[2:] == framing
        assert sent == (b"2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n" if b"chunked" in head else b"hello" if body.length else b"")


@on_both_loops
async def test_a_get_without_content_has_no_framing() -> None:
    """A GET gets neither a Content-Length nor a Transfer-Encoding."""
    async with serving(answering(EMPTY)) as server, to_vendor(server.url) as upstream:
        await content(await upstream.handle(exchange()))
        assert server.received == [b"GET / HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n\r\n" % server.port]


@on_both_loops
async def test_an_answer_comes_back_as_it_was() -> None:
    """Status, reason, fields and encoded content come back as they were, without the hop's own fields."""
    answer = (
        b"HTTP/1.1 503 Busy \xe9\r\nSet-Cookie: a=1; Path=/\r\nset-cookie: b\r\nX: \xff\r\nConnection: keep-alive\r\n"
        b"Content-Encoding: gzip\r\nContent-Length: 5\r\n\r\nhello"
    )
    async with serving(answering(answer, EMPTY)) as server, to_vendor(server.url) as upstream:
        reply = await upstream.handle(exchange())
        assert (reply.status, reply.reason) == (503, b"Busy \xe9")
        assert reply.headers == [
            (b"Set-Cookie", b"a=1; Path=/"),
            (b"set-cookie", b"b"),
            (b"X", b"\xff"),
            (b"Content-Encoding", b"gzip"),
            (b"Content-Length", b"5"),
        ]
        assert reply.body.length == 5
        assert await content(reply) == b"hello"
        assert upstream.events == [UpstreamResponded("whmcs", 503)]
        await content(await upstream.handle(exchange()))
        assert b"ookie" not in server.received[0]
        assert len(server.peers) == 1


@on_both_loops
async def test_a_redirect_is_an_answer() -> None:
    """Redirects are not followed."""
    answer = b"HTTP/1.1 302 Found\r\nLocation: /other\r\nContent-Length: 0\r\n\r\n"
    async with serving(answering(answer)) as server, to_vendor(server.url) as upstream:
        reply = await upstream.handle(exchange())
        assert (reply.status, header(reply.headers, b"location")) == (302, b"/other")
        await reply.body.aclose()
        assert len(server.received[0].split(b"\r\n\r\n")) == 2


@pytest.mark.parametrize(
    ("method", "answer"),
    [
        ("HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"),
        ("GET", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n"),
        ("DELETE", b"HTTP/1.1 204 No Content\r\n\r\n"),
    ],
)
@on_both_loops
async def test_answers_without_content(method: str, answer: bytes) -> None:
    """HEAD, 204 and 304 have no content, keep their Content-Length, and the connection serves on."""
    async with serving(answering(answer, EMPTY)) as server, to_vendor(server.url) as upstream:
        reply = await upstream.handle(exchange(method))
        assert reply.body.length == 0
        assert await content(reply) == b""
        assert header(reply.headers, b"content-length") == (b"5" if b"5" in answer else None)
        await content(await upstream.handle(exchange()))
        assert len(server.peers) == 1


@on_both_loops
async def test_the_expectation_of_a_continue_is_met_here() -> None:
    """`Expect: 100-continue` is not forwarded: the client gets its 100 when the call is dispatched."""
    told: list[int] = []

    async def script(peer: Peer) -> None:
        await peer.head()
        await peer.exactly(5)
        await peer.send(EMPTY)
        await peer.end()

    async with serving(script) as server, to_vendor(server.url) as upstream:
        call = exchange(
            "POST",
            headers=[HOST, (b"Expect", b"100-continue"), (b"Content-Length", b"5")],
            body=Pieces([b"hello"], 5),
            on_informational=lambda status, reason, headers: told.append(status),
        )
        await content(await upstream.handle(call))
        assert told == [100]
        assert b"xpect" not in server.received[0]


async def test_a_call_may_go_to_another_host() -> None:
    """An origin named by a frame is where that call goes, with the same path in front; the next goes home again."""
    async with (
        serving(answering(EMPTY)) as home,
        serving(answering(EMPTY)) as away,
        to_vendor(home.url + "/p") as upstream,
    ):
        for origin in (away.url, None):
            call = exchange("GET", b"/a", [HOST])
            call.origin = origin
            await content(await upstream.handle(call))
        for server in (home, away):
            assert server.received == [b"GET /p/a HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n\r\n" % server.port]
