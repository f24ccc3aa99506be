"""A cluster of three masters on 127.0.0.1, the first of them with a replica when it is wanted.

The one idea: it counts as ready when every node says so of itself and knows every other one, never after a fixed sleep.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from tests.support.sentinel import until
from tests.support.valkey import ValkeyServer, free_port

SLOTS = 16384
NODE_TIMEOUT_MS = 1000
_RANGES = ((0, 5460), (5461, 10922), (10923, SLOTS - 1))


class ClusterNode(ValkeyServer):
    """One node; `more` are further arguments."""

    def __init__(self, *more: str) -> None:
        self.bus = free_port()
        super().__init__(
            *("--cluster-enabled", "yes", "--cluster-node-timeout", str(NODE_TIMEOUT_MS)),
            *("--cluster-port", str(self.bus), "--repl-diskless-sync-delay", "0"),
            *more,
        )

    @property
    def id(self) -> str:
        return str(self.command("CLUSTER", "MYID").decode())

    def says(self, field: str) -> str:
        """Return one field of CLUSTER INFO."""
        info: dict[str, str] = self.command("CLUSTER INFO")
        return info[field]


class ValkeyCluster:
    """Three masters, and with `replica` one more node that follows the first."""

    def __init__(self, *, replica: bool = False) -> None:
        self.masters = [ClusterNode() for _ in range(3)]
        self.replica = ClusterNode() if replica else None
        self._moved: dict[int, ClusterNode] = {}

    @property
    def nodes(self) -> Sequence[ClusterNode]:
        return [*self.masters, *([self.replica] if self.replica else [])]

    @property
    def url(self) -> str:
        """Where clients find it; the replica is not named."""
        return "redis+cluster://" + ",".join(f"127.0.0.1:{node.port}" for node in self.masters)

    async def start(self) -> None:
        """Start all, hand out the slots, and wait until everybody agrees."""
        await asyncio.gather(*(node.start() for node in self.nodes))
        for epoch, (node, (first, last)) in enumerate(zip(self.masters, _RANGES, strict=True), 1):
            node.command("CLUSTER", "ADDSLOTSRANGE", first, last)
            node.command("CLUSTER", "SET-CONFIG-EPOCH", epoch)
        for node in self.nodes:
            for other in self.nodes:
                if node is not other:
                    node.command("CLUSTER", "MEET", "127.0.0.1", other.port, other.bus)
        await until(lambda: all(int(node.says("cluster_known_nodes")) == len(self.nodes) for node in self.nodes))
        if (replica := self.replica) is not None:
            first_id = self.masters[0].id
            await until(lambda: replica.command("CLUSTER", "REPLICATE", first_id))
            await until(lambda: replica.command("INFO", "replication")["master_link_status"] == "up")
        await until(lambda: all(node.says("cluster_state") == "ok" for node in self.nodes))
        await until(lambda: all(node.says("cluster_slots_ok") == str(SLOTS) for node in self.nodes))

    async def stop(self) -> None:
        """End all, whatever state they are in."""
        await asyncio.gather(*(node.stop() for node in self.nodes))

    def kill_master(self) -> None:
        """End the first master at once; `promoted` takes its place after a while."""
        self.masters[0].kill()

    @property
    def promoted(self) -> ClusterNode:
        """The node that takes the first master's place."""
        assert self.replica is not None
        return self.replica

    async def failed_over(self) -> None:
        """Wait until the replica owns the first master's slots and the rest know it."""
        replica = self.promoted
        others = [node for node in self.nodes if node.running]
        await until(lambda: replica.command("INFO", "replication")["role"] == "master")
        await until(lambda: all(node.says("cluster_state") == "ok" for node in others))

    def owner(self, slot: int) -> ClusterNode:
        """Return the master that a slot was given to, at the start or by `end_migration`."""
        ranges = zip(self.masters, _RANGES, strict=True)
        return self._moved.get(slot) or next(node for node, (first, last) in ranges if first <= slot <= last)

    def begin_migration(self, slot: int, target: ClusterNode) -> None:
        """From now on the owner of a slot sends whoever asks for a key that it has not to `target`."""
        source = self.owner(slot)
        target.command("CLUSTER", "SETSLOT", slot, "IMPORTING", source.id)
        source.command("CLUSTER", "SETSLOT", slot, "MIGRATING", target.id)

    def move_keys(self, slot: int, target: ClusterNode, chosen: Callable[[bytes], bool] = lambda key: True) -> None:
        """Move the slot's keys, or some."""
        source = self.owner(slot)
        for key in source.command("CLUSTER", "GETKEYSINSLOT", slot, 1000):
            if chosen(key):
                source.command("MIGRATE", "127.0.0.1", target.port, key, 0, 1000)

    def end_migration(self, slot: int, target: ClusterNode) -> None:
        """Make `target` the owner."""
        identity = target.id
        for node in (target, *(node for node in self.masters if node is not target)):
            node.command("CLUSTER", "SETSLOT", slot, "NODE", identity)
        self._moved[slot] = target
