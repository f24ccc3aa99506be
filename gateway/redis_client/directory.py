"""Whom to ask where the data is: several servers of which any may answer, and any may be away or behind.

The one idea: they are asked in turn, each within a short time of its own, and a server goes to the end of the row
*before* it is asked and back to its head when it answered. So one that hangs costs its time once, also when whoever
waited was cancelled meanwhile, and `distrust` is enough to hear another opinion next time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from gateway.redis_client.connection import Argument
from gateway.redis_client.dial import Make
from gateway.redis_client.failures import FAILURES, kind_of
from gateway.redis_client.link import Link
from gateway.redis_client.url import Server

T = TypeVar("T")


class Directory:
    """Servers that know where the data is.

    Args:
        servers: those of the URL; they are never forgotten.
        make: connects to a server; tried one after the other where the kind of a failure is `auth`.
        patience: seconds that one server may take, connecting included.
    """

    def __init__(self, servers: Iterable[Server], make: list[Callable[[Server], Make]], patience: float) -> None:
        self._given = tuple(dict.fromkeys(servers))
        self._make = make
        self._patience = patience
        self._row = list(self._given)
        self._ways: dict[Server, int] = {}
        self._links: dict[Server, Link] = {}

    async def ask(self, command: tuple[Argument, ...], understand: Callable[[Server, Any], T]) -> T:
        """Return the first answer that `understand` makes sense of; it is given who answered, and the reply.

        Raises:
            redis.exceptions.RedisError, OSError: the last server's failure, when none answered so.
        """
        failure: Exception | None = None
        for server in list(self._row):
            self._move(server, len(self._row))
            try:
                async with asyncio.timeout(self._patience):
                    answer = understand(server, await self._ask(server, command))
            except FAILURES as error:
                failure = error
                continue
            self._move(server, 0)
            return answer
        assert failure is not None, "there is always somebody to ask"
        raise failure

    def distrust(self) -> None:
        """Ask somebody else first next time: what the last one said proved wrong."""
        self._move(self._row[0], len(self._row))

    def know(self, servers: Iterable[Server]) -> None:
        """Ask these besides those of the URL, and no others."""
        wanted = dict.fromkeys((*self._given, *servers))
        self._row = [*(s for s in self._row if s in wanted), *(s for s in wanted if s not in self._row)]
        for gone in [server for server in self._links if server not in wanted]:
            self._links.pop(gone).drop()

    def close(self) -> None:
        """Close the connections."""
        for link in self._links.values():
            link.drop()

    def _move(self, server: Server, to: int) -> None:
        if server in self._row:  # else it was forgotten meanwhile
            self._row.remove(server)
            self._row.insert(to, server)

    async def _ask(self, server: Server, command: tuple[Argument, ...]) -> Any:
        while True:
            way = self._ways.get(server, 0)
            link = self._links.get(server)
            if link is None:
                link = self._links[server] = Link(self._make[way](server), self._patience)
            try:
                return await (await link.connection()).send(*command)
            except BaseException as error:  # whoever asked may have given up on it: a new connection next time
                self._links.pop(server, None)
                link.drop()
                refused = isinstance(error, FAILURES) and kind_of(error) == "auth"
                if not refused or way + 1 >= len(self._make):
                    raise
            self._ways[server] = way + 1
