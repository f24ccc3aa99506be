"""Listening, and the orderly end."""

from __future__ import annotations

import asyncio
import socket

import pytest

from gateway.errors import StartError
from gateway.exchange import Exchange, Reply
from gateway.wire.server import Listener
from gateway.wire.settings import LimitSettings
from tests.wire.clients import Client, Server, Streamed, always, get, hello, serving


def listener(key: str = "ingress.listen") -> Listener:
    return Listener("test", always(hello), forwarding=None, limits=LimitSettings(), idle_timeout=None, key=key)


async def test_a_port_in_use_names_the_key() -> None:
    """Whoever starts a listener on a taken port is told which key to change."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(StartError, match=rf"ingress\.listen: cannot listen on {address}: the port is in use"):
            await listener().start(address)


async def test_an_address_that_is_not_here_names_the_key() -> None:
    """Any other reason not to listen is a start error as well."""
    with pytest.raises(StartError, match=r"admin\.listen: cannot listen on"):
        await listener("admin.listen").start("203.0.113.1:80")


async def test_ipv6() -> None:
    """An address in brackets is bound, returned in brackets, and its peers have plain addresses."""
    one = listener()
    try:
        bound = await one.start("[::1]:0")
    except StartError:
        pytest.skip("no IPv6 loopback here")
    assert bound.startswith("[::1]:")
    client = await Client.connect(bound)
    await client.send(get())
    await client.head()
    client.close()
    await one.close(1)


async def test_counts() -> None:
    """Requests in flight and open connections can be asked for at any time."""
    release, started = asyncio.Event(), asyncio.Event()

    async def handle(exchange: Exchange) -> Reply:
        started.set()
        await release.wait()
        return hello()

    assert (listener().in_flight, listener().connections) == (0, 0)
    async with serving(handle) as server:
        client = await server.connect()
        await client.send(get())
        await started.wait()
        assert (server.listener.in_flight, server.listener.connections) == (1, 1)
        release.set()
        await client.head()
        await client.exactly(5)
        assert (server.listener.in_flight, server.listener.connections) == (0, 1)


async def test_draining_goes_on_accepting_and_ends_each_connection() -> None:
    """While draining every answer says close, on old connections and on new ones."""
    async with serving(always(hello)) as server:
        client = await server.connect()
        await client.send(get())
        assert b"Connection" not in await client.head()
        await client.exactly(5)
        server.listener.begin_drain()
        await client.send(get())
        assert b"\r\nConnection: close\r\n" in await client.head()
        assert await client.rest() == b"hello"
        assert b"\r\nConnection: close\r\n" in await server.ask(get())


async def test_close_waits_for_what_is_in_flight_only() -> None:
    """Idle connections end at once, nobody new gets in, and an answer under way is finished."""
    go_on = asyncio.Event()
    body = Streamed(b"one", go_on, b"two")
    async with serving(always(lambda: Reply(200, [], body))) as server:
        idle, busy = await server.connect(), await server.connect()
        await busy.send(get())
        await busy.until(b"one")
        closing = asyncio.create_task(server.listener.close(30))
        assert await idle.rest() == b""
        with pytest.raises(OSError, match=r"."):
            await server.connect()
        assert not closing.done()
        go_on.set()
        assert (await busy.rest()).endswith(b"two\r\n0\r\n\r\n")
        await asyncio.wait_for(closing, 5)


async def test_close_ends_what_does_not_finish(caplog: pytest.LogCaptureFixture) -> None:
    """After the timeout a request without an answer gets a 503, and an answer under way is broken off; no log line."""
    never = asyncio.Event()

    async def handle(exchange: Exchange) -> Reply:
        if exchange.target == b"/wait":
            await never.wait()
        return Reply(200, [], Streamed(b"one", never))

    async with serving(handle) as server:
        waiting, answered = await server.connect(), await server.connect()
        await waiting.send(get(b"/wait"))
        await answered.send(get(b"/"))
        await answered.until(b"one")
        closing = asyncio.create_task(server.listener.close(0.1))
        answer = await waiting.rest()
        assert answer.startswith(b"HTTP/1.1 503 Service Unavailable\r\n")
        assert b"urn:gateway:error:shutting-down" in answer
        with pytest.raises(ConnectionResetError):
            await answered.rest()
        await asyncio.wait_for(closing, 5)
    assert not caplog.records


async def test_close_before_start_and_twice() -> None:
    """Closing is safe at any time."""
    one = listener()
    await one.close(1)
    server = Server(one, await one.start("127.0.0.1:0"))
    await server.ask(get(version=b"1.0"))
    server.close()
    await one.close(1)
    await one.close(1)
