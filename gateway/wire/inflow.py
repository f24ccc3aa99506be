"""What an upstream sent and nobody has taken yet: the queue between a connection and whoever reads from it.

The one idea: the queue is bounded by pausing the socket. Everything that is queued is handed over in one piece, and
only an emptied queue lets the socket go on, so a slow reader costs at most `HIGH_WATER` and one read of the socket.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Final, Protocol

from gateway.errors import GatewayError
from gateway.exchange import Headers

HIGH_WATER: Final = 128 * 1024
"""Bytes; more than this in the queue and the socket is not read."""


class Source(Protocol):
    """Where the bytes come from."""

    def resume(self) -> None:
        """Go on reading: the queue was emptied."""
        ...

    def abandon(self) -> None:
        """Close at once: nobody wants the rest."""
        ...

    def watch(self) -> None:
        """Close when no byte moves for too long."""
        ...

    def write(self, data: bytes) -> None:
        """Send to the other end."""
        ...

    async def drain(self) -> None:
        """Wait while the other end takes nothing."""
        ...


class Inflow:
    """A queue of bytes with one reader. `feed`, `finish` and `fail` are for the connection, `take` for the reader."""

    __slots__ = ("_chunks", "_error", "_source", "_waiter", "complete", "size")

    def __init__(self, source: Source) -> None:
        self._source: Source | None = source
        self._chunks: list[bytes] = []
        self._error: Exception | None = None
        self._waiter: asyncio.Future[None] | None = None
        self.complete = False
        self.size = 0

    def feed(self, data: bytes) -> None:
        """Queue `data`; the reader is only woken by `wake`, once for everything that one read brought."""
        self._chunks.append(data)
        self.size += len(data)

    def wake(self) -> None:
        """Let the reader have what is queued."""
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def finish(self) -> None:
        """Note the proper end; the source is let go and may serve another."""
        self.complete = True
        self._source = None
        self.wake()

    def fail(self, error: Exception) -> None:
        """Note an improper end: the reader gets what is queued, then `error`."""
        self._error = error
        self._source = None
        self.wake()

    def drain(self) -> bytes:
        """Return everything that is queued."""
        chunks = self._chunks
        if not chunks:
            return b""
        self._chunks = []
        self.size = 0
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)

    async def take(self) -> bytes:
        """Return the next bytes, `b""` at the proper end.

        Raises:
            GatewayError: `upstream-unreachable` or `upstream-timeout`, when the other end broke off or went silent.
        """
        while not self._chunks:
            if self._error is not None:
                raise self._error
            if self.complete:
                return b""
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        data = self.drain()
        if self._source is not None:
            self._source.resume()
        return data

    def abandon(self) -> None:
        """Close the source unless the proper end was reached; what is read after that fails."""
        source, self._source = self._source, None
        if source is not None:
            self._error = GatewayError("upstream-unreachable", private="the body was closed before its end")
            source.abandon()
            self.wake()


class Upload(Protocol):
    """A request body that is still on its way."""

    async def stop(self) -> None:
        """End it, and return when it has ended."""
        ...


class BackendResponse(Inflow):
    """A final header section, and its content as a `gateway.exchange.Body`.

    `length` is the Content-Length of content that follows; None when its end is told by chunks or by the close.
    """

    __slots__ = ("headers", "length", "reason", "status", "tunnel", "upload")

    def __init__(self, source: Source, status: int, reason: bytes, headers: Headers, length: int | None) -> None:
        super().__init__(source)
        self.status = status
        self.reason = reason
        self.headers = headers
        self.length = length
        self.tunnel: BackendTunnel | None = None
        self.upload: Upload | None = None

    def watch(self) -> None:
        """Let the idle limit run: content is under way."""
        if self._source is not None:
            self._source.watch()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while data := await self.take():
            yield data

    async def aclose(self) -> None:
        """Free the connection, and reap an upload that outlived the response."""
        self.abandon()
        upload, self.upload = self.upload, None
        if upload is not None:
            await upload.stop()


class BackendTunnel(Inflow):
    """The backend's side of an upgraded connection: a `gateway.exchange.Tunnel`."""

    __slots__ = ("_peer",)

    def __init__(self, source: Source) -> None:
        super().__init__(source)
        self._peer = source

    async def read(self) -> bytes:
        return await self.take()

    async def write(self, data: bytes) -> None:
        """Send `data`, waiting while the backend takes none.

        Raises:
            ConnectionError: the backend is gone.
        """
        self._peer.write(data)
        await self._peer.drain()

    async def aclose(self) -> None:
        self.abandon()
