"""What a store is told later; in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from gateway.errors import StoreUnavailable
from gateway.tokens.outbox import MAX_ENTRIES, RETRY, Outbox
from tests.support.virtual import LoopClock, virtual


@dataclass(frozen=True, eq=False)
class Note:
    name: str
    due: float = 0.0
    expires: float = float("inf")


@dataclass
class Store:
    """Notes what is written, unless it is away for that."""

    written: list[str] = field(default_factory=list)
    away: set[str] = field(default_factory=set)
    tried: int = 0

    async def write(self, note: Note) -> None:
        self.tried += 1
        if note.name in self.away:
            raise StoreUnavailable("away")
        self.written.append(note.name)


@asynccontextmanager
async def _running(store: Store) -> AsyncIterator[Outbox[str, Note]]:
    outbox: Outbox[str, Note] = Outbox(store.write, LoopClock())
    async with asyncio.TaskGroup() as group:
        task = group.create_task(outbox.run())
        yield outbox
        task.cancel()


@virtual
async def test_an_entry_is_written_when_its_time_has_come() -> None:
    """Not before, and once; a newer one of its key takes its place, and one that is dropped is not written."""
    store = Store()
    async with _running(store) as outbox:
        now = LoopClock().monotonic()
        outbox.put("a", Note("first", now + 1))
        outbox.put("a", Note("second", now + 2))
        outbox.put("b", Note("dropped", now + 2))
        await asyncio.sleep(1.9)
        assert store.written == []
        outbox.drop("b")
        await asyncio.sleep(60)
        assert store.written == ["second"]
        assert outbox.get("a") is None


@virtual
async def test_one_that_cannot_be_written_holds_up_no_other_and_goes_with_its_time() -> None:
    """given a store that is away for one entry, then the others are written, and that one until it means nothing."""
    store = Store(away={"stuck"})
    async with _running(store) as outbox:
        outbox.put("a", Note("stuck", expires=LoopClock().wall() + 60))
        outbox.put("b", Note("easy"))
        await asyncio.sleep(2 * RETRY)
        assert store.written == ["easy"]
        await asyncio.sleep(120)
        tried = store.tried
        await asyncio.sleep(3600)
        assert store.tried == tried
        assert outbox.get("a") is None


async def test_an_outage_fills_no_memory() -> None:
    """Beyond `MAX_ENTRIES` the oldest go."""
    outbox: Outbox[int, Note] = Outbox(Store().write)
    for number in range(MAX_ENTRIES + 1):
        outbox.put(number, Note("x"))
    assert (outbox.get(0), outbox.get(1) is not None) == (None, True)
