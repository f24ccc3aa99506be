"""One server and the connections to it.

The one idea: everybody shares a few connections, but the probe has one of its own, so that a crowd of commands that
wait for a frozen server never keeps the question whether it is frozen waiting as well.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeAlias

from redis.asyncio.connection import AbstractConnection

from gateway.redis_client.connections import Connections
from gateway.redis_client.dial import Make

Argument: TypeAlias = str | bytes | int | float
Send: TypeAlias = Callable[..., Awaitable[Any]]
"""Sends one command (its words are the arguments) and returns the reply."""
Ask: TypeAlias = Callable[[Send], Awaitable[Any]]
"""What somebody wants of a server; it may send more than one command, on one connection."""

CONNECTIONS: Final = 32


class Node:
    """One server: at most `CONNECTIONS` connections, and one for the probe."""

    def __init__(self, make: Make, host: str = "") -> None:
        self.host = host
        """By which it was found: a redirect may leave the host out and mean this one."""
        self._shared = Connections(make, CONNECTIONS)
        self._probing = Connections(make, 1)

    async def ask(self, ask: Ask, *, probing: bool = False, asking: bool = False) -> Any:
        """Have it asked; `asking`: for a slot that it is only just taking over (each command then says so first).

        Raises:
            redis.exceptions.RedisError, OSError: for whatever reason there is no answer, or the answer is an error.
        """
        async with (self._probing if probing else self._shared).lend() as connection:

            async def send(*command: Argument) -> Any:
                if asking:
                    await exchange(connection, "ASKING")
                return await exchange(connection, *command)

            return await ask(send)

    async def drop(self) -> None:
        """Make every connection of before worthless; the next ones are new."""
        await self._shared.drop()
        await self._probing.drop()


async def exchange(connection: AbstractConnection, *command: Argument) -> Any:
    """Send one command and return its reply as it came."""
    await connection.send_command(*command, check_health=False)
    return await connection.read_response()
