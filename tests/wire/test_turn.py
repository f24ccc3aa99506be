"""One request and its answer, byte for byte on real sockets."""

from __future__ import annotations

import asyncio

import pytest

from gateway.errors import GatewayError
from gateway.exchange import Buffered, Exchange, Reply, read_all
from gateway.wire.forwarded import Forwarding
from gateway.wire.settings import PRIVATE
from tests.wire.clients import Streamed, always, closing, get, hello, serving


async def test_the_request_arrives_byte_for_byte() -> None:
    """Target and fields reach the handler raw: order, case, duplicates, 8-bit bytes."""
    seen: list[Exchange] = []

    async def handle(exchange: Exchange) -> Reply:
        seen.append(exchange)
        return hello()

    target = b'/a//..%2f%C3%a9;x\\"<>^`?q=%zz&{}|?'
    async with serving(handle) as server:
        await server.ask(
            closing(target, b"x-b: \xff\xfe", b"X-A:  two  words\t", b"X-B: 2", b"empty:", method=b"PURGE")
        )
    (exchange,) = seen
    assert exchange.method == "PURGE"
    assert exchange.target == target
    assert exchange.headers == [
        (b"Host", b"test"),
        (b"x-b", b"\xff\xfe"),
        (b"X-A", b"two  words"),
        (b"X-B", b"2"),
        (b"empty", b""),
        (b"Connection", b"close"),
    ]
    assert exchange.body.length == 0
    assert (exchange.peer, exchange.client, exchange.scheme) == ("127.0.0.1", "127.0.0.1", "http")


async def test_the_client_is_told_by_trusted_proxies() -> None:
    """With forwarding rules, client and scheme are those that a trusted peer names; the fields stay."""
    seen: list[Exchange] = []

    async def handle(exchange: Exchange) -> Reply:
        seen.append(exchange)
        return hello()

    async with serving(handle, forwarding=Forwarding(PRIVATE)) as server:
        await server.ask(closing(b"/", b"X-Forwarded-For: 203.0.113.7", b"X-Forwarded-Proto: https"))
    assert (seen[0].client, seen[0].scheme, seen[0].peer) == ("203.0.113.7", "https", "127.0.0.1")
    assert (b"X-Forwarded-For", b"203.0.113.7") in seen[0].headers


async def test_the_answer_leaves_byte_for_byte() -> None:
    """Reason phrase and fields are written as they came, and nothing is added but what ends the connection."""
    fields = [(b"x-b", b"\xff"), (b"Content-length", b"3"), (b"X-B", b"2"), (b"x-b", b""), (b"Set-Cookie", b"a=\xe9")]
    async with serving(always(lambda: Reply(299, list(fields), Buffered(b"abc"), b"Odd \xe9 One"))) as server:
        client = await server.connect()
        await client.send(get())
        expected = (
            b"HTTP/1.1 299 Odd \xe9 One\r\nx-b: \xff\r\nContent-length: 3\r\nX-B: 2\r\nx-b: \r\nSet-Cookie: a=\xe9"
        )
        assert await client.head() == expected + b"\r\n\r\n"
        assert await client.exactly(3) == b"abc"


async def test_the_gateways_own_errors_carry_a_date() -> None:
    """An answer of the gateway's own says when it was made (RFC 9110 section 6.6.1)."""
    async with serving(always(lambda: Reply(503, [], Buffered(b"{}"), error="maintenance"))) as server:
        assert b"\r\nDate: " in await server.ask(closing())


@pytest.mark.parametrize(
    ("method", "status", "fields", "head"),
    [
        (b"HEAD", 200, [(b"Content-Length", b"123")], b"Content-Length: 123\r\n"),
        (b"HEAD", 200, [], b""),
        (b"GET", 304, [(b"content-length", b"99")], b"content-length: 99\r\n"),
        (b"GET", 204, [], b""),
    ],
)
async def test_answers_without_a_body(
    method: bytes, status: int, fields: list[tuple[bytes, bytes]], head: bytes
) -> None:
    """HEAD, 204 and 304 end with the header section; the next answer follows at once; the body is closed unread."""
    body = Streamed(b"never seen")
    async with serving(always(lambda: Reply(status, list(fields), body, b"X"))) as server:
        client = await server.connect()
        await client.send(get(method=method) * 2)
        for _ in range(2):
            assert await client.head() == b"HTTP/1.1 %d X\r\n%b\r\n" % (status, head)
    assert body.closed.is_set()
    assert body.yielded == 0


