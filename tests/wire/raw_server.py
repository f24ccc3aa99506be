"""A server of bytes: a test says what each connection answers, and sees exactly what reached it."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import inspect
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import pytest
import uvloop

PATIENCE = 10.0
"""Seconds after which a test that hangs fails."""


class Peer:
    """The server's side of one connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self.received = b""
        self.ended = asyncio.Event()
        """The other side has closed, properly or not."""

    async def until(self, mark: bytes) -> bytes:
        """Return what arrives up to and with `mark`."""
        data = await self._reader.readuntil(mark)
        self.received += data
        return data

    async def head(self) -> bytes:
        """Return the next request's header section."""
        return await self.until(b"\r\n\r\n")

    async def exactly(self, size: int) -> bytes:
        """Return the next `size` bytes."""
        data = await self._reader.readexactly(size)
        self.received += data
        return data

    async def end(self) -> None:
        """Read until the other side closes."""
        try:
            while data := await self._reader.read(65536):
                self.received += data
        except ConnectionError:
            pass
        self.ended.set()

    async def send(self, data: bytes) -> None:
        """Write, waiting while the other side takes nothing."""
        self._writer.write(data)
        await self._writer.drain()

    def half_close(self) -> None:
        """Say that nothing more is sent."""
        self._writer.write_eof()

    def close(self) -> None:
        """Close properly."""
        self._writer.close()

    def reset(self) -> None:
        """Close with a reset (RST), as a killed process or a firewall does."""
        linger = struct.pack("ii", 1, 0)
        self._writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self._writer.transport.abort()


Script = Callable[[Peer], Awaitable[None]]


class RawServer:
    """Runs `script` for every connection; a script that ends closes its connection."""

    def __init__(self, script: Script) -> None:
        self._script = script
        self.peers: list[Peer] = []
        self.port = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._arrived = asyncio.Condition()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def tls_url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    @property
    def received(self) -> list[bytes]:
        """What reached the server, by connection."""
        return [peer.received for peer in self.peers]

    async def connections(self, count: int) -> list[Peer]:
        """Wait until there were so many connections."""
        async with self._arrived:
            await self._arrived.wait_for(lambda: len(self.peers) >= count)
        return self.peers

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        peer = Peer(reader, writer)
        async with self._arrived:
            self.peers.append(peer)
            self._arrived.notify_all()
        try:
            await self._script(peer)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            peer.ended.set()
            writer.close()
            self._tasks.discard(task)

    async def stop(self) -> None:
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)


@asynccontextmanager
async def serving(
    script: Script, *, path: str | None = None, tls: ssl.SSLContext | None = None
) -> AsyncIterator[RawServer]:
    """Run a server on a free port, or on the unix socket `path`."""
    raw = RawServer(script)
    if path is not None:
        server = await asyncio.start_unix_server(raw.serve, path)
    else:
        server = await asyncio.start_server(raw.serve, "127.0.0.1", 0, ssl=tls, backlog=512)
        raw.port = server.sockets[0].getsockname()[1]
    try:
        yield raw
    finally:
        server.close()
        await raw.stop()
        await server.wait_closed()


def answering(*answers: bytes) -> Script:
    """Answer the requests of each connection, which have no content, in turn; then wait for its end."""

    async def script(peer: Peer) -> None:
        for answer in answers:
            await peer.head()
            await peer.send(answer)
        await peer.end()

    return script


@contextmanager
def deaf() -> Iterator[int]:
    """A port on which connections are neither accepted nor refused: the listener's queue is full."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(3):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]


def on_both_loops(test: Callable[..., Awaitable[None]]) -> Any:
    """Run a coroutine function on asyncio's loop and on uvloop; an exception that nobody caught fails it."""

    @functools.wraps(test)
    def run(new_loop: Callable[[], asyncio.AbstractEventLoop], **kwargs: Any) -> None:
        stray: list[dict[str, Any]] = []

        async def main() -> None:
            asyncio.get_running_loop().set_exception_handler(lambda _, context: stray.append(context))
            async with asyncio.timeout(PATIENCE):
                await test(**kwargs)

        with asyncio.Runner(loop_factory=new_loop) as runner:
            runner.run(main())
        assert stray == []

    signature = inspect.signature(test)
    loop = inspect.Parameter("new_loop", inspect.Parameter.POSITIONAL_OR_KEYWORD)
    vars(run)["__signature__"] = signature.replace(parameters=[loop, *signature.parameters.values()])
    del run.__wrapped__
    loops = [asyncio.new_event_loop, uvloop.new_event_loop]
    return pytest.mark.parametrize("new_loop", loops, ids=["asyncio", "uvloop"])(run)
