"""Start, drain, stop: the only place with a TaskGroup and with signal handlers.

The one idea: SIGTERM is a promise to finish. The gateway says first that it is not ready and goes on accepting, because
the load balancer learns of it late; then it finishes what is in flight; then it ends with 0. SIGINT skips the waiting,
a second signal skips the finishing.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol

import structlog

from gateway.clock import SYSTEM, Clock

LAST_ANSWERS_SECONDS = 1.0
"""After the time is up: how long the 503 of calls that were still queued may take to be written."""

log = structlog.stdlib.get_logger("gateway.lifecycle")


class Listening(Protocol):
    """A listener, as the lifecycle sees it."""

    async def start(self, address: str) -> str: ...

    def begin_drain(self) -> None: ...

    async def close(self, timeout: float) -> None: ...


@dataclass(frozen=True, slots=True)
class Door:
    """A listener and where it is to be bound."""

    name: str
    listener: Listening
    address: str


class Readiness(Protocol):
    """What the lifecycle tells the probes."""

    started: bool
    draining: bool


@dataclass(frozen=True, slots=True)
class Parts:
    """Everything that is started and stopped."""

    ingress: Door
    egress: Sequence[Door]
    admin: Door
    background: Sequence[Callable[[], Coroutine[Any, Any, None]]]
    """Runs for as long as the gateway does; one that fails ends it."""
    health: Readiness
    on_draining: Callable[[], None]
    release_queues: Callable[[], None]
    """Ends every call that waits for a permit, with 503."""
    wait: float
    timeout: float


class Signals:
    """SIGTERM and SIGINT as things to wait for, SIGHUP as a call.

    Attributes:
        on_hangup: called at each SIGHUP.
    """

    def __init__(self) -> None:
        self.first: signal.Signals | None = None
        self.on_hangup: Callable[[], None] = lambda: None
        self._stop = asyncio.Event()
        self._hurry = asyncio.Event()

    def install(self) -> None:
        """Take the process's signals."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.receive, number)
        loop.add_signal_handler(signal.SIGHUP, lambda: self.on_hangup())

    def remove(self) -> None:
        """Give them back."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            loop.remove_signal_handler(number)

    def receive(self, number: signal.Signals) -> None:
        """Note a signal: the first one stops, the second one hurries."""
        if self.first is None:
            self.first = number
            self._stop.set()
        else:
            self._hurry.set()

    async def stopped(self) -> None:
        """Return at the first signal."""
        await self._stop.wait()

    async def hurried(self, seconds: float) -> bool:
        """Wait so long, or until a second signal; tells whether it came."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._hurry.wait()
        return self._hurry.is_set()


async def run(parts: Parts, signals: Signals, on_ready: Callable[[], None], clock: Clock = SYSTEM) -> None:
    """Bind every door, serve until the first signal, drain.

    Raises:
        StartError: when a door cannot be bound; nothing stays bound then.
    """
    bound: list[Door] = []
    try:
        for door in (parts.admin, *parts.egress, parts.ingress):
            address = await door.listener.start(door.address)
            bound.append(door)
            log.info("Listening", name=door.name, address=address)
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(work()) for work in parts.background]
            parts.health.started = True
            log.info("Ready")
            on_ready()
            await signals.stopped()
            await _drain(parts, signals, clock)
            for task in tasks:
                task.cancel()
    finally:
        for door in bound:
            await door.listener.close(0)
    log.info("Stopped")


async def _drain(parts: Parts, signals: Signals, clock: Clock) -> None:
    parts.health.draining = True
    parts.on_draining()
    parts.ingress.listener.begin_drain()
    wait = 0.0 if signals.first is signal.SIGINT else parts.wait
    log.info("Draining", signal=signals.first.name if signals.first else None, wait=wait, timeout=parts.timeout)
    hurried = bool(wait) and await signals.hurried(wait)
    deadline = clock.monotonic() + (0.0 if hurried else parts.timeout)
    async with asyncio.TaskGroup() as group:
        finishing = group.create_task(_finish(parts, deadline, clock))
        hurry = group.create_task(signals.hurried(parts.timeout + LAST_ANSWERS_SECONDS))
        await asyncio.wait({finishing, hurry}, return_when=asyncio.FIRST_COMPLETED)
        finishing.cancel()
        hurry.cancel()


async def _finish(parts: Parts, deadline: float, clock: Clock) -> None:
    """Let clients' requests finish before the egress closes, since they may still need a vendor's answer."""
    async with asyncio.TaskGroup() as group:
        releasing = group.create_task(_release_at(parts, deadline, clock))
        await parts.ingress.listener.close(max(0.0, deadline - clock.monotonic()))
        for door in parts.egress:
            door.listener.begin_drain()
        for door in parts.egress:
            remaining = max(0.0, deadline - clock.monotonic())
            await door.listener.close(remaining + LAST_ANSWERS_SECONDS)
        releasing.cancel()


async def _release_at(parts: Parts, deadline: float, clock: Clock) -> None:
    await asyncio.sleep(max(0.0, deadline - clock.monotonic()))
    parts.release_queues()
