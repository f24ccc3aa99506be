"""The request's content on its way to the backend while the answer may already be coming.

The one idea: the pump is a child of its exchange. It is started when the header section is written, and whoever ends
the exchange awaits `stop`, so that no pump outlives its request.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Final

from gateway.errors import GatewayError
from gateway.exchange import Body, Headers
from gateway.wire.connection import Connection
from gateway.wire.response_parser import Informational

PERMISSION_SECONDS: Final = 1.0
"""How long content waits for a backend that was asked with `Expect: 100-continue` and says nothing."""


class Pump:
    """Writes a body to a connection as it comes, with its length known or in chunks (RFC 9112 section 7.1)."""

    __slots__ = ("_body", "_connection", "_permitted", "_task", "asking")

    def __init__(self, connection: Connection, body: Body, *, asked: bool = False) -> None:
        """`asked`: the request says `Expect: 100-continue`, so the content waits until the backend wants it."""
        self._connection = connection
        self._body = body
        self._permitted = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self.asking = asked
        """Nothing was sent yet, because the backend has not asked for it."""

    def listening(self, relay: Informational | None) -> Informational:
        """Return a listener to 1xx answers that notes a permission to go on, and hands every answer to `relay`."""

        def listen(status: int, reason: bytes, headers: Headers) -> None:
            if relay is not None:
                relay(status, reason, headers)
            if status == 100:
                self._permitted.set()

        return listen

    def start(self) -> None:
        """Begin; the header section has been written."""
        # No TaskGroup can own it: an early answer is handed on while the pump still runs. `stop` reaps it.
        self._task = asyncio.create_task(self._run())  # noqa: TID251

    async def stop(self) -> None:
        """End the pump, and return when it has ended."""
        if self._task is not None and not self._task.done():
            self._task.cancel()
            await asyncio.wait((self._task,))

    async def _run(self) -> None:
        connection, length = self._connection, self._body.length
        try:
            if self.asking:
                await self._permission()
            connection.watch()
            if length is None:
                await self._chunked()
            else:
                await self._counted(length)
        except Exception as error:
            connection.break_off(error)  # also what reading the client's body raised

    async def _permission(self) -> None:
        """Wait for the backend's 100, but not for ever: an old backend never sends one (RFC 9110 section 10.1.1)."""
        with suppress(TimeoutError):
            async with asyncio.timeout(PERMISSION_SECONDS):
                await self._permitted.wait()
        self.asking = False

    async def _chunked(self) -> None:
        connection = self._connection
        async for data in self._body:
            if data:
                connection.write(b"%x\r\n%b\r\n" % (len(data), data))
                await connection.drain()
        connection.write(b"0\r\n\r\n")
        connection.sent()

    async def _counted(self, length: int) -> None:
        connection = self._connection
        left = length
        async for data in self._body:
            left -= len(data)
            if left < 0:
                break
            connection.write(data)
            if not left:  # known before the body's own end, so that a quick answer finds the request whole
                connection.sent()
                return
            await connection.drain()
        raise GatewayError("internal-error", private=f"a body of {length} bytes had {length - left}")
