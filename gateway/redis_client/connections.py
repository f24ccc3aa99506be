"""A few connections to one Redis, lent out and taken back.

The one idea: a connection comes back only when its last reply was read whole, so a cancelled or failed command never
leaves a stray reply for the next one, and `drop` makes every connection of before worthless at once. The library's own
pool waits inside `release`, where a cancelled request would lose a place for good.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from redis.asyncio.connection import AbstractConnection
from redis.exceptions import ResponseError


class Connections:
    """At most `size` connections made by `make`, the most recently used first; who finds none waits in turn."""

    def __init__(self, make: Callable[[], AbstractConnection], size: int) -> None:
        self._make = make
        self._permits = asyncio.Semaphore(size)
        self._idle: list[AbstractConnection] = []
        self._generation = 0

    @asynccontextmanager
    async def lend(self) -> AsyncIterator[AbstractConnection]:
        """Lend a connection that is set up and has nothing left to read.

        Raises:
            redis.exceptions.RedisError, OSError: when it cannot be set up.
        """
        async with self._permits:
            connection = self._idle.pop() if self._idle else self._make()
            generation = self._generation
            whole = False
            try:
                await self._set_up(connection)
                yield connection
                whole = True
            except ResponseError:  # an answer too, read to its end
                whole = True
                raise
            finally:
                if whole and connection.is_connected and generation == self._generation:
                    self._idle.append(connection)
                else:
                    await connection.disconnect(nowait=True)

    async def drop(self) -> None:
        """Close what is idle, and let what is lent be closed when it comes back: the next ones are new."""
        self._generation += 1
        idle, self._idle = self._idle, []
        for connection in idle:
            await connection.disconnect(nowait=True)

    async def _set_up(self, connection: AbstractConnection) -> None:
        if connection.is_connected and await connection.can_read():  # closed by Redis, or out of step
            await connection.disconnect(nowait=True)
        await connection.connect()  # type: ignore[no-untyped-call]  # the library leaves it bare