async def test_pipelined_requests_are_answered_in_order() -> None:
    """Requests that come in one segment are answered one after the other, each in one piece."""

    async def handle(exchange: Exchange) -> Reply:
        return Reply(200, [], Buffered(exchange.target))

    async with serving(handle) as server:
        client = await server.connect()
        await client.send(b"".join(get(b"/%03d" % n) for n in range(100)))
        for n in range(100):
            await client.head()
            assert await client.exactly(4) == b"/%03d" % n


async def test_http_10() -> None:
    """An HTTP/1.0 client gets a known length with the end of the connection, or keep-alive when it asks for it."""
    async with serving(always(hello)) as server:
        answer = await server.ask(get(version=b"1.0"))
        assert answer.endswith(b"Content-Length: 5\r\nConnection: close\r\n\r\nhello")
        client = await server.connect()
        for _ in range(2):
            await client.send(get(b"/", b"Connection: keep-alive", version=b"1.0"))
            assert b"\r\nConnection: keep-alive\r\n" in await client.head()
            await client.exactly(5)


async def test_http_10_and_a_length_that_is_not_known() -> None:
    """An HTTP/1.0 client gets no chunks: the end of the connection ends the body."""
    async with serving(always(lambda: Reply(200, [], Streamed(b"ab", b"cd")))) as server:
        answer = await server.ask(get(b"/", b"Connection: keep-alive", version=b"1.0"))
    assert answer == b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nabcd"


async def test_streams_leave_as_they_come() -> None:
    """The header section leaves before the first byte of a body, and each chunk before the next; none is empty."""
    first, second = asyncio.Event(), asyncio.Event()
    body = Streamed(first, b"one", b"", second, b"two")
    async with serving(always(lambda: Reply(200, [], body))) as server:
        client = await server.connect()
        await client.send(get())
        assert await client.head() == b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        first.set()
        assert await client.exactly(8) == b"3\r\none\r\n"
        second.set()
        assert await client.until(b"0\r\n\r\n") == b"3\r\ntwo\r\n0\r\n\r\n"
        await asyncio.wait_for(body.closed.wait(), 5)
        await client.send(get())
        await client.head()


async def test_a_slow_reader_slows_the_body_down() -> None:
    """What the client does not take is not read from the upstream."""
    size = 64 * 1024
    body = Streamed(*[b"x" * size] * 1024, length=1024 * size)
    async with serving(always(lambda: Reply(200, [], body))) as server:
        client = await server.connect()
        client.writer.transport.pause_reading()
        await client.send(get())
        seen = -1
        while body.yielded != seen:  # until it stands still
            seen = body.yielded
            await asyncio.sleep(0.1)
        assert 0 < seen < 32 * 1024 * 1024
        client.writer.transport.resume_reading()
        await client.head()
        for _ in range(1024):
            await client.exactly(size)
    assert body.yielded == 1024 * size


@pytest.mark.parametrize("length", [None, 100])
@pytest.mark.parametrize("version", [b"1.1", b"1.0"])
async def test_a_body_that_breaks_is_never_a_clean_end(length: int | None, version: bytes) -> None:
    """When the body breaks after its first bytes the client's connection is reset, whatever the framing."""
    more = asyncio.Event()
    body = Streamed(b"part", more, GatewayError("upstream-unreachable"), length=length)
    async with serving(always(lambda: Reply(200, [], body))) as server:
        client = await server.connect()
        await client.send(get(version=version))
        await client.until(b"part")
        more.set()
        with pytest.raises(ConnectionResetError):
            await client.rest()
    assert body.closed.is_set()


