"""Many keys at once, for jobs that go through everything there is.

The one idea: a job asks for batches and does not see how they are read: by one script where one server has everything,
key by key on a cluster, always with a bounded number of questions under way.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Final, TypeVar

from gateway.errors import StoreUnavailable
from gateway.tokens.legacy_store import LegacyStore, texts

Value = tuple[bytes | None, int]
"""What a key holds, and its PTTL (ms)."""
Progress = Callable[[str, int, int], None]
"""Told a step's name, how much of it is done, and how much there is (0: not known)."""

PARALLEL: Final = 24
"""Questions under way; a few connections stay free for whoever else shares the client."""
_SLICE: Final = 500
"""Keys that one script reads: a millisecond or so of the server's time."""

T = TypeVar("T")
R = TypeVar("R")


def no_progress(step: str, done: int, total: int) -> None:
    """Tell nobody."""


async def each(items: Sequence[T], work: Callable[[T], Awaitable[R]]) -> list[R]:
    """Return what `work` makes of each item, in their order, `PARALLEL` at a time.

    Raises:
        StoreUnavailable: the first one, when the store did not answer one of them.
    """
    results: list[R | None] = [None] * len(items)
    waiting = iter(enumerate(items))

    async def worker() -> None:
        for index, item in waiting:
            results[index] = await work(item)

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(min(PARALLEL, len(items))):
                group.create_task(worker())
    except* StoreUnavailable as several:
        failure = several.exceptions[0]
    else:
        return results  # type: ignore[return-value]  # every place has been filled
    raise failure


async def read_many(store: LegacyStore, keys: Sequence[str]) -> tuple[int, list[Value]]:
    """Return the time (ms) when the last of the keys was read, and what each holds."""
    slices = [keys[start : start + _SLICE] for start in range(0, len(keys), _SLICE)] if store.whole else [
        [key] for key in keys
    ]  # fmt: skip
    now, values = 0, []
    for read_at, found in await each(slices, store.peek):
        now = max(now, read_at)
        values += found
    return now, values


async def scanned(store: LegacyStore, prefix: str, batch: int) -> AsyncIterator[list[str]]:
    """Yield the keys that begin with a prefix, batch by batch, each key once; those that are no UTF-8 are left out."""
    seen: set[str] = set()
    async for found in store.scan(f"{prefix}*", batch):
        keys = [key for key in dict.fromkeys(texts(found)) if key not in seen]
        seen.update(keys)
        if keys:
            yield keys
