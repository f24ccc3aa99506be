"""Schedules, policies, a vendor that records what reaches it, and bodies, for the tests of the throttle."""

from __future__ import annotations

import asyncio
from bisect import bisect_left
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from gateway.events import Event
from gateway.exchange import Body, Buffered, Exchange, Reply
from gateway.throttle.events import CallDispatched, CallFinished, SharingChanged
from gateway.throttle.layer import ThrottleLayer
from gateway.throttle.pace import Pace
from gateway.throttle.schedule import Schedule
from gateway.throttle.settings import PolicySettings
from gateway.throttle.window import Window
from tests.support.virtual import LoopClock

GUARD = 0.25
"""Of `schedule`: a multiple of a power of two, so that sums are exact."""


def schedule(
    cap: int = 300, per: float = 60.0, depth: int = 1000, wait: float = 120.0, pace: Pace | None = None, **lanes: int
) -> Schedule:
    """A pure schedule; `lanes` are names with their concurrency."""
    return Schedule(lanes or {"default": 15}, Window(cap, per, GUARD), max_depth=depth, max_wait=wait, pace=pace)


def policy(
    cap: int = 300, per: str = "60s", *, concurrency: int = 15, timeout: str = "30s", **changes: Any
) -> PolicySettings:
    """A policy with the lane `default`, and `changes` in place of its other keys."""
    data: dict[str, Any] = {
        "upstream": "whmcs",
        "listen": "127.0.0.1:0",
        "rate": {"cap": cap, "per": per},
        "lanes": [{"name": "default", "concurrency": concurrency, "timeout": timeout}],
    }
    return PolicySettings.model_validate(data | changes)


class Recorder:
    """Listens to the throttle."""

    def __init__(self) -> None:
        self.waits: list[float] = []
        self.outcomes: list[str] = []
        self.degraded: list[bool] = []

    def __call__(self, event: Event) -> None:
        if isinstance(event, CallDispatched):
            self.waits.append(event.waited)
        elif isinstance(event, CallFinished):
            self.outcomes.append(event.outcome)
        elif isinstance(event, SharingChanged):
            self.degraded.append(event.degraded)


class Vendor:
    """The end of the road: connects, awaits `before_send`, answers after a while; knows when each write came."""

    def __init__(self, connect: float = 0.0, answer: float = 0.0) -> None:
        self.connect = connect
        self.answer = answer
        self.status = 200
        self.body: Callable[[], Body] = lambda: Buffered(b"answer")
        self.writes: list[float] = []
        self.targets: list[bytes] = []
        self.open = 0
        self.most = 0

    async def __call__(self, exchange: Exchange) -> Reply:
        self.open += 1
        self.most = max(self.most, self.open)
        try:
            await asyncio.sleep(self.connect)
            assert exchange.before_send is not None
            await exchange.before_send()
            self.writes.append(asyncio.get_running_loop().time())
            self.targets.append(exchange.target)
            await asyncio.sleep(self.answer)
            return Reply(self.status, body=self.body())
        finally:
            self.open -= 1


class Stream:
    """A body of chunks, each after a pause in seconds; an exception in the place of a chunk is raised."""

    length = None

    def __init__(self, *chunks: tuple[float, bytes | Exception]) -> None:
        self.chunks = chunks
        self.closed = 0

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for pause, chunk in self.chunks:
            await asyncio.sleep(pause)
            if isinstance(chunk, Exception):
                raise chunk
            yield chunk

    async def aclose(self) -> None:
        self.closed += 1


def layer(settings: PolicySettings, emit: Callable[[Event], None]) -> ThrottleLayer:
    """The layer on the running loop's clock; the lane is the last segment of the target, or `default`."""
    names = {lane.name for lane in settings.lanes}

    def lane_of(exchange: Exchange) -> str:
        name = exchange.target.rpartition(b"/")[2].decode()
        return name if name in names else "default"

    return ThrottleLayer(settings, lane_of=lane_of, emit=emit, clock=LoopClock())


async def call(
    through: ThrottleLayer, forward: Callable[[Exchange], Awaitable[Reply]], target: bytes = b"/", method: str = "GET"
) -> bytes:
    """Make a call and read its answer to the end."""
    reply = await through.handle(Exchange(method, target, []), forward)
    try:
        return b"".join([chunk async for chunk in reply.body])
    finally:
        await reply.body.aclose()


async def settle() -> None:
    """Let everything run that is ready, and what that makes ready; no time passes."""
    for _ in range(20):
        await asyncio.sleep(0)


def busiest(writes: list[float], per: float) -> int:
    """The most writes in any half-open window of `per`; the fullest window starts at a write."""
    writes = sorted(writes)
    return max((bisect_left(writes, start + per) - place for place, start in enumerate(writes)), default=0)


def idle(through: ThrottleLayer, used: int | None = None) -> bool:
    """Whether nothing waits and nothing is in flight; and with `used`, that many slots count."""
    now = through.throttle.snapshot()
    quiet = all(lane.depth == 0 and lane.in_flight == 0 for lane in now.lanes)
    return quiet and (used is None or round(now.used_ratio * now.cap) == used)


def now() -> float:
    """The running loop's time."""
    return asyncio.get_running_loop().time()


async def together(count: int, make: Callable[[], Awaitable[object]]) -> list[object]:
    """Start as many at once, and return their results or what they raised, in order."""
    return await asyncio.gather(*(make() for _ in range(count)), return_exceptions=True)
