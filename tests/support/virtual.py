"""Virtual time: an event loop whose clock jumps to the next timer as soon as nothing is ready.

The one idea: `asyncio.sleep`, `asyncio.timeout` and every library on the loop run unchanged, an hour takes
milliseconds, and the order of events is the same on every machine. Not for tests with sockets.
"""

from __future__ import annotations

import asyncio
import functools
import selectors
from collections.abc import Awaitable, Callable
from typing import Any


class _JumpingSelector(selectors.SelectSelector):
    """A selector that never waits: it moves the loop's clock instead."""

    loop: VirtualLoop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready and timeout is None:
            raise RuntimeError("nothing is ready and no timer is set: the test would wait for ever")
        if not ready and timeout:
            self.loop.now += max(timeout, 1e-6)  # more than the clock's rounding, or a timer just due would spin
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop in virtual time, starting at 1000 s."""

    def __init__(self) -> None:
        self.now = 1000.0
        selector = _JumpingSelector()
        selector.loop = self
        super().__init__(selector)

    def time(self) -> float:
        return self.now


class LoopClock:
    """A `gateway.clock.Clock` that reads the running loop, for tests in virtual time."""

    def __init__(self, epoch: float = 1_800_000_000.0) -> None:
        self.epoch = epoch

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time()

    def wall(self) -> float:
        return self.epoch + asyncio.get_running_loop().time()


def virtual(test: Callable[..., Awaitable[None]]) -> Callable[..., None]:
    """Make a coroutine function a plain test that runs on a `VirtualLoop`."""

    @functools.wraps(test)
    def run(*args: Any, **kwargs: Any) -> None:
        async def main() -> None:
            await test(*args, **kwargs)

        with asyncio.Runner(loop_factory=VirtualLoop) as runner:
            runner.run(main())

    return run
