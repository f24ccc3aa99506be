"""The limit on silence, in virtual time."""

from __future__ import annotations

import asyncio

from gateway.wire.idle_watch import IdleWatch
from tests.support.virtual import LoopClock, virtual


@virtual
async def test_silence_is_told_once_when_the_limit_has_passed() -> None:
    """The call comes one limit after the last touch, and only once."""
    clock = LoopClock()
    started = clock.monotonic()
    told: list[float] = []
    watch = IdleWatch(10.0, clock, lambda: told.append(clock.monotonic() - started))
    for _ in range(3):
        await asyncio.sleep(7)
        watch.touch()
    await asyncio.sleep(100)
    assert told == [31.0]


@virtual
async def test_a_stopped_watch_says_nothing() -> None:
    """After `stop` no call comes."""
    told: list[None] = []
    watch = IdleWatch(10.0, LoopClock(), lambda: told.append(None))
    await asyncio.sleep(7)
    watch.touch()
    await asyncio.sleep(7)
    watch.stop()
    await asyncio.sleep(100)
    assert told == []
