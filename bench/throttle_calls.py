"""A process that `bench.throttle` measures: queued calls that do nothing, by one kind of queue.

`gateway` is the throttle as the product runs it. `plain` is the same with Python's own settings of the garbage
collector; `semaphore` is what a program does without a throttle; `tasks` is what the callers cost whatever they wait
for. Prints the µs of CPU a call; `memory` prints the bytes that a waiting call takes beyond its task and its future.
"""

from __future__ import annotations

import asyncio
import gc
import json
import statistics
import sys
import time
import tracemalloc
from collections.abc import Awaitable, Callable
from typing import Any, Final

import uvloop
from aiolimiter import AsyncLimiter

from gateway.cli.run import COLLECTOR
from gateway.throttle.call import Call
from gateway.throttle.settings import PolicySettings
from gateway.throttle.throttler import Throttle

CONCURRENCY: Final = 15
PLENTY: Final = 10_000_000
"""Of slots and of room in line: what is measured is the queue, not a limit."""


class Throttled:
    """Calls of the gateway's throttle."""

    def __init__(self) -> None:
        lane = {"name": "default", "concurrency": CONCURRENCY, "timeout": "30s"}
        self._throttle = Throttle(
            PolicySettings.model_validate(
                {
                    "upstream": "bench",
                    "listen": "127.0.0.1:0",
                    "rate": {"cap": PLENTY, "per": "60s"},
                    "lanes": [lane],
                    "queue": {"max_depth": PLENTY},
                }
            )
        )
        self._held: list[Call] = []

    async def hold(self) -> None:
        """Take all permits, so that whatever comes has to wait."""
        self._held = [await self._throttle.enter("default") for _ in range(CONCURRENCY)]

    def release(self) -> None:
        """Give them back."""
        for call in self._held:
            self._throttle.leave(call, "ok")

    async def call(self) -> None:
        """Make a call that does nothing."""
        call = await self._throttle.enter("default")
        await self._throttle.dispatch(call)
        self._throttle.leave(call, "ok")


class Semaphore:
    """Calls behind a semaphore and a leaky bucket."""

    def __init__(self) -> None:
        self._semaphore = asyncio.Semaphore(CONCURRENCY)
        self._limiter = AsyncLimiter(PLENTY, 60.0)

    async def hold(self) -> None:
        for _ in range(CONCURRENCY):
            await self._semaphore.acquire()

    def release(self) -> None:
        for _ in range(CONCURRENCY):
            self._semaphore.release()

    async def call(self) -> None:
        async with self._semaphore, self._limiter:
            pass


class Tasks:
    """Tasks that wait for a future each."""

    def __init__(self) -> None:
        self._waiters: list[asyncio.Future[None]] = []

    async def hold(self) -> None:
        self._waiters = []

    def release(self) -> None:
        for waiter in self._waiters:
            waiter.set_result(None)

    async def call(self) -> None:
        waiter = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        await waiter


FORMS: Final[dict[str, Callable[[], Any]]] = {
    "gateway": Throttled,
    "plain": Throttled,
    "semaphore": Semaphore,
    "tasks": Tasks,
}


async def cost(queue: Any, waiting: int) -> float:
    """Return the µs of CPU a call, with so many in line, as often as it takes to time it."""
    costs = []
    for _ in range(max(2, 20_000 // waiting)):
        began = time.process_time()
        await _through(queue, waiting)
        costs.append((time.process_time() - began) / waiting * 1e6)
    return statistics.median(costs)


async def memory(waiting: int) -> float:
    """Return the bytes a waiting call, less those of the same number of bare tasks."""
    sizes: list[int] = []

    async def measure() -> None:
        sizes.append(tracemalloc.get_traced_memory()[0])

    for queue in (Throttled(), Tasks()):
        tracemalloc.start()
        await _through(queue, waiting, measure)
        tracemalloc.stop()
    return (sizes[0] - sizes[1]) / waiting


async def _through(queue: Any, waiting: int, meanwhile: Callable[[], Awaitable[None]] | None = None) -> None:
    await queue.hold()
    loop = asyncio.get_running_loop()
    tasks = [loop.create_task(queue.call()) for _ in range(waiting)]
    await asyncio.sleep(0)
    if meanwhile is not None:
        await meanwhile()
    queue.release()
    await asyncio.wait(tasks)


async def main(form: str, waiting: int) -> float:
    """Measure one form."""
    if form == "memory":
        return await memory(waiting)
    if form == "gateway":
        gc.set_threshold(*COLLECTOR)
    queue = FORMS[form]()
    gc.collect()
    gc.freeze()
    return await cost(queue, waiting)


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        print(json.dumps(runner.run(main(sys.argv[1], int(sys.argv[2])))))
