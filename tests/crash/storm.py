"""A storm: clients at work on three gateways while somebody breaks things, and then calm.

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

from tests.crash.checker import Checker
from tests.crash.customer import FATE, Customer, Habits
from tests.crash.fleet import Fleet
from tests.crash.history import History
from tests.crash.portal import configured
from tests.crash.sleepers import Leaver, Session, Sleeper
from tests.support.backend import running_backend

GATEWAYS: Final = 3
CLIENTS: Final = 50
COME_BACK: Final = 30.0
"""Seconds within which every client has to get through once all is well."""

_USUAL: Final = Habits()

Trouble = Callable[[Fleet, History, random.Random, asyncio.Event], Coroutine[Any, Any, None]]
"""Breaks things, and mends them, until the event is set."""


async def storm(
    folder: Path,
    redis_url: str,
    trouble: Trouble,
    *,
    seconds: float,
    strict: bool = True,
    habits: Habits = _USUAL,
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
    calm = 0.0
    async with AsyncExitStack() as stack:
        backend = await stack.enter_async_context(running_backend())
        config = configured(backend.url, redis_url, strict=strict)
        fleet = await stack.enter_async_context(Fleet(folder, config, GATEWAYS))
        await fleet.ready()
        customers = [
            Customer(f"u-{number // 2}", fleet.ports, history, f"{seed}-{number}", habits) for number in range(CLIENTS)
        ]
        kinds = cycle((Sleeper, Leaver))
        customers += [kind(session, fleet.ports, history) for session, kind in zip(asleep, kinds, strict=False)]
        over = asyncio.Event()
        try:
            async with asyncio.TaskGroup() as group:
                for customer in customers:
                    group.create_task(customer.live(over))
                ending = asyncio.Event()
                breaking = group.create_task(trouble(fleet, history, rng, ending))
                await asyncio.sleep(seconds)
                ending.set()
                await breaking
                over.set()
            calm = time.monotonic()
            async with asyncio.timeout(COME_BACK):
                await asyncio.gather(*(customer.come_back() for customer in customers))
                await asyncio.gather(*(customer.reckon() for customer in customers))
        finally:
            for customer in customers:
                customer.close()
            history.audited = fleet.audited()
            history.save(folder / "history.jsonl")
    found = Checker(history.losses, FATE, strict, calm).check(history.events)
    kinds = dict(Counter(violation.kind for violation in found))
    assert not found, f"{kinds} in {folder / 'history.jsonl'}; the first: {found[0]}"
    return history
