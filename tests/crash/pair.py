"""A master and its replica, made to fail over by hand so that acknowledged writes are certainly lost.

The one idea: the replica stops copying first, the master goes on acknowledging, and only then it dies. Clients know the
one address of a forwarder, which then leads to the former replica.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack
from itertools import count
from typing import Any

from tests.crash.history import Loss
from tests.support.forwarder import Forwarder
from tests.support.valkey import ValkeyServer

_SLACK = 0.5
"""Seconds before the replica stopped for which its copy may have been behind."""
_MARK = "pair:mark"


class Pair:
    """Two servers without persistence behind one address."""

    def __init__(self) -> None:
        arguments = ("--repl-diskless-sync-delay", "0")
        self._master, self._replica = ValkeyServer(*arguments), ValkeyServer(*arguments)
        self._forwarder = Forwarder(self._master.port)
        self._stack = AsyncExitStack()
        self._marks = count(1)

    @property
    def url(self) -> str:
        """Where clients find the master of the moment."""
        return f"redis://127.0.0.1:{self._forwarder.port}/0"

    async def __aenter__(self) -> Pair:
        async with self._stack:
            for server in (self._master, self._replica):
                self._stack.push_async_callback(server.stop)
                await server.start()
            await self._stack.enter_async_context(self._forwarder)
            await self._follow()
            self._stack = self._stack.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    def command(self, *words: str | bytes | int) -> Any:
        """Send one command to the master of the moment."""
        return self._master.command(*words)

    async def fail_over(self, behind: float) -> Loss:
        """Lose what the master writes in `behind` seconds, and go on with the replica."""
        await self._in_step()
        since = time.monotonic() - _SLACK
        self._replica.command("REPLICAOF", "NO", "ONE")
        await asyncio.sleep(behind)
        until = time.monotonic()
        self._master.kill()  # nothing of this process runs until it is dead: no request is sent in between
        self._master, self._replica = self._replica, self._master
        self._forwarder.switch(self._master.port)
        await self._replica.start()
        await self._follow()
        return Loss(since, until)

    async def lose_all(self, away: float) -> Loss:
        """Kill the master and bring it back empty after `away` seconds."""
        until = time.monotonic()
        self._master.kill()
        self._forwarder.cut()
        await asyncio.sleep(away)
        await self._master.restart(empty=True)
        return Loss(float("-inf"), until)

    async def _follow(self) -> None:
        self._replica.command("REPLICAOF", "127.0.0.1", self._master.port)
        await self._in_step()

    async def _in_step(self) -> None:
        """Wait until what the master has now is at the replica."""
        mark = str(next(self._marks)).encode()
        self._master.command("SET", _MARK, mark)
        async with asyncio.timeout(10):
            while self._replica.command("GET", _MARK) != mark:
                await asyncio.sleep(0.02)
