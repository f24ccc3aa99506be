"""The master that Sentinels name.

The one idea: the name is asked for when there is no master yet, and again after every failure that a failover may have
caused, of another Sentinel than the one who said it last. The probe asks too, each time: a former master that still
answers (it was cut off from everybody but this gateway) is left at the next probe, not when it happens to fail.

The library's Sentinel client is not used: its pool waits while it takes a connection back, and asks without a limit of
its own for each Sentinel.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any

from redis.exceptions import ClusterDownError

from gateway.redis_client.dial import Make
from gateway.redis_client.directory import Directory
from gateway.redis_client.failures import FAILURES
from gateway.redis_client.node import Ask, Node
from gateway.redis_client.topology import OneMaster
from gateway.redis_client.url import Server


class SentinelMaster(OneMaster):
    """The server that the Sentinels call the master of a service (`redis+sentinel://`).

    Args:
        directory: the Sentinels.
        service: what they call it.
        make: connects to a server.
        timeout: seconds for everything that one command needs.
        patience: seconds that the probe gives the Sentinels; when they are away, the master it knows is asked.
    """

    def __init__(
        self, directory: Directory, service: str, make: Callable[[Server], Make], timeout: float, patience: float
    ) -> None:
        super().__init__(timeout)
        self._directory = directory
        self._service = service
        self._make = make
        self._patience = patience
        self._node: Node | None = None
        self._address: Server | None = None
        self._asking = asyncio.Lock()

    async def probe(self, name: str, ask: Callable[[str], Ask]) -> None:
        """See `Topology`: the master of this moment is asked."""
        if self._node is not None:
            with contextlib.suppress(*FAILURES):
                async with asyncio.timeout(self._patience):
                    await self._resolve()
        await super().probe(name, ask)

    async def aclose(self) -> None:
        """See `Topology`."""
        self._directory.close()
        if self._node is not None:
            self._node.drop()

    async def _master(self) -> Node:
        node = self._node
        return node if node is not None else await self._resolve(unless_known=True)

    def _distrust(self, node: Node) -> None:
        if self._node is node:  # else somebody has seen it already
            self._node = self._address = None
            self._directory.distrust()
        node.drop()

    async def _resolve(self, *, unless_known: bool = False) -> Node:
        async with self._asking:
            if unless_known and self._node is not None:  # somebody else asked meanwhile
                return self._node
            question = ("SENTINEL", "GET-MASTER-ADDR-BY-NAME", self._service)
            address = await self._directory.ask(question, _address)
            former = self._node
            if former is not None and address == self._address:
                return former
            node = self._node = Node(self._make(address), self._timeout, address[0])
            self._address = address
        if former is not None:
            former.drop()
        return node


def _address(sentinel: Server, reply: Any) -> Server:
    if not reply:
        raise ClusterDownError("the Sentinels know no master of this name")
    host, port = reply
    return host.decode(), int(port)
