"""Asks Redis at an interval whether it is there, and keeps the gate's verdict.

The one idea: an answer that speaks against the verdict makes the next question come sooner, so an outage is noticed
within two seconds and its end within three although a single answer never decides.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Final

from gateway.availability.events import RedisAvailable, RedisUnavailable
from gateway.availability.gate import BecameAvailable, BecameUnavailable, Change, Gate
from gateway.clock import SYSTEM, Clock
from gateway.errors import StoreUnavailable
from gateway.events import Emit
from gateway.redis_client.settings import ProbeSettings

SOONER: Final = 4
"""An undecided gate is asked for so many times an interval."""
_SAYS_NOTHING: Final = frozenset({"away", "other"})
"""Kinds of a command's failure that do not count: it was not sent, or Redis answered it with an error of its own."""


class Probe:
    """Writes the gate.

    Args:
        ping: raises `StoreUnavailable` when Redis is not there; bounded by itself.
        gate: the verdict, read by whoever asks `gate.available`.
        settings: the interval between two questions.
        emit: told about each change of the verdict.
        clock: measures the interval and how long Redis was away.
    """

    def __init__(
        self,
        ping: Callable[[], Awaitable[None]],
        gate: Gate,
        settings: ProbeSettings,
        emit: Emit,
        clock: Clock = SYSTEM,
    ) -> None:
        self._ping = ping
        self._gate = gate
        self._interval = settings.interval
        self._emit = emit
        self._clock = clock
        self._wake = asyncio.Event()

    async def run(self) -> None:
        """Ask for ever: at the interval, counted from question to question, and sooner while undecided."""
        while True:
            started = self._clock.monotonic()
            await self.ask()
            await self._pause(started)

    async def ask(self) -> None:
        """Ask once, such as before the first request is served, so that the verdict is known by then."""
        try:
            await self._ping()
        except StoreUnavailable as error:
            self._tell(self._gate.failed(self._clock.monotonic(), error.kind), str(error))
        else:
            self._tell(self._gate.succeeded(self._clock.monotonic()))

    def command_result(self, kind: str | None) -> None:
        """Learn how a command ended, as the client's `on_result`: None for an answer, else the kind of failure."""
        if kind is None:
            self._tell(self._gate.succeeded(self._clock.monotonic()))
        elif kind not in _SAYS_NOTHING:
            self._tell(self._gate.failed(self._clock.monotonic(), kind))
            self._wake.set()

    async def _pause(self, started: float) -> None:
        while (left := started + self._spacing() - self._clock.monotonic()) > 0:
            self._wake.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(left):
                    await self._wake.wait()

    def _spacing(self) -> float:
        return self._interval / SOONER if self._gate.undecided else self._interval

    def _tell(self, change: Change | None, detail: str = "") -> None:
        match change:
            case BecameAvailable(away_seconds):
                self._emit(RedisAvailable(away_seconds))
            case BecameUnavailable(reason):
                self._emit(RedisUnavailable(reason, detail))
