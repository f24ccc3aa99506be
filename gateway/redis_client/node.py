"""One server and the connections to it.

The one idea: everybody shares one connection, but the probe has one of its own, so that a crowd of commands that wait
for a frozen server never keeps the question whether it is frozen waiting as well.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

from gateway.redis_client.dial import Make
from gateway.redis_client.link import Link

Send: TypeAlias = Callable[..., Awaitable[Any]]
"""Sends one command (its words are the arguments) and returns the reply."""
Ask: TypeAlias = Callable[[Send], Awaitable[Any]]
"""What somebody wants of a server; it may send more than one command, on one connection."""


class Node:
    """One server.

    Args:
        make: connects to it.
        patience: seconds after which nobody can wait for a reply any more.
        host: by which it was found: a redirect may leave the host out and mean this one.
    """

    def __init__(self, make: Make, patience: float, host: str = "") -> None:
        self.host = host
        self.dial = make
        """Makes a connection for one purpose alone; whoever asked for it closes it."""
        self._shared = Link(make, patience)
        self._probing = Link(make, patience)

    async def ask(self, ask: Ask, *, probing: bool = False, asking: bool = False) -> Any:
        """Have it asked; `asking`: for a slot that it is only just taking over (each command then says so first).

        Raises:
            redis.exceptions.RedisError, OSError: for whatever reason there is no answer, or the answer is an error.
        """
        connection = await (self._probing if probing else self._shared).connection()
        return await ask(connection.send_asking if asking else connection.send)

    def drop(self) -> None:
        """Make every connection of before worthless; the next ones are new."""
        self._shared.drop()
        self._probing.drop()
