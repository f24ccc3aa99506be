"""Upgraded connections: bytes both ways, ends, and the word of farewell."""

from __future__ import annotations

import asyncio
import base64
import hashlib

import aiohttp
import pytest

from gateway.errors import GatewayError
from gateway.exchange import Exchange, Reply
from gateway.wire.headers import wants_upgrade
from gateway.wire.websocket import GOING_AWAY
from tests.wire.clients import Client, Server, get, serving

UPGRADE = (b"Connection: keep-alive, Upgrade", b"Upgrade: websocket", b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==")
ACCEPT = (b"Sec-WebSocket-Accept", b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")


class Pipe:
    """A tunnel whose far end is the test."""

    def __init__(self) -> None:
        self.to_client: asyncio.Queue[bytes | Exception] = asyncio.Queue()
        self.from_client = bytearray()
        self.arrived = asyncio.Event()
        self.accept = asyncio.Event()
        self.accept.set()
        self.closed = asyncio.Event()

    async def read(self) -> bytes:
        data = await self.to_client.get()
        if isinstance(data, Exception):
            raise data
        return data

    async def write(self, data: bytes) -> None:
        await self.accept.wait()
        self.from_client += data
        self.arrived.set()

    async def aclose(self) -> None:
        self.closed.set()

    async def received(self, size: int) -> bytes:
        while len(self.from_client) < size:
            self.arrived.clear()
            await asyncio.wait_for(self.arrived.wait(), 5)
        return bytes(self.from_client)

    async def handle(self, exchange: Exchange) -> Reply:
        return Reply(101, [ACCEPT, (b"upgrade", b"websocket"), (b"X-A", b"\xff")], tunnel=self)


async def upgraded(server: Server, early: bytes = b"") -> Client:
    client = await server.connect()
    await client.send(get(b"/ws", *UPGRADE) + early)
    head = await client.head()
    assert head == (
        b"HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: " + ACCEPT[1] + b"\r\nX-A: \xff\r\n"
        b"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
    )
    return client


async def test_bytes_pass_both_ways() -> None:
    """After the 101 every byte passes, also those that came in one segment with the request."""
    pipe = Pipe()
    async with serving(pipe.handle) as server:
        client = await upgraded(server, b"early")
        assert await pipe.received(5) == b"early"
        await client.send(b"\x00\xffmore")
        assert await pipe.received(11) == b"early\x00\xffmore"
        await pipe.to_client.put(b"\x82\x02hi")
        assert await client.exactly(4) == b"\x82\x02hi"
        assert server.listener.in_flight == 1
        await pipe.to_client.put(b"")
        assert await client.rest() == b""
        await asyncio.wait_for(pipe.closed.wait(), 5)


async def test_a_real_websocket_client() -> None:
    """aiohttp's own WebSocket client talks through the tunnel."""
    pipe = Pipe()

    async def handle(exchange: Exchange) -> Reply:
        key = next(value for name, value in exchange.headers if name.lower() == b"sec-websocket-key")
        proof = base64.b64encode(hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())
        return Reply(101, [(b"Sec-WebSocket-Accept", proof)], tunnel=pipe)

    async with (
        serving(handle) as server,
        aiohttp.ClientSession() as session,
        session.ws_connect(f"http://{server.address}/ws") as socket,
    ):
        await pipe.to_client.put(b"\x81\x05hello")
        assert await socket.receive_str(timeout=5) == "hello"
        closing = asyncio.create_task(server.listener.close(0.05))
        message = await socket.receive(timeout=5)
        assert message.type is aiohttp.WSMsgType.CLOSE
        assert message.data == 1001
        await asyncio.wait_for(closing, 5)
    assert bytes(pipe.from_client)[:1] == b"\x88"


async def test_a_backend_that_takes_nothing_stops_the_client() -> None:
    """What the backend does not take is not read from the client."""
    pipe = Pipe()
    pipe.accept.clear()
    async with serving(pipe.handle) as server:
        client = await upgraded(server)
        sending = asyncio.create_task(client.send(b"x" * (1 << 25)))
        done, _ = await asyncio.wait((sending,), timeout=0.3)
        assert not done
        pipe.accept.set()
        await asyncio.wait_for(sending, 10)
        await pipe.received(1 << 25)


async def test_a_client_that_takes_nothing_stops_the_backend() -> None:
    """What the client does not take is not read from the backend."""
    pipe = Pipe()
    async with serving(pipe.handle) as server:
        client = await upgraded(server)
        client.writer.transport.pause_reading()
        for _ in range(1024):
            pipe.to_client.put_nowait(b"x" * 65536)
        left = -1
        while pipe.to_client.qsize() != left:
            left = pipe.to_client.qsize()
            await asyncio.sleep(0.1)
        assert left > 256
        client.writer.transport.resume_reading()
        await client.exactly(1024 * 65536)


async def test_what_a_client_sent_before_its_end_is_delivered() -> None:
    """After the client's half of the connection has ended, its last bytes arrive and the backend may still answer."""
    pipe = Pipe()
    async with serving(pipe.handle) as server:
        client = await upgraded(server)
        client.writer.write(b"bye")
        client.writer.write_eof()
        assert await pipe.received(3) == b"bye"
        await pipe.to_client.put(b"\x88\x00")
        assert await client.exactly(2) == b"\x88\x00"
        await pipe.to_client.put(b"")
        assert await client.rest() == b""


async def test_a_client_that_goes_away_closes_the_tunnel() -> None:
    """A client that is gone ends the backend's side within a second."""
    pipe = Pipe()
    async with serving(pipe.handle) as server:
        client = await upgraded(server)
        client.close()
        await asyncio.wait_for(pipe.closed.wait(), 2)


async def test_a_backend_that_breaks_off_resets_the_client() -> None:
    """An improper end of the backend is not shown to the client as a proper one."""
    pipe = Pipe()
    async with serving(pipe.handle) as server:
        client = await upgraded(server)
        await pipe.to_client.put(GatewayError("upstream-unreachable"))
        with pytest.raises(ConnectionResetError):
            await client.rest()
        await asyncio.wait_for(pipe.closed.wait(), 5)


async def test_an_idle_tunnel_is_ended_and_a_busy_one_is_not() -> None:
    """A tunnel on which bytes move either way lives; one that is silent for the timeout is broken off."""
    pipe = Pipe()
    async with serving(pipe.handle, idle_timeout=0.4) as server:
        client = await upgraded(server)
        for _ in range(8):
            await asyncio.sleep(0.1)
            await client.send(b"x")
        await pipe.received(8)
        with pytest.raises(ConnectionResetError):
            await client.rest()


async def test_the_farewell_stands_between_two_frames() -> None:
    """A close in the middle of a frame of the backend waits for its end; what follows the farewell is dropped."""
    pipe = Pipe()
    async with serving(pipe.handle) as server:
        client = await upgraded(server)
        await pipe.to_client.put(b"\x82\x04ab")
        assert await client.exactly(4) == b"\x82\x04ab"
        closing = asyncio.create_task(server.listener.close(0.05))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(client.reader.read(1), 0.3)
        await pipe.to_client.put(b"cd\x82\x02no")
        assert await client.rest() == b"cd" + GOING_AWAY
        await asyncio.wait_for(closing, 5)
        assert pipe.closed.is_set()


async def test_no_farewell_after_the_backends_own() -> None:
    """When the backend has already said goodbye, the gateway adds nothing."""
    pipe = Pipe()
    async with serving(pipe.handle) as server:
        client = await upgraded(server)
        await pipe.to_client.put(b"\x88\x02\x03\xe8")
        await client.exactly(4)
        closing = asyncio.create_task(server.listener.close(0.05))
        assert await client.rest() == b""
        await asyncio.wait_for(closing, 5)


async def test_an_upgrade_that_was_not_asked_for_is_an_error() -> None:
    """A 101 to a plain request is a 502, and the tunnel is closed."""
    pipe = Pipe()
    async with serving(pipe.handle) as server:
        assert (await server.ask(get())).startswith(b"HTTP/1.1 502 ")
    assert pipe.closed.is_set()


@pytest.mark.parametrize(
    ("fields", "version", "asked"),
    [
        (UPGRADE, b"1.1", True),
        (UPGRADE, b"1.0", False),
        ((b"Upgrade: websocket",), b"1.1", False),
        ((b"Connection: Upgrade", b"Upgrade: h2c"), b"1.1", False),
    ],
)
async def test_what_reaches_the_handler_as_an_upgrade(fields: tuple[bytes, ...], version: bytes, asked: bool) -> None:
    """Only an HTTP/1.1 request for websocket looks like an upgrade to the layers."""
    seen: list[bytes | None] = []

    async def handle(exchange: Exchange) -> Reply:
        seen.append(wants_upgrade(exchange.headers))
        return Reply(400)

    async with serving(handle) as server:
        client = await server.connect()
        await client.send(get(b"/", *fields, version=version))
        await client.head()
    assert (seen[0] is not None) is asked
