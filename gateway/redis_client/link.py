"""The way to one server: a connection that is made when it is needed, by one of those who need it.

The one idea: whoever comes first makes the connection in its own time, and all others wait for how that ends. So a
server that is away is knocked at once and not once for each command, and they all hear the same.
"""

from __future__ import annotations

import asyncio

from gateway.redis_client.connection import Connection
from gateway.redis_client.dial import Make


class Link:
    """At most one usable connection, made by `make`.

    Args:
        patience: seconds after which nobody can wait for a reply any more.
    """

    def __init__(self, make: Make, patience: float) -> None:
        self._make = make
        self._patience = patience
        self._connection: Connection | None = None
        self._making: asyncio.Future[Connection] | None = None

    async def connection(self) -> Connection:
        """Return a connection that is set up.

        Raises:
            redis.exceptions.RedisError, OSError: when it cannot be.
        """
        while True:
            if self._connection is not None and self._connection.usable:
                return self._connection
            if self._making is None:
                return await self._made()
            making = self._making
            await asyncio.wait([making])
            if not making.cancelled():
                return making.result()

    def drop(self) -> None:
        """Take a new connection from now on; what is under way on the one of before ends as it will."""
        connection, self._connection = self._connection, None
        self._making = None
        if connection is not None:
            connection.retire(self._patience)

    async def _made(self) -> Connection:
        loop = asyncio.get_running_loop()
        making = self._making = loop.create_future()
        try:
            connection = await self._make()
        except BaseException as error:
            if self._making is making:
                self._making = None
            if isinstance(error, asyncio.CancelledError):
                making.cancel()  # somebody else makes it
            else:
                making.set_exception(error)
                making.exception()  # seen: perhaps nobody waits
            raise
        making.set_result(connection)
        if self._making is making:
            self._making, self._connection = None, connection
        else:  # dropped meanwhile: good for those who waited for it, and nobody else
            loop.call_later(self._patience, connection.retire, self._patience)
        return connection
