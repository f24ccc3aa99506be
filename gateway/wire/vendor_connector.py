"""Connections to a vendor, each handed out together with the permit to use it.

The one idea: `exchange.before_send` is awaited where aiohttp gets its connection, after name, handshake and TLS and
before the first byte, so that nothing slow lies between a permit and its write. The call travels in a context variable,
because aiohttp carries nothing of ours to its connector.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextvars import ContextVar
from typing import Final

import aiohttp
from aiohttp.client_reqrep import ClientRequest
from aiohttp.connector import Connection
from aiohttp.tracing import Trace

from gateway.clock import Clock
from gateway.exchange import Body, Exchange

_CONNECTIONS: Final = 5
"""How many connections a vendor may close on one call while it waits for its permit."""


class Call:
    """One call on its way through aiohttp.

    Attributes:
        error: what `before_send` or the request's content raised, before aiohttp took it for a failure of the network.
        waited: seconds in `before_send`.
    """

    __slots__ = ("_clock", "_exchange", "_read", "error", "waited")

    def __init__(self, exchange: Exchange, clock: Clock) -> None:
        self._exchange = exchange
        self._clock = clock
        self.error: Exception | None = None
        self.waited = 0.0
        self._read: asyncio.Future[None] | None = None

    async def permit(self) -> None:
        """Await the permit to send, if the exchange asks for one."""
        if self._exchange.before_send is None:
            return
        started = self._clock.monotonic()
        try:
            await self._exchange.before_send()
        except Exception as error:
            self.error = error
            raise
        finally:
            self.waited += self._clock.monotonic() - started

    def sends(self) -> None:
        """Note that the next thing is the first byte."""
        self._exchange.sent = True

    def unsent(self) -> None:
        """Give the permit back: the connection it was meant for is gone."""
        if self._exchange.on_unsent is not None:
            self._exchange.on_unsent()

    async def reading(self, body: Body) -> AsyncIterator[bytes]:
        """Iterate the request's content, so that `settle` knows of it."""
        pieces = aiter(body)
        while True:
            self._read = read = asyncio.get_running_loop().create_future()
            try:
                data = await anext(pieces)
            except StopAsyncIteration:
                return
            finally:
                read.set_result(None)
            yield data

    async def settle(self) -> None:
        """Return when aiohttp, which has given up the call, has stopped reading the request's content as well."""
        if self._read is not None:
            await asyncio.wait((self._read,))


CALL: Final[ContextVar[Call]] = ContextVar("CALL")
"""The call that the current task makes."""


class VendorConnector(aiohttp.TCPConnector):
    """aiohttp's connector, with the permit behind the connection."""

    async def connect(self, req: ClientRequest, traces: list[Trace], timeout: aiohttp.ClientTimeout) -> Connection:
        """Return an open connection whose call may be written now; the wait for the permit counts against no limit.

        Raises:
            aiohttp.ClientError: there is no connection, or the vendor closed every one while its permit was waited for.
        """
        call = CALL.get()
        for _ in range(_CONNECTIONS):
            connection = await super().connect(req, traces, timeout)
            try:
                await call.permit()
            except BaseException:
                connection.release()
                raise
            if not connection.closed:
                call.sends()
                return connection
            connection.close()  # the vendor did not wait as long
            call.unsent()
        raise aiohttp.ServerDisconnectedError
