"""A request's content: streamed, bounded, and asked for only when somebody reads it."""

from __future__ import annotations

import asyncio
import hashlib

import pytest

from gateway.errors import GatewayError
from gateway.exchange import Buffered, Exchange, Reply, read_all
from gateway.wire.settings import LimitSettings
from tests.wire.clients import Streamed, always, closing, get, hello, serving

EXPECT = b"Expect: 100-continue"


async def echo(exchange: Exchange) -> Reply:
    """Answer with what was sent, as it comes."""
    return Reply(200, [], exchange.body)


async def collect(exchange: Exchange) -> Reply:
    return Reply(200, [], Buffered(await read_all(exchange.body, 1 << 20)))


@pytest.mark.parametrize("chunked", [False, True])
async def test_content_passes_unchanged(chunked: bool) -> None:
    """Known length or chunks, with extensions and trailers dropped: the bytes arrive; compressed ones stay so."""
    framing = b"Transfer-Encoding: chunked" if chunked else b"Content-Length: 5"
    content = b"2;ext=1\r\nhe\r\n3\r\nllo\r\n0\r\nX-T: 1\r\n\r\n" if chunked else b"hello"
    async with serving(collect) as server:
        answer = await server.ask(closing(b"/", framing, b"Content-Encoding: gzip", method=b"POST") + content)
    assert answer.endswith(b"\r\n\r\nhello")


async def test_both_ways_at_once_with_little_memory() -> None:
    """A large upload is echoed while it comes; what is not taken back is not read."""
    size, count = 256 * 1024, 128
    async with serving(echo) as server:
        client = await server.connect()
        taken, given = hashlib.sha256(), hashlib.sha256()

        async def upload() -> None:
            await client.send(get(b"/", b"Content-Length: %d" % (size * count), method=b"POST"))
            for number in range(count):
                data = bytes((number,)) * size
                given.update(data)
                await client.send(data)

        sending = asyncio.create_task(upload())
        await client.head()
        left = size * count
        while left:
            data = await asyncio.wait_for(client.reader.read(1 << 16), 10)
            taken.update(data)
            left -= len(data)
        await sending
    assert taken.digest() == given.digest()


async def test_an_upload_that_nobody_takes_is_not_read() -> None:
    """While the handler does not read, the client's socket fills up and the client waits."""
    release = asyncio.Event()

    async def handle(exchange: Exchange) -> Reply:
        await release.wait()
        return Reply(200, [], Buffered(b"%d" % len(await read_all(exchange.body, 1 << 26))))

    async with serving(handle) as server:
        client = await server.connect()
        await client.send(closing(b"/", b"Content-Length: %d" % (1 << 25), method=b"POST"))
        sending = asyncio.create_task(client.send(b"x" * (1 << 25)))
        done, _ = await asyncio.wait((sending,), timeout=0.3)
        assert not done
        release.set()
        await asyncio.wait_for(sending, 10)
        assert (await client.rest()).endswith(b"%d" % (1 << 25))


async def test_the_first_read_asks_the_client_to_go_on() -> None:
    """A client that waits for 100 Continue gets exactly one, when the content is first read, and not before."""
    read = asyncio.Event()

    async def handle(exchange: Exchange) -> Reply:
        await read.wait()
        assert exchange.on_informational is not None
        reply = await collect(exchange)
        exchange.on_informational(100, b"", [])
        return reply

    async with serving(handle) as server:
        client = await server.connect()
        await client.send(closing(b"/", EXPECT, b"Content-Length: 2", method=b"POST"))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(client.reader.read(1), 0.1)
        read.set()
        assert await client.head() == b"HTTP/1.1 100 Continue\r\n\r\n"
        await client.send(b"ok")
        assert (await client.rest()).startswith(b"HTTP/1.1 200 OK\r\n")


async def test_the_backends_own_100_is_relayed_once() -> None:
    """After the upstream's 100 has been passed on, reading the content sends no second one."""

    async def handle(exchange: Exchange) -> Reply:
        assert exchange.on_informational is not None
        assert (b"Expect", b"100-continue") in exchange.headers
        exchange.on_informational(100, b"Go On", [])
        exchange.on_informational(100, b"Go On", [])
        return await collect(exchange)

    async with serving(handle) as server:
        client = await server.connect()
        await client.send(closing(b"/", EXPECT, b"Transfer-Encoding: chunked", method=b"POST"))
        assert await client.head() == b"HTTP/1.1 100 Go On\r\n\r\n"
        await client.send(b"2\r\nok\r\n0\r\n\r\n")
        assert (await client.rest()).startswith(b"HTTP/1.1 200 OK\r\n")


async def test_no_100_for_content_that_is_here_or_for_http_10() -> None:
    """Who sent the content without waiting, or speaks HTTP/1.0, gets no 100 Continue."""
    async with serving(collect) as server:
        request = closing(b"/", EXPECT, b"Content-Length: 2", method=b"POST") + b"ok"
        assert (await server.ask(request)).startswith(b"HTTP/1.1 200 OK\r\n")
        client = await server.connect()
        await client.send(get(b"/", EXPECT, b"Content-Length: 2", method=b"POST", version=b"1.0"))
        await asyncio.sleep(0)
        await client.send(b"ok")
        assert (await client.rest()).startswith(b"HTTP/1.1 200 OK\r\n")


async def test_a_refusal_without_100_ends_the_connection() -> None:
    """When the answer comes without the content having been asked for, the connection ends with it at once."""
    async with serving(always(hello)) as server:
        client = await server.connect()
        await client.send(get(b"/", EXPECT, b"Content-Length: 5", method=b"POST"))
        assert b"\r\nConnection: close\r\n" in await client.head()
        assert await client.rest() == b"hello"


