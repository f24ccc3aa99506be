"""A storm: clients at work on three gateways while somebody breaks things, and then calm.

The one idea: whatever is broken, the run has the same end. Everything is up again, every client has to get through,
every token that was ended is tried once more, and the checker judges the whole history.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.crash.checker import Checker, at_once
from tests.crash.customer import Customer, Habits
from tests.crash.fleet import Fleet
from tests.crash.history import History
from tests.crash.rotating import running_rotating
from tests.support.backend import running_backend

GATEWAYS: Final = 3
CLIENTS: Final = 50
COME_BACK: Final = 30.0
"""Seconds within which every client has to get through once all is well."""

_USUAL: Final = Habits()


@dataclass(frozen=True)
class Scene:
    """What stands there when a storm comes."""

    backend: Callable[[], AbstractAsyncContextManager[Any]]
    """Starts one; it has a `url`."""
    tokens: Mapping[str, Any]
    gateways: int = GATEWAYS
    clients: int = CLIENTS
    module: str = "gateway"
    """That a gateway is started from."""
    habits: Habits = _USUAL


ISSUE: Final = Scene(
    running_backend,
    {
        "keys": [{"kid": "main", "alg": "HS256", "secret": "hush-" + "k" * 40}],
        "routes": {"sessions": "/api/auth/sessions"},
    },
)
GUARD: Final = Scene(
    running_rotating,
    {"mode": "guard", "keys": [], "refresh_secret": "hush-" + "k" * 40},
    gateways=2,
    clients=40,
    module="tests.crash.hasty",
    habits=Habits(
        drop=0.01, end_all=0, tabs=0.4, fate=3.0
    ),  # an abandoned refresh may wait for a claim, and then be forwarded
)
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
    habits: Habits | None = None,
    seed: int = 1,
) -> History:
    """Run a storm and return its history, which is left in the folder as `history.jsonl` too.

    Raises:
        AssertionError: with what the checker found.
        TimeoutError: when a client did not get through although all was well again.
    """
    history, rng = History(), random.Random(seed)
    calm, habits = 0.0, habits or scene.habits
    async with AsyncExitStack() as stack:
        backend = await stack.enter_async_context(scene.backend())
        config = _config(backend.url, redis_url, {**scene.tokens, "enabled": True, "require_redis": strict})
        fleet = await stack.enter_async_context(Fleet(folder, config, scene.gateways, scene.module))
        await fleet.ready()
        customers = [
            Customer(f"u-{number // 2}", fleet.ports, history, f"{seed}-{number}", habits)
            for number in range(scene.clients)
        ]
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
        finally:
            for customer in customers:
                customer.close()
            history.forwards = getattr(backend, "forwards", [])
            history.save(folder / "history.jsonl")
    found = Checker(history.losses, habits.fate, strict, calm).check(history.events)
    kinds = dict(Counter(violation.kind for violation in found))
    assert not found, f"{kinds} in {folder / 'history.jsonl'}; the first: {found[0]}"
    assert at_once(history.forwards) == []
    return history


def _config(backend: str, redis_url: str, tokens: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    return {
        "ingress": {"backend": backend},
        "redis": {"url": redis_url, "probe": {"interval": "200ms"}},
        "tokens": tokens,
    }
