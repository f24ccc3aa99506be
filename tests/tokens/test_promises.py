"""Promises: made while the ledger is away, told once it is there again; in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace

from gateway.errors import StoreUnavailable
from gateway.tokens.ledger import PATIENCE, Verdict
from gateway.tokens.outbox import MAX_ENTRIES, RETRY
from gateway.tokens.promises import Promises
from gateway.tokens.rotation import Ended, Family, Presented, Replayed
from gateway.tokens.standstill import Standstill
from tests.support.virtual import LoopClock, virtual

NOW = 1_800_000_000_000
TOKEN = Presented("f", 1, 1_799_999_000, 1_799_999_000, 1_800_600_000)
LIVE = Family(2, "k", NOW - 10_000, 1_799_999_000, 1_800_604_800)


@dataclass
class Ledger:
    """Notes what it is told, unless it is away."""

    told: list[tuple[str, Presented]] = field(default_factory=list)
    fails: dict[str, int] = field(default_factory=dict)

    async def keep(self, user: str, presented: Presented) -> bool:
        if self.fails.get(user, 0):
            self.fails[user] -= 1
            raise StoreUnavailable("away")
        self.told.append((user, presented))
        return True


@asynccontextmanager
async def _running(ledger: Ledger, standstill: Standstill | None = None) -> AsyncIterator[Promises]:
    promises = Promises(ledger, standstill or Standstill(), LoopClock())  # type: ignore[arg-type]
    async with asyncio.TaskGroup() as group:
        task = group.create_task(promises.run())
        yield promises
        task.cancel()


def _now() -> float:
    return asyncio.get_running_loop().time()


@virtual
async def test_a_promise_is_told_when_nothing_older_can_happen() -> None:
    """After PATIENCE, with its age and the outages of since, once."""
    ledger, standstill = Ledger(), Standstill()
    async with _running(ledger, standstill) as promises:
        promises.make("ann", TOKEN, _now() - 0.5)
        standstill.stood(_now(), _now() + 1)
        await asyncio.sleep(PATIENCE - 0.6)
        assert ledger.told == []
        await asyncio.sleep(0.2)
        assert ledger.told == [("ann", replace(TOKEN, ago=5000, pauses=((3500, 1000),)))]
        await asyncio.sleep(3600)
        assert len(ledger.told) == 1


@virtual
async def test_an_outage_is_waited_out() -> None:
    """given a ledger that is away for a minute, then it is asked every second, and told how long ago it was."""
    ledger = Ledger(fails={"ann": 60})
    async with _running(ledger) as promises:
        promises.make("ann", TOKEN, _now())
        await asyncio.sleep(PATIENCE + 60 * RETRY + 0.1)
        assert [told.ago for _, told in ledger.told] == [65_000]


@virtual
async def test_one_that_cannot_be_told_holds_up_no_other() -> None:
    """given a user whose key always fails, then the others are told, and that one is given up with its token."""
    ledger = Ledger(fails={"broken": 10**9})
    async with _running(ledger) as promises:
        token = replace(TOKEN, expires=int(LoopClock().wall()) + 60)
        promises.make("broken", token, _now())
        promises.make("ann", TOKEN, _now())
        await asyncio.sleep(PATIENCE + 2 * RETRY)
        assert [user for user, _ in ledger.told] == ["ann"]
        await asyncio.sleep(120)
        asked = ledger.fails["broken"]
        await asyncio.sleep(3600)
        assert ledger.fails["broken"] == asked


@virtual
async def test_the_first_time_a_token_came_counts() -> None:
    """A token that comes again and again was good when it came first; a newer one of the family takes its place."""
    promises = Promises(Ledger(), Standstill(), LoopClock())  # type: ignore[arg-type]
    promises.make("ann", TOKEN, _now())
    await asyncio.sleep(2)
    promises.make("ann", TOKEN, _now())
    assert promises.now("ann", TOKEN).ago == 2000
    assert promises.now("bob", TOKEN).ago == 0
    newer = replace(TOKEN, generation=2)
    assert promises.now("ann", newer).ago == 0
    promises.make("ann", newer, _now())
    await asyncio.sleep(1)
    assert (promises.now("ann", newer).ago, promises.now("ann", TOKEN).ago) == (1000, 0)


@virtual
async def test_a_token_that_was_judged_needs_no_promise() -> None:
    """given a client that came back in time, then nothing is written: theft is seen as early as ever."""
    for result in (Replayed(LIVE), Ended("revoked")):
        ledger = Ledger()
        async with _running(ledger) as promises:
            promises.make("ann", TOKEN, _now())
            await asyncio.sleep(1)
            promises.judged("ann", promises.now("ann", TOKEN), Verdict(result, NOW), 30_000)
            await asyncio.sleep(3600)
        assert ledger.told == []


@virtual
async def test_a_token_that_only_its_promise_saved_stays_promised() -> None:
    """given a replay beyond grace whose answer may get lost too, then the ledger is told all the same."""
    ledger = Ledger()
    async with _running(ledger) as promises:
        promises.make("ann", TOKEN, _now())
        await asyncio.sleep(1)
        promises.judged("ann", promises.now("ann", TOKEN), Verdict(Replayed(LIVE), NOW + 20_001), 30_000)
        await asyncio.sleep(PATIENCE)
    assert [user for user, _ in ledger.told] == ["ann"]


@virtual
async def test_an_older_token_does_not_undo_a_promise() -> None:
    """Only a token of the promised generation, or a newer one, shows that the client has gone on."""
    promises = Promises(Ledger(), Standstill(), LoopClock())  # type: ignore[arg-type]
    newer = replace(TOKEN, generation=2)
    promises.make("ann", newer, _now())
    await asyncio.sleep(1)
    promises.judged("ann", TOKEN, Verdict(Ended("revoked"), NOW), 30_000)
    promises.judged("bob", newer, Verdict(Ended("revoked"), NOW), 30_000)
    assert promises.now("ann", newer).ago == 1000


@virtual
async def test_an_outage_of_all_clients_fills_no_memory() -> None:
    """Beyond MAX_ENTRIES the oldest go."""
    promises = Promises(Ledger(), Standstill(), LoopClock())  # type: ignore[arg-type]
    for index in range(MAX_ENTRIES + 1):
        promises.make(f"u{index}", TOKEN, _now())
    await asyncio.sleep(1)
    assert [promises.now(user, TOKEN).ago for user in ("u0", "u1")] == [0, 1000]


@virtual
async def test_a_promise_made_while_another_is_told_is_told_too() -> None:
    """given a newer token of the family while the ledger writes the older one's, then both are told."""
    ledger = Ledger()
    async with _running(ledger) as promises:
        keep = ledger.keep

        async def slow(user: str, presented: Presented) -> bool:
            with suppress(StopIteration):
                promises.make(user, replace(TOKEN, generation=next(generations)), _now())
            return await keep(user, presented)

        generations = iter([2])
        ledger.keep = slow  # type: ignore[method-assign]
        promises.make("ann", TOKEN, _now())
        await asyncio.sleep(3 * PATIENCE)
    assert [presented.generation for _, presented in ledger.told] == [1, 2]
