"""The content of a request, read from the client's socket only as fast as somebody takes it.

The one idea: reading is a promise. The first read tells a client that waits for `100 Continue` to go on (RFC 9110
section 10.1.1), so nobody who does not want the content makes the client send it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

from aiohttp import StreamReader, web

from gateway.errors import GatewayError


class RequestBody:
    """A request's content as a `gateway.exchange.Body`; there is nothing to free when it is closed.

    Attributes:
        length: the `Content-Length`, None with the chunked coding.
        reading: somebody waits for the next bytes.
    """

    __slots__ = ("_begin", "_limit", "_moved", "_payload", "length", "reading")

    def __init__(
        self,
        payload: StreamReader,
        length: int | None,
        limit: int | None,
        begin: Callable[[], None],
        moved: Callable[[], None],
    ) -> None:
        self._payload = payload
        self._limit = limit
        self._begin = begin
        self._moved = moved
        self.length = length
        self.reading = False

    @property
    def arrived(self) -> bool:
        """Whether the content is here to its end, read or not."""
        return self._payload.is_eof()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Yield what has come.

        Raises:
            GatewayError: `payload-too-large` (413) past the limit; `bad-request` (400) when the framing is broken or
                the client goes away.
        """
        self._begin()
        size = 0
        while chunk := await self._next():
            self._moved()
            size += len(chunk)
            if self._limit is not None and size > self._limit:
                raise GatewayError("payload-too-large")
            yield chunk

    async def aclose(self) -> None:
        return None

    def abandon(self) -> None:
        """Tell whoever still reads that nothing more comes."""
        self._payload.set_exception(ConnectionResetError("the exchange has ended"))

    async def discard(self, seconds: float) -> bool:
        """Read to the end and drop it; return False when that fails or takes longer."""
        try:
            async with asyncio.timeout(seconds):
                while not self.arrived:
                    await self._next()
        except (TimeoutError, GatewayError):
            return False
        return True

    async def _next(self) -> bytes:
        self.reading = True
        try:
            return await self._payload.readany()
        except web.RequestPayloadError:
            raise GatewayError("bad-request", private="the framing of the client's body is broken") from None
        except (OSError, RuntimeError, web.PayloadAccessError):  # what aiohttp raises when the connection is lost
            raise GatewayError("bad-request", private="the client went away before the end of its body") from None
        finally:
            self.reading = False
