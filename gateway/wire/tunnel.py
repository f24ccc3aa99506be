"""An upgraded connection: bytes both ways between a client and its backend, until either ends.

The one idea: nothing is read that cannot be passed on. Each direction waits for the other side's socket, and the
frames are followed only to find where a word of the gateway's own may stand.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from gateway.errors import GatewayError
from gateway.exchange import Tunnel
from gateway.wire.acceptor import ClientConnection
from gateway.wire.reply_writer import Outlet
from gateway.wire.websocket import GOING_AWAY, FrameTracker

_HIGH_WATER: Final = 128 * 1024
_HALF_CLOSED_SECONDS: Final = 0.8
"""How long one direction goes on after the other has ended: a closing handshake may be under way."""


class ClientInlet:
    """What the client sends, queued until the backend takes it; a full queue pauses the client's socket."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection
        self._chunks: list[bytes] = []
        self._size = 0
        self._ended = False
        self._arrived = asyncio.Event()

    def feed_data(self, data: bytes) -> tuple[bool, bytes]:
        self._chunks.append(data)
        self._size += len(data)
        self._arrived.set()
        if self._size > _HIGH_WATER:
            self._connection.pause_reading()
        return False, b""

    def feed_eof(self) -> None:
        self._ended = True
        self._arrived.set()

    async def read(self) -> bytes:
        """Return everything that is queued, `b""` at the end."""
        while not self._chunks:
            if self._ended:
                return b""
            self._arrived.clear()
            await self._arrived.wait()
        data = b"".join(self._chunks)
        self._chunks.clear()
        if self._size > _HIGH_WATER:
            self._connection.resume_reading()
        self._size = 0
        return data


class Bridge:
    """Carries a WebSocket connection.

    Attributes:
        broken: a side ended improperly, so the other must not see a proper end.
    """

    def __init__(self, connection: ClientConnection, outlet: Outlet, tunnel: Tunnel, moved: Callable[[], None]) -> None:
        self._inlet = ClientInlet(connection)
        self._outlet = outlet
        self._tunnel = tunnel
        self._moved = moved
        self._frames = FrameTracker()
        self._leaving = False
        self._downward: asyncio.Task[None] | None = None
        self.broken = False
        connection.switch(self._inlet)

    async def run(self) -> None:
        """Carry until an end, then close the backend's side."""
        try:
            async with asyncio.TaskGroup() as group:
                upward = group.create_task(self._up())
                self._downward = group.create_task(self._down())
                await asyncio.wait((upward, self._downward), return_when=asyncio.FIRST_COMPLETED)
                if not self.broken:
                    if self._downward.done():
                        self._outlet.end()
                    await asyncio.wait((upward, self._downward), timeout=_HALF_CLOSED_SECONDS)
                upward.cancel()
                self._downward.cancel()
        finally:
            await self._tunnel.aclose()

    def leave(self) -> None:
        """Tell the client that the server goes away (1001), between two frames of the backend, and end."""
        self._leaving = True
        if self._frames.between_frames and self._downward is not None:
            self._say_goodbye()
            self._downward.cancel()

    async def _up(self) -> None:
        try:
            while data := await self._inlet.read():
                self._moved()
                await self._tunnel.write(data)
        except (OSError, GatewayError):
            self.broken = True

    async def _down(self) -> None:
        try:
            while data := await self._tunnel.read():
                self._moved()
                end = self._frames.feed(data)
                if self._leaving and end is not None:
                    self._outlet.put(data[:end])
                    self._say_goodbye()
                    return
                self._outlet.put(data)
                await self._outlet.drain()
        except (OSError, GatewayError):
            self.broken = True

    def _say_goodbye(self) -> None:
        if not self._frames.closing:
            self._outlet.put(GOING_AWAY)
        self._outlet.flush()
