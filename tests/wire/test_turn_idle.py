"""Bodies and tunnels on which no byte moves are ended."""

from __future__ import annotations

import asyncio

import pytest

from gateway.exchange import Buffered, Exchange, Reply, read_all
from tests.wire.clients import Streamed, always, get, serving


async def test_a_silent_answer_is_broken_off() -> None:
    """An answer that stops in the middle is ended by a reset, and its body closed."""
    body = Streamed(b"first", asyncio.Event())
    async with serving(always(lambda: Reply(200, [], body)), idle_timeout=0.2) as server:
        client = await server.connect()
        await client.send(get())
        await client.until(b"first")
        with pytest.raises(ConnectionResetError):
            await client.rest()
        await asyncio.wait_for(body.closed.wait(), 5)


async def test_a_silent_upload_is_broken_off() -> None:
    """A client that stops in the middle of its content is disconnected."""

    async def handle(exchange: Exchange) -> Reply:
        return Reply(200, [], Buffered(await read_all(exchange.body, 100)))

    async with serving(handle, idle_timeout=0.2) as server:
        client = await server.connect()
        await client.send(get(b"/", b"Content-Length: 5", method=b"POST") + b"he")
        with pytest.raises(ConnectionResetError):
            await client.rest()


async def test_a_client_that_takes_nothing_is_disconnected() -> None:
    """A whole answer that the client does not read does not hold its connection for ever."""
    content = Buffered(b"x" * (1 << 25))
    async with serving(always(lambda: Reply(200, [], content)), idle_timeout=0.2) as server:
        client = await server.connect()
        client.writer.transport.pause_reading()
        await client.send(get())
        while server.listener.connections:
            await asyncio.sleep(0.05)


async def test_waiting_for_an_answer_is_not_idle() -> None:
    """The limit is for bodies: a handler may take longer, and the limit holds for its answer again."""

    async def handle(exchange: Exchange) -> Reply:
        await read_all(exchange.body, 100)
        await asyncio.sleep(0.5)
        return Reply(200, [], Streamed(b"ok", asyncio.Event()))

    async with serving(handle, idle_timeout=0.1) as server:
        client = await server.connect()
        await client.send(get(b"/", b"Content-Length: 2", method=b"POST") + b"ok")
        assert (await client.head()).startswith(b"HTTP/1.1 200 OK")
        with pytest.raises(ConnectionResetError):
            await client.rest()
