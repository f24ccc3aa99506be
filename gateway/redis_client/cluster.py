"""A cluster: each key on the master that owns its slot, and redirects followed.

The one idea: the map of slots may always be old, and that is normal. A redirect corrects it for its slot at once; the
whole map is read anew when a server failed (before the next command needs it) or by the probe, and by one command for
all that wait for it. Everything ends within the deadline of the command that it happens to.

The library's cluster client is not used: it waits and reads the map anew as often as it sees fit, whatever time is
left.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from redis.exceptions import AskError, ClusterDownError, MovedError

from gateway.redis_client.connection import Connection
from gateway.redis_client.dial import Make
from gateway.redis_client.directory import Directory
from gateway.redis_client.failures import FAILURES, kind_of
from gateway.redis_client.node import Ask, Node
from gateway.redis_client.slots import SLOTS, Shard, address, name_in, read_shards, slot_of
from gateway.redis_client.topology import REPEATABLE, WORTHLESS
from gateway.redis_client.url import Server

MAX_REDIRECTS: Final = 5
_DISPUTED: Final = "topology"
"""The kind of a server that does not serve a slot it should: another one may."""


@dataclass(slots=True)
class _Trip:
    """One command on its way: where it was last, and by which map."""

    slot: int
    node: Node | None = None
    version: int = 0


class Cluster:
    """The masters of a cluster (`redis+cluster://`), see `Topology`.

    Args:
        directory: the nodes of the URL; those of the map are added to it.
        make: connects to a node.
        timeout: seconds for everything that one command needs.
    """

    whole = False

    def __init__(self, directory: Directory, make: Callable[[Server], Make], timeout: float) -> None:
        self._directory = directory
        self._make = make
        self._timeout = timeout
        self._nodes: dict[Server, Node] = {}
        self._owners: list[Node | None] = [None] * SLOTS
        self._version = 0
        self._failed = True
        """A server failed, or nothing is known yet: the map is read before the next command."""
        self._redirected = False
        """A redirect was met: the map is read by the next probe."""
        self._dialled = 0
        self._reading = asyncio.Lock()

    async def ask(self, key: str, ask: Ask, *, repeat: bool) -> Any:
        """See `Topology`: the owner of the key's slot is asked."""
        trip = _Trip(slot_of(key))
        try:
            async with asyncio.timeout(self._timeout):
                return await self._follow(trip, ask, repeat=repeat)
        except FAILURES as error:
            self._blame(trip.node, kind_of(error))
            raise

    async def probe(self, name: str, ask: Callable[[str], Ask]) -> None:
        """See `Topology`: every slot has an owner, and every owner answers."""
        async with asyncio.timeout(self._timeout):
            if self._failed or self._redirected:
                await self._read_map(self._version)
            version = self._version
            if await self._probed(name, ask) is not None:
                await self._read_map(version)
                if (failure := await self._probed(name, ask)) is not None:
                    raise failure

    async def masters(self) -> Sequence[Node]:
        """See `Topology`."""
        async with asyncio.timeout(self._timeout):
            await self._read_map(self._version)
            return list(self._by_master())

    async def ask_node(self, node: Node, ask: Ask) -> Any:
        """See `Topology`."""
        async with asyncio.timeout(self._timeout):
            return await node.ask(ask)

    async def dial(self) -> Connection:
        """See `Topology`: any node will do, and they are tried in turn."""
        masters = await self.masters()
        self._dialled += 1
        async with asyncio.timeout(self._timeout):
            return await masters[self._dialled % len(masters)].dial()

    def sibling(self, key: str, name: str) -> str:
        """See `Topology`: there is one such key for each slot."""
        return name_in(slot_of(key), name)

    async def aclose(self) -> None:
        """See `Topology`."""
        self._directory.close()
        for node in self._nodes.values():
            node.drop()

    async def _follow(self, trip: _Trip, ask: Ask, *, repeat: bool) -> Any:
        node, asking, redirects = await self._owner(trip), False, 0
        while True:
            trip.node = node
            try:
                return await node.ask(ask, asking=asking)
            except AskError as error:  # MOVED is one too
                redirects += 1
                if redirects > MAX_REDIRECTS:
                    raise
                asking = not isinstance(error, MovedError)
                node = self._led_to(node, error)
                continue
            except FAILURES as error:
                kind = kind_of(error)
                if not repeat or kind not in REPEATABLE | {_DISPUTED}:
                    raise
            repeat = False
            self._blame(node, kind)
            node, asking = await self._owner(trip), False

    async def _owner(self, trip: _Trip) -> Node:
        if self._failed or self._owners[trip.slot] is None:
            await self._read_map(self._version)
        owner = self._owners[trip.slot]
        if owner is None:
            raise ClusterDownError("nobody owns the slot")
        return owner

    def _led_to(self, node: Node, error: AskError) -> Node:
        target = self._node(address(node.host, error.host, error.port))
        if isinstance(error, MovedError):
            self._owners[error.slot_id] = target
            self._redirected = True
        return target

    def _blame(self, node: Node | None, kind: str) -> None:
        """Draw from a failure what it says of the server and of the map."""
        if kind in WORTHLESS or kind == _DISPUTED:
            self._failed = True
            self._directory.distrust()
        if node is not None and kind in WORTHLESS:
            node.drop()

    def _node(self, server: Server) -> Node:
        node = self._nodes.get(server)
        if node is None:
            node = self._nodes[server] = Node(self._make(server), self._timeout, server[0])
        return node

    async def _read_map(self, seen: int) -> None:
        """Read who owns what, unless somebody has since the map of version `seen`."""
        async with self._reading:
            if self._version != seen:
                return
            shards = await self._directory.ask(("CLUSTER", "SLOTS"), read_shards)
            self._version += 1
            self._failed = self._redirected = False
            gone = self._take(shards)
            self._directory.know(server for shard in shards for server in (shard.master, *shard.replicas))
            for node in gone:
                node.drop()

    def _take(self, shards: tuple[Shard, ...]) -> list[Node]:
        """Replace the map; returns the nodes that are in it no more."""
        owners: list[Node | None] = [None] * SLOTS
        for shard in shards:
            owners[shard.first : shard.last + 1] = [self._node(shard.master)] * (shard.last - shard.first + 1)
        self._owners = owners
        wanted = {shard.master for shard in shards}
        return [self._nodes.pop(server) for server in [*self._nodes] if server not in wanted]

    def _by_master(self) -> dict[Node, int]:
        """Return every master with a slot that it owns.

        Raises:
            ClusterDownError: when a slot has no owner.
        """
        found: dict[Node, int] = {}
        for slot, owner in enumerate(self._owners):
            if owner is None:
                raise ClusterDownError("nobody owns some slots")
            found.setdefault(owner, slot)
        return found

    async def _probed(self, name: str, ask: Callable[[str], Ask]) -> Exception | None:
        """Ask all at once and return a failure, if there was one."""

        async def attempt(node: Node, slot: int) -> Exception | None:
            try:
                await node.ask(ask(name_in(slot, name)), probing=True)
            except FAILURES as error:
                return error
            return None

        try:
            masters = self._by_master()
        except ClusterDownError as error:
            return error
        async with asyncio.TaskGroup() as group:
            attempts = [group.create_task(attempt(node, slot)) for node, slot in masters.items()]
        return next((failure for task in attempts if (failure := task.result()) is not None), None)