async def test_a_small_unread_body_does_not_cost_the_connection() -> None:
    """Content that the handler did not read is dropped when it is small, and the next request is answered."""
    async with serving(always(hello)) as server:
        client = await server.connect()
        await client.send(get(b"/", b"Content-Length: 5", method=b"POST"))
        assert b"Connection" not in await client.head()
        await client.exactly(5)
        await client.send(b"after" + get())
        await client.head()
        await client.exactly(5)


async def test_an_early_answer_to_a_large_upload_arrives() -> None:
    """The client reads the early answer though it is still sending, then the connection ends."""
    async with serving(always(hello)) as server:
        client = await server.connect()
        await client.send(get(b"/", b"Content-Length: %d" % (1 << 24), method=b"POST"))
        sending = asyncio.create_task(client.send(b"x" * (1 << 24)))
        assert b"\r\nConnection: close\r\n" in await client.head()
        assert await client.exactly(5) == b"hello"
        await asyncio.wait_for(sending, 10)
        assert await client.rest() == b""


async def test_the_size_limit() -> None:
    """A length over the limit is refused unseen; chunks over it are an error to whoever reads them."""
    seen: list[GatewayError] = []

    async def handle(exchange: Exchange) -> Reply:
        try:
            return await collect(exchange)
        except GatewayError as error:
            seen.append(error)
            raise

    async with serving(handle, limits=LimitSettings(body_bytes=4)) as server:
        assert b" 413 " in await server.ask(get(b"/", b"Content-Length: 5", method=b"POST") + b"hello")
        assert seen == []
        chunked = get(b"/", b"Transfer-Encoding: chunked", method=b"POST") + b"3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n"
        assert b" 413 " in await server.ask(chunked)
        assert [error.code for error in seen] == ["payload-too-large"]
        fits = closing(b"/", b"Content-Length: 4", method=b"POST") + b"hell"
        assert (await server.ask(fits)).endswith(b"hell")


@pytest.mark.parametrize(
    "chunk", [b"0x5\r\nhello\r\n", b"-5\r\n", b"2\r\nabc\r\n", b"fffffffffffffffff\r\n", b"2\nab\r\n"]
)
async def test_broken_chunks_are_a_400(chunk: bytes) -> None:
    """A chunk that makes no sense is an error to whoever reads, and the connection ends."""
    codes: list[str] = []

    async def handle(exchange: Exchange) -> Reply:
        try:
            return await collect(exchange)
        except GatewayError as error:
            codes.append(error.code)
            raise

    async with serving(handle) as server:
        answer = await server.ask(get(b"/", b"Transfer-Encoding: chunked", method=b"POST") + b"1\r\na\r\n" + chunk)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert answer.count(b"HTTP/1.1 ") == 1
    assert codes in (["bad-request"], [])


@pytest.mark.parametrize(
    "rest",
    [
        b"ZZ\r\nhello\r\n",
        b"0x5\r\nhello\r\n",
        b"5;a\nb\r\nhello\r\n",
        b"2\r\nhello\r\n",
        b"0\r\nContent-Length: 5\r\n\r\n",
        b"0\r\nbad trailer\r\n\r\n",
        b"0\r\n" + b"X: y\r\n" * 300 + b"\r\n",
        b"0\r\nX: " + b"a" * 100_000 + b"\r\n\r\n",
    ],
)
async def test_framing_that_breaks_later_is_a_400_at_once(rest: bytes) -> None:
    """When the broken part comes in a later segment, whoever waits for the body is told, and the connection ends."""
    reading = asyncio.Event()

    async def handle(exchange: Exchange) -> Reply:
        pieces = aiter(exchange.body)
        assert await anext(pieces) == b"hello"
        reading.set()
        async for _ in pieces:
            pass
        return Reply(200)

    async with serving(handle) as server:
        client = await server.connect()
        await client.send(get(b"/", b"Transfer-Encoding: chunked", method=b"POST") + b"5\r\nhello\r\n")
        await reading.wait()
        await client.send(rest)
        answer = await asyncio.wait_for(client.rest(), 5)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert answer.count(b"HTTP/1.1 ") == 1


async def test_a_client_that_goes_away_while_it_sends() -> None:
    """Whoever reads the content is cancelled or gets a `bad-request`; nothing waits for the rest."""
    ended = asyncio.Event()

    async def handle(exchange: Exchange) -> Reply:
        try:
            return await collect(exchange)
        finally:
            ended.set()

    async with serving(handle) as server:
        client = await server.connect()
        await client.send(get(b"/", b"Content-Length: 5", method=b"POST") + b"he")
        await asyncio.sleep(0.05)
        client.close()
        await asyncio.wait_for(ended.wait(), 5)


async def test_a_stray_reader_costs_the_connection() -> None:
    """When somebody still reads the content after the answer is done, the connection is not used again."""
    body = Streamed(b"ok", length=2)
    stray: list[asyncio.Task[bytes]] = []

    async def handle(exchange: Exchange) -> Reply:
        stray.append(asyncio.create_task(read_all(exchange.body, 100)))
        await asyncio.sleep(0)
        return Reply(200, [], body)

    async with serving(handle) as server:
        client = await server.connect()
        await client.send(get(b"/", b"Content-Length: 5", method=b"POST"))
        with pytest.raises(ConnectionResetError):
            await client.rest()
        with pytest.raises(GatewayError):
            await stray[0]
