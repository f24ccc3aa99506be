"""What a store is to be told later: because it does not answer now, or because it is too early.

The one idea: each entry is written once its time has come, and tried again for as long as the store is away, until it
would mean nothing any more. One that cannot be written goes to the end and holds up no other. All of it is lost with
the process.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, Generic, Protocol, TypeVar

from gateway.clock import SYSTEM, Clock
from gateway.errors import StoreUnavailable

MAX_ENTRIES: Final = 10_000
RETRY: Final = 1.0
"""Seconds between two attempts to reach the store."""


class Entry(Protocol):
    """Something to be written."""

    @property
    def due(self) -> float:
        """Not to be written before (monotonic s)."""
        ...

    @property
    def expires(self) -> float:
        """From when on it means nothing (s since the epoch, this pod's clock)."""
        ...


E = TypeVar("E", bound=Entry)
K = TypeVar("K")


class Outbox(Generic[K, E]):
    """Entries by key; at most `MAX_ENTRIES`, the oldest go first. `run` is the lifecycle's.

    Args:
        write: tells the store of an entry; raises `StoreUnavailable` when that did not answer.
        clock: this pod's.
    """

    def __init__(self, write: Callable[[E], Awaitable[None]], clock: Clock = SYSTEM) -> None:
        self._write = write
        self._clock = clock
        self._open: dict[K, E] = {}
        self._news = asyncio.Event()

    def __len__(self) -> int:
        return len(self._open)

    def put(self, key: K, entry: E) -> None:
        """Have an entry written, in the place of the one that its key has."""
        self._open.pop(key, None)
        self._open[key] = entry
        if len(self._open) > MAX_ENTRIES:
            del self._open[next(iter(self._open))]
        self._news.set()

    def get(self, key: K) -> E | None:
        """Return what is still to be written."""
        return self._open.get(key)

    def drop(self, key: K) -> None:
        """Forget an entry, if there is one."""
        self._open.pop(key, None)

    async def run(self) -> None:
        """Write every entry, for ever."""
        while True:
            await self._news.wait()
            while self._open:
                await self._next()
            self._news.clear()

    async def _next(self) -> None:
        key, entry = next(iter(self._open.items()))
        await asyncio.sleep(entry.due - self._clock.monotonic())
        if self._open.get(key) is not entry:
            return  # dropped, or another one took its place
        try:
            await self._write(entry)
            done = True
        except StoreUnavailable:
            await asyncio.sleep(RETRY)
            done = self._clock.wall() >= entry.expires
        if self._open.get(key) is entry:
            del self._open[key]
            if not done:
                self._open[key] = entry
