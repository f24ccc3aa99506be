"""Which server is asked: the one that there is, the master that Sentinels name, or the owner of a slot.

The one idea: a topology answers for everything that lies between a key and a reply (finding the server, one safe
repetition, following redirects) within one deadline, so that the client above it needs to know nothing of servers.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol

from gateway.redis_client.connection import Connection
from gateway.redis_client.dial import Make
from gateway.redis_client.failures import FAILURES, kind_of
from gateway.redis_client.node import Ask, Node

WORTHLESS: Final = frozenset({"timeout", "connection", "readonly"})
"""Kinds after which a server's other connections are not to be trusted either: a dead peer, or one that was demoted."""
REPEATABLE: Final = frozenset({"connection", "readonly"})
"""Kinds that a new connection may heal at once: one that had gone stale, or led to a former master."""


class Topology(Protocol):
    """A deployment of Redis. Each method ends within the command's time limit.

    Raises:
        redis.exceptions.RedisError, redis.exceptions.RedisClusterException, OSError: by whatever asks, see `FAILURES`.
    """

    whole: bool
    """Whether the answer of one server speaks for all that is kept."""

    async def ask(self, key: str, ask: Ask, *, repeat: bool) -> Any:
        """Ask the server that has the key; with `repeat` once more where a new connection may heal it."""
        ...

    async def probe(self, name: str, ask: Callable[[str], Ask]) -> None:
        """Ask every master, on connections of the probe; `ask` is given a key that this master has, made of `name`."""
        ...

    async def masters(self) -> Sequence[Node]:
        """Return every master."""
        ...

    async def ask_node(self, node: Node, ask: Ask) -> Any:
        """Ask one of the `masters`."""
        ...

    async def dial(self) -> Connection:
        """Return a new connection to a server that hears what is published anywhere; the caller closes it."""
        ...

    def sibling(self, key: str, name: str) -> str:
        """Return the key that `name` stands for where `key` is kept: the two are lost and moved together."""
        ...

    async def aclose(self) -> None:
        """Close the connections. What is under way ends as it would have."""
        ...


class OneMaster(ABC):
    """What is the same wherever one server has everything."""

    whole = True

    def __init__(self, timeout: float) -> None:
        self._timeout = timeout

    @abstractmethod
    async def _master(self) -> Node:
        """Return the server to ask."""

    @abstractmethod
    def _distrust(self, node: Node) -> None:
        """Take back that this is the server to ask, or at least that its connections are good."""

    async def ask(self, key: str, ask: Ask, *, repeat: bool) -> Any:
        """See `Topology`."""
        return await self._ask(ask, repeat=repeat)

    async def probe(self, name: str, ask: Callable[[str], Ask]) -> None:
        """See `Topology`."""
        await self._ask(ask(name), repeat=True, probing=True)

    async def masters(self) -> Sequence[Node]:
        """See `Topology`."""
        async with asyncio.timeout(self._timeout):
            return [await self._master()]

    async def ask_node(self, node: Node, ask: Ask) -> Any:
        """See `Topology`."""
        async with asyncio.timeout(self._timeout):
            return await node.ask(ask)

    async def dial(self) -> Connection:
        """See `Topology`."""
        async with asyncio.timeout(self._timeout):
            node = await self._master()
            try:
                return await node.dial()
            except FAILURES as error:
                if kind_of(error) in WORTHLESS:
                    self._distrust(node)
                raise

    def sibling(self, key: str, name: str) -> str:
        """See `Topology`."""
        return name

    @abstractmethod
    async def aclose(self) -> None:
        """See `Topology`."""

    async def _ask(self, ask: Ask, *, repeat: bool, probing: bool = False) -> Any:
        node: Node | None = None
        try:
            async with asyncio.timeout(self._timeout):
                node = await self._master()
                try:
                    return await node.ask(ask, probing=probing)
                except FAILURES as error:
                    if not repeat or kind_of(error) not in REPEATABLE:
                        raise
                self._distrust(node)
                node = await self._master()
                return await node.ask(ask, probing=probing)
        except FAILURES as error:
            if node is not None and kind_of(error) in WORTHLESS:
                self._distrust(node)
            raise


class SingleServer(OneMaster):
    """One server at one place (`redis://`, `rediss://`, `unix://`)."""

    def __init__(self, make: Make, timeout: float) -> None:
        super().__init__(timeout)
        self._node = Node(make, timeout)

    async def _master(self) -> Node:
        return self._node

    def _distrust(self, node: Node) -> None:
        node.drop()

    async def aclose(self) -> None:
        """See `Topology`."""
        self._node.drop()
