"""Gateways that are killed and come back, and the ports at which clients find them.

The one idea: a killed gateway stays listed until its successor is ready, as in a real list of endpoints; whoever asks
it meanwhile finds a closed door.
"""

from __future__ import annotations

import asyncio
import random
import signal
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import AsyncExitStack
from itertools import count
from pathlib import Path
from typing import Any

from tests.support.process import GatewayProcess
from tests.support.valkey import free_port


class Fleet:
    """So many gateways with one configuration."""

    def __init__(self, folder: Path, config: Mapping[str, Any], size: int, module: str = "gateway") -> None:
        self._folder = folder
        self._config = config
        self._size = size
        self._module = module
        self._numbers = count()
        self._gateways: list[GatewayProcess] = []
        self._ever: list[GatewayProcess] = []
        self._stack = AsyncExitStack()
        self.ports: list[int] = []
        self.kills = 0

    async def __aenter__(self) -> Fleet:
        async with self._stack:
            self.ports = [free_port() for _ in range(self._size)]
            self._gateways = list(await asyncio.gather(*(self._start(port) for port in self.ports)))
            self._stack = self._stack.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def ready(self) -> None:
        """Wait until every gateway has found Redis."""
        await asyncio.gather(*(gateway.logged("Redis available", 10) for gateway in self._gateways))

    def audited(self) -> Counter[str]:
        """Return how often which operation had which outcome, by the trail of every gateway there was."""
        return Counter(f"{line['action']} {line['outcome']}" for line in self._trail())

    def adopted(self) -> frozenset[str]:
        """Return the users of whom the trail tells that a token of unknown family began one."""
        return frozenset(line["user"] for line in self._trail() if line["outcome"] == "adopted")

    async def keep_killing(self, rng: random.Random, over: asyncio.Event, shortest: float, longest: float) -> None:
        """Kill one after another, with pauses of random length (s) in which all run."""
        while not over.is_set():
            await asyncio.sleep(rng.uniform(shortest, longest))
            await self.kill_one(rng)

    async def kill_one(self, rng: random.Random) -> None:
        """Kill one as `kill -9` does and start another in its place, on its port or on a new one."""
        slot = rng.randrange(self._size)
        self.kills += 1
        await self._gateways[slot].signal(signal.SIGKILL)
        await self._gateways[slot].wait()
        port = self.ports[slot] if rng.random() < 0.5 else free_port()
        self._gateways[slot] = await self._start(port)
        self.ports[slot] = port

    def _trail(self) -> Iterator[dict[str, Any]]:
        return (line for gateway in self._ever for line in gateway.lines if line.get("audit"))

    async def _start(self, port: int) -> GatewayProcess:
        config = {**self._config, "ingress": {**self._config["ingress"], "listen": f"127.0.0.1:{port}"}}
        gateway = GatewayProcess(self._folder / f"gateway-{next(self._numbers)}", config, module=self._module)
        self._ever.append(gateway)
        return await self._stack.enter_async_context(gateway)
