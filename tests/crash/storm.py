"""A storm: clients at work on a few gateways while somebody breaks things, and then calm.

The one idea: whatever is broken, the run has the same end. Everything is up again, every client has to get through,
every token that was ended is tried once more, and the checker judges the whole history.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from contextlib import AsyncExitStack
from itertools import cycle
from pathlib import Path
from typing import Any, Final

from tests.crash.checker import Checker, at_once
from tests.crash.customer import Customer
from tests.crash.fleet import Fleet
from tests.crash.history import History
from tests.crash.portal import ISSUE, Scene
from tests.crash.sleepers import Leaver, Session, Sleeper

COME_BACK: Final = 30.0
"""Seconds within which every client has to get through once all is well."""

Trouble = Callable[[Fleet, History, random.Random, asyncio.Event], Coroutine[Any, Any, None]]
"""Breaks things, and mends them, until the event is set."""


async def storm(
    folder: Path,
    redis_url: str,
    trouble: Trouble,
    *,
    seconds: float,
    strict: bool = True,
    scene: Scene = ISSUE,
    asleep: Sequence[Session] = (),
    seed: int = 1,
) -> History:
    """Run a storm and return its history, which is left in the folder as `history.jsonl` too.

    Half of the clients who are `asleep` refresh when it is over, the others end all their sessions then.

    Raises:
        AssertionError: with what the checker found.
        TimeoutError: when a client did not get through although all was well again.
    """
    history, rng = History(), random.Random(seed)
    async with AsyncExitStack() as stack:
        backend = await stack.enter_async_context(scene.backend())
        config = scene.configured(backend.url, redis_url, strict=strict)
        fleet = await stack.enter_async_context(Fleet(folder, config, scene.gateways, scene.module))
        await fleet.ready()
        customers = _customers(scene, asleep, fleet, history, seed)
        try:
            calm = await _blow(customers, lambda ending: trouble(fleet, history, rng, ending), seconds)
            async with asyncio.timeout(COME_BACK):
                await asyncio.gather(*(customer.come_back() for customer in customers))
                await asyncio.gather(*(customer.reckon() for customer in customers))
        finally:
            for customer in customers:
                customer.close()
            history.audited, history.forwards = fleet.audited(), getattr(backend, "forwards", [])
            history.split = fleet.adopted() if history.forwards else frozenset()
            history.save(folder / "history.jsonl")
    _judge(history, Checker(history.losses, scene.habits.fate, strict, calm, history.split), folder)
    return history


def _customers(scene: Scene, asleep: Sequence[Session], fleet: Fleet, history: History, seed: int) -> list[Customer]:
    awake = [
        Customer(f"u-{number // 2}", fleet.ports, history, f"{seed}-{number}", scene.habits)
        for number in range(scene.clients)
    ]
    kinds = cycle((Sleeper, Leaver))
    return awake + [kind(session, fleet.ports, history) for session, kind in zip(asleep, kinds, strict=False)]


async def _blow(
    customers: Sequence[Customer], trouble: Callable[[asyncio.Event], Coroutine[Any, Any, None]], seconds: float
) -> float:
    """Let clients live for a while in trouble; return since when (monotonic s) it is over and mended."""
    over, ending = asyncio.Event(), asyncio.Event()
    async with asyncio.TaskGroup() as group:
        for customer in customers:
            group.create_task(customer.live(over))
        breaking = group.create_task(trouble(ending))
        await asyncio.sleep(seconds)
        ending.set()
        await breaking
        over.set()
    return time.monotonic()


def _judge(history: History, checker: Checker, folder: Path) -> None:
    found = checker.check(history.events)
    assert not found, f"{Counter(each.kind for each in found)} in {folder / 'history.jsonl'}; the first: {found[0]}"
    assert at_once(history.forwards) == []
