"""Reads a request's content before its call waits for a permit, so that a slow upload holds none.

The one idea: what is in memory as a whole can be written at once and sent again; what is not is a stream, which begins
when its call is dispatched and is never sent again. All buffers share one bound: a content that finds no room is
streamed, as if it were larger.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator
from typing import Final

from gateway.exchange import Body, Buffered, Exchange, Handler, Reply

BODY_BYTES: Final = 256 * 1024
"""Of one request, before its call is dispatched."""
TOTAL_BYTES: Final = 64 * 1024 * 1024
"""Of all requests of a gateway: 256 of the largest."""


class Room:
    """The bytes that buffers may still take."""

    __slots__ = ("free",)

    def __init__(self, size: int = TOTAL_BYTES) -> None:
        self.free = size

    def take(self, size: int) -> bool:
        """Take so many bytes, if they are free."""
        if size > self.free:
            return False
        self.free -= size
        return True

    def give(self, size: int) -> None:
        """Give bytes back that were taken."""
        self.free += size


class BufferLayer:
    """Replaces a request's content by a `Buffered`, or by one whose beginning is read. All layers of a gateway share
    `room`."""

    def __init__(self, room: Room, limit: int = BODY_BYTES) -> None:
        self._room = room
        self._limit = limit

    async def handle(self, exchange: Exchange, forward: Handler) -> Reply:
        """Read the content, then forward.

        Raises:
            GatewayError: what reading the client's content raises.
        """
        source = exchange.body
        if isinstance(source, Buffered):
            return await forward(exchange)
        held = 0
        pieces: deque[bytes] = deque()
        rest = aiter(source)
        try:
            async for piece in rest:
                pieces.append(piece)
                if held + len(piece) > self._limit or not self._room.take(len(piece)):
                    exchange.body = Begun(source, pieces, rest)
                    break
                held += len(piece)
            else:
                exchange.body = Buffered(b"".join(pieces))
                pieces.clear()
            return await forward(exchange)
        finally:
            exchange.body = Buffered()  # nobody sends it any more
            self._room.give(held)


class Begun:
    """A content whose first pieces have been read from `rest`, which goes on behind them; to be iterated once."""

    __slots__ = ("_pieces", "_rest", "_source")

    def __init__(self, source: Body, pieces: deque[bytes], rest: AsyncIterator[bytes]) -> None:
        self._source = source
        self._pieces = pieces
        self._rest = rest

    @property
    def length(self) -> int | None:
        return self._source.length

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while self._pieces:
            yield self._pieces.popleft()
        async for piece in self._rest:
            yield piece

    async def aclose(self) -> None:
        await self._source.aclose()
