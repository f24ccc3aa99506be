"""A listener on loopback, and a client that sees every byte."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from gateway.exchange import Buffered, Exchange, Reply
from gateway.wire.forwarded import Forwarding
from gateway.wire.server import Listener
from gateway.wire.settings import LimitSettings

Handle = Callable[[Exchange], Awaitable[Reply]]
SOON = 10.0
"""Seconds within which everything here happens, or the test fails."""


class Client:
    """One connection, as raw bytes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    async def connect(cls, address: str) -> Client:
        host, _, port = address.rpartition(":")
        return cls(*await asyncio.open_connection(host.strip("[]"), int(port)))

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def head(self) -> bytes:
        """Return the next header section, with the empty line."""
        return await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), SOON)

    async def exactly(self, size: int) -> bytes:
        return await asyncio.wait_for(self.reader.readexactly(size), SOON)

    async def until(self, mark: bytes) -> bytes:
        return await asyncio.wait_for(self.reader.readuntil(mark), SOON)

    async def rest(self) -> bytes:
        """Return everything up to a clean end. Raises ConnectionResetError when it is not clean."""
        return await asyncio.wait_for(self.reader.read(), SOON)

    def close(self) -> None:
        self.writer.transport.abort()


class Server:
    """A running listener with what a test asks of it."""

    def __init__(self, listener: Listener, address: str) -> None:
        self.listener = listener
        self.address = address
        self._clients: list[Client] = []

    async def connect(self) -> Client:
        client = await Client.connect(self.address)
        self._clients.append(client)
        return client

    async def ask(self, request: bytes) -> bytes:
        """Send one request on a connection of its own and return everything that comes until the end."""
        client = await self.connect()
        await client.send(request)
        return await client.rest()

    def close(self) -> None:
        for client in self._clients:
            client.close()


@asynccontextmanager
async def serving(
    handler: Handle,
    *,
    forwarding: Forwarding | None = None,
    limits: LimitSettings | None = None,
    idle_timeout: float | None = None,
    **options: Any,
) -> AsyncIterator[Server]:
    """A listener on a free port of 127.0.0.1; nothing is in flight when this ends, or the test fails."""
    listener = Listener(
        "test",
        handler,
        forwarding=forwarding,
        limits=limits or LimitSettings(),
        idle_timeout=idle_timeout,
        key="test.listen",
        **options,
    )
    server = Server(listener, await listener.start("127.0.0.1:0"))
    try:
        yield server
    finally:
        server.close()
        await listener.close(0.5)
        assert listener.in_flight == 0
        assert listener.connections == 0


def get(path: bytes = b"/", *lines: bytes, method: bytes = b"GET", version: bytes = b"1.1") -> bytes:
    """Return a request's header section with Host and the lines given."""
    return b"\r\n".join((method + b" " + path + b" HTTP/" + version, b"Host: test", *lines, b"", b""))


def closing(path: bytes = b"/", *lines: bytes, method: bytes = b"GET") -> bytes:
    """As `get`, and the connection ends with the answer."""
    return get(path, *lines, b"Connection: close", method=method)


class Streamed:
    """A reply body from a list of steps: bytes are yielded, events awaited, exceptions raised."""

    def __init__(self, *steps: bytes | asyncio.Event | BaseException, length: int | None = None) -> None:
        self._steps = steps
        self.length = length
        self.closed = asyncio.Event()
        self.yielded = 0

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for step in self._steps:
            if isinstance(step, asyncio.Event):
                await step.wait()
            elif isinstance(step, BaseException):
                raise step
            else:
                self.yielded += len(step)
                yield step

    async def aclose(self) -> None:
        self.closed.set()


def always(reply: Callable[[], Reply]) -> Handle:
    """Return a handler that gives the same answer to everyone."""

    async def handle(exchange: Exchange) -> Reply:
        return reply()

    return handle


def hello() -> Reply:
    return Reply(200, [(b"Content-Type", b"text/plain")], Buffered(b"hello"))
