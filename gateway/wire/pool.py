"""The open connections to the backend, and those among them that wait for work.

The one idea: the connection that was used last is used next, so that few are kept, and none waits longer than the
backend would keep it. One that the backend has closed or spoken on while it waited is never given out.
"""

from __future__ import annotations

import asyncio
import select
import socket
from collections.abc import Callable
from typing import Final
from urllib.parse import urlsplit

from gateway.clock import Clock
from gateway.wire.broken import Broken, Reason
from gateway.wire.connection import Connection, Limits

KEEP: Final = 4.0
"""Seconds; Node.js closes a connection that was idle for five, and the one who closes first wins no race."""


class Pool:
    """Connections to one address: `http://HOST[:PORT]` or `unix:/PATH`. There is no limit on their number.

    `broke` is told when a response breaks off behind its header section.
    """

    def __init__(
        self, address: str, *, connect_timeout: float, limits: Limits, clock: Clock, broke: Callable[[Reason], None]
    ) -> None:
        self._path = address.removeprefix("unix:") if address.startswith("unix:") else None
        parts = urlsplit(address)
        self._host, self._port = parts.hostname or "", parts.port or 80
        self._connect_timeout = connect_timeout
        self._limits = limits
        self._clock = clock
        self.broke = broke
        self._open: set[Connection] = set()
        self._waiting: list[Connection] = []
        self._sweeper: asyncio.TimerHandle | None = None
        self._emptied: asyncio.Future[None] | None = None

    @property
    def open(self) -> int:
        """How many connections there are."""
        return len(self._open)

    @property
    def waiting(self) -> int:
        """How many of them wait for work."""
        return len(self._waiting)

    def take(self, *, ask: bool) -> Connection | None:
        """Return a connection that waits for work, if there is one.

        With `ask` the socket is asked whether the backend has closed it, for requests that could not be sent again.
        """
        while self._waiting:
            connection = self._waiting.pop()
            fresh = self._clock.monotonic() - connection.released_at < KEEP
            if fresh and connection.usable and not (ask and readable(connection.fileno)):
                return connection
            connection.abandon()
        return None

    async def connect(self) -> Connection:
        """Open a connection.

        Raises:
            Broken: the backend cannot be reached, for the reason `connect` or `dns`.
        """
        loop = asyncio.get_running_loop()
        connection = Connection(self, self._limits, self._clock)
        try:
            async with asyncio.timeout(self._connect_timeout):
                if self._path is not None:
                    await loop.create_unix_connection(lambda: connection, self._path)
                else:
                    await loop.create_connection(lambda: connection, self._host, self._port)
        except TimeoutError:
            connection.abandon()
            raise Broken("connect", f"no connection within {self._connect_timeout:g} s", sent=False) from None
        except socket.gaierror as error:
            raise Broken("dns", f"the backend's name is not known: {error.strerror}", sent=False) from None
        except OSError as error:
            raise Broken("connect", f"the backend cannot be reached: {error.strerror or error}", sent=False) from None
        except BaseException:
            connection.abandon()
            raise
        if not connection.usable:
            raise Broken("connect", "the backend closed the connection at once", sent=False)
        self._open.add(connection)
        return connection

    def release(self, connection: Connection) -> None:
        """Take back a connection that may serve another exchange."""
        connection.released_at = self._clock.monotonic()
        self._waiting.append(connection)
        if self._sweeper is None:
            self._sweeper = asyncio.get_running_loop().call_later(KEEP, self._sweep)

    def forget(self, connection: Connection) -> None:
        """Note that a connection is closed."""
        self._open.discard(connection)
        if connection in self._waiting:
            self._waiting.remove(connection)
        if self._emptied is not None and not self._open and not self._emptied.done():
            self._emptied.set_result(None)

    async def aclose(self) -> None:
        """Close every connection, also those in use, and return when they are closed."""
        if self._sweeper is not None:
            self._sweeper.cancel()
            self._sweeper = None
        self._waiting.clear()
        for connection in list(self._open):
            connection.close()
        if self._open:
            self._emptied = asyncio.get_running_loop().create_future()
            await self._emptied

    def _sweep(self) -> None:
        """Close what has waited too long; the longest waiting come first."""
        self._sweeper = None
        limit = self._clock.monotonic() - KEEP
        stale = 0
        while stale < len(self._waiting) and self._waiting[stale].released_at <= limit:
            self._waiting[stale].abandon()
            stale += 1
        del self._waiting[:stale]
        if self._waiting:
            delay = self._waiting[0].released_at - limit
            self._sweeper = asyncio.get_running_loop().call_later(delay, self._sweep)


def readable(fileno: int) -> bool:
    """Tell whether a socket on which nothing is expected has something to read: its end, most likely."""
    if fileno < 0:
        return True
    poll = select.poll()
    poll.register(fileno, select.POLLIN)
    return bool(poll.poll(0))