@pytest.mark.parametrize("chunks", [[b"abc"], [b"abcdef"]])
async def test_a_body_of_another_length_is_broken(chunks: list[bytes]) -> None:
    """A body that is shorter or longer than it says breaks the connection or the answer; it never desynchronises."""
    more = asyncio.Event()
    async with serving(always(lambda: Reply(200, [], Streamed(b"a", more, *chunks, length=5)))) as server:
        client = await server.connect()
        await client.send(get())
        await client.head()
        more.set()
        with pytest.raises(ConnectionResetError):
            await client.rest()


async def test_a_body_that_breaks_before_anything_left_is_an_error_answer() -> None:
    """As long as no byte has left, the broken answer is replaced by an error."""
    body = Streamed(GatewayError("upstream-unreachable", private="inside"))
    async with serving(always(lambda: Reply(200, [], body))) as server:
        answer = await server.ask(get())
    assert answer.startswith(b"HTTP/1.1 502 Bad Gateway\r\n")
    assert b"inside" not in answer
    assert body.closed.is_set()


async def test_an_unexpected_exception_is_a_500_without_its_text() -> None:
    """A fault of the gateway gives a bare 500 and is reported to the event loop's exception handler."""
    reported: list[BaseException] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context["exception"]))

    async def handle(exchange: Exchange) -> Reply:
        raise ValueError("inside")

    async with serving(handle) as server:
        answer = await server.ask(get())
    assert answer.startswith(b"HTTP/1.1 500 Internal Server Error\r\n")
    assert b"inside" not in answer
    assert [type(error) for error in reported] == [ValueError]


async def test_a_client_that_goes_away_cancels_the_handler() -> None:
    """While nobody has answered yet, the end of the client's connection cancels the work for it."""
    started, cancelled = asyncio.Event(), asyncio.Event()

    async def handle(exchange: Exchange) -> Reply:
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()
        raise AssertionError

    async with serving(handle) as server:
        client = await server.connect()
        await client.send(get())
        await started.wait()
        client.close()
        await asyncio.wait_for(cancelled.wait(), 5)


async def test_a_client_that_goes_away_closes_the_body() -> None:
    """In the middle of an answer, the end of the client's connection closes the reply's body."""
    body = Streamed(b"first", asyncio.Event())
    async with serving(always(lambda: Reply(200, [], body))) as server:
        client = await server.connect()
        await client.send(get())
        await client.until(b"first")
        client.close()
        await asyncio.wait_for(body.closed.wait(), 5)


async def test_interim_answers_are_relayed() -> None:
    """A 103 reaches an HTTP/1.1 client before the final answer, raw, and an HTTP/1.0 client never."""

    async def handle(exchange: Exchange) -> Reply:
        if exchange.on_informational is not None:
            exchange.on_informational(103, b"Early Hints", [(b"link", b"</a.css>"), (b"Link", b"\xff")])
        return hello()

    async with serving(handle) as server:
        hints = b"HTTP/1.1 103 Early Hints\r\nlink: </a.css>\r\nLink: \xff\r\n\r\nHTTP/1.1 200 OK\r\n"
        assert (await server.ask(closing())).startswith(hints)
        assert (await server.ask(get(version=b"1.0"))).startswith(b"HTTP/1.1 200 OK\r\n")


async def test_a_refused_upgrade_leaves_the_connection_usable() -> None:
    """After any answer but 101 to an upgrade request, HTTP goes on, with what was pipelined behind it too."""

    async def handle(exchange: Exchange) -> Reply:
        return Reply(403, [], Buffered(await read_all(exchange.body, 10) + exchange.target))

    upgrade = (b"Connection: Upgrade", b"Upgrade: websocket", b"Sec-WebSocket-Key: x")
    async with serving(handle) as server:
        client = await server.connect()
        await client.send(get(b"/1", *upgrade) + get(b"/2", *upgrade) + get(b"/3"))
        for target in (b"/1", b"/2", b"/3"):
            await client.head()
            assert await client.exactly(2) == target


async def test_an_upgrade_that_is_not_tunnelled_ends_the_connection() -> None:
    """After an h2c request the connection ends: aiohttp's parser would lose what is pipelined behind it."""
    async with serving(always(hello)) as server:
        answer = await server.ask(get(b"/", b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c") + get())
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"\r\nConnection: close\r\n" in answer
    assert answer.count(b"HTTP/1.1 ") == 1
