"""Bad HTTP is refused before any layer sees it, with a text that repeats nothing of it."""

from __future__ import annotations

import json

import pytest

from gateway.exchange import Exchange, Reply
from gateway.wire.settings import LimitSettings
from tests.wire.clients import always, closing, get, hello, serving

MARK = b"echo-me-not"


async def never(exchange: Exchange) -> Reply:
    raise AssertionError("the handler was reached")


def post(*lines: bytes, version: bytes = b"1.1") -> bytes:
    return get(b"/", *lines, method=b"POST", version=version)


@pytest.mark.parametrize(
    ("status", "request_"),
    [
        (400, b"GET / HTTP/1.1\r\n\r\n"),
        (400, get(b"/", b"Host: b")),
        (400, b"GET / HTTP/1.1\r\nHost: a, b\r\n\r\n"),
        (400, b"GET / HTTP/1.1\r\nHost: a,b\r\n\r\n"),
        (400, b"GET / HTTP/1.1\r\nHost: a/b?x\r\n\r\n"),
        (400, b"GET / HTTP/1.1\r\nHost: u@a\r\n\r\n"),
        (400, b"GET / HTTP/1.1\r\nHost: a:80x\r\n\r\n"),
        (400, b"GET / HTTP/1.0\r\nHost: a b\r\n\r\n"),
        (400, get(b"/a#b")),
        (400, get(b"/a b")),
        (400, get(b"/a\x00b")),
        (400, get(b"/a\xc3\xa9")),
        (400, get(b"a/b")),
        (400, get(b"ftp://a/b")),
        (400, get(b"/", b"X: a\r\n folded")),
        (400, get(b"/", b"X : a")),
        (400, get(b"/", b"X[]: a")),
        (400, get(b"/", b": a")),
        (400, get(b"/", b"no colon")),
        (400, get(b"/", b"X: a\x00b")),
        (400, get(b"/", b"X: a\rb")),
        (400, b"GET / HTTP/1.1\nHost: a\n\n"),
        (400, post(b"Content-Length: 3", b"Transfer-Encoding: chunked")),
        (400, post(b"Transfer-Encoding: chunked", b"Content-Length: 3")),
        (400, post(b"Content-Length: 3", b"Content-Length: 4")),
        (400, post(b"Content-Length: +5")),
        (400, post(b"Content-Length: -1")),
        (400, post(b"Content-Length: 0x5")),
        (400, post(b"Content-Length: 1_0")),
        (400, post(b"Content-Length:")),
        (400, post(b"Content-Length: 18446744073709551621")),
        (400, post(b"Transfer-Encoding: xchunked")),
        (400, post(b"Transfer-Encoding: chunked, identity")),
        (400, post(b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked")),
        (400, post(b"Transfer-Encoding: \x0bchunked")),
        (400, post(b"Transfer-Encoding : chunked")),
        (400, post(b"Transfer-Encoding: chunked", version=b"1.0")),
        (400, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
        (413, post(b"Content-Length: 5000") + b"x" * 5000),
        (414, get(b"/" + MARK * 400)),
        (431, get(b"/", b"X: " + MARK * 400)),
        (431, get(b"/", b"X: " + b"a" * 1500, b"Y: " + b"a" * 1500)),
        (431, get(b"/", *[b"X: a"] * 60)),
        (501, get(b"a:443", method=b"CONNECT")),
        (501, get(b"/", method=b"FROB")),
        (501, post(b"Transfer-Encoding: gzip, chunked")),
        (505, b"GET / HTTP/2.0\r\nHost: a\r\n\r\n"),
        (505, b"GET /\r\n\r\n"),
    ],
)
async def test_bad_requests_are_refused(status: int, request_: bytes) -> None:
    """Each gets its status as a problem document and the end of the connection, and no handler runs."""
    limits = LimitSettings(header_bytes=2048, headers=50, body_bytes=4096)
    async with serving(never, limits=limits) as server:
        head, _, content = (await server.ask(request_)).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 %d " % status)
    assert b"\r\nConnection: close" in head
    assert b"\r\nContent-Length: %d\r\n" % len(content) in head
    problem = json.loads(content)
    assert problem["status"] == status
    assert problem["type"].startswith("urn:gateway:error:")
    assert MARK not in content


@pytest.mark.parametrize(
    "request_",
    [
        closing(b"*", method=b"OPTIONS"),
        closing(b"http://evil/x"),
        closing(b"//evil/x"),
        b"GET / HTTP/1.1\r\nHost: [::1]:8080\r\nConnection: close\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost:\r\nConnection: close\r\n\r\n",
        b"GET / HTTP/1.0\r\n\r\n",
        closing(b"/", b"Content-Length: 005", method=b"POST") + b"hello",
        closing(b"/", b"X: " + b"a" * 9000),
        closing(b"/", b"Upgrade: h2c"),
    ],
)
async def test_odd_but_valid_requests_pass(request_: bytes) -> None:
    """What the standard allows reaches the handler, a header field of 9 KB too."""
    async with serving(always(hello)) as server:
        assert (await server.ask(request_)).startswith(b"HTTP/1.1 200 OK\r\n")


async def test_nothing_runs_after_a_bad_request() -> None:
    """A good request that is pipelined behind a bad one is never handled."""
    async with serving(never) as server:
        answer = await server.ask(b"GET / HTTP/1.1\r\n\r\n" + get())
    assert answer.count(b"HTTP/1.1 ") == 1
