"""The limit on silence: a call after so many seconds without a byte either way.

The one idea: a byte only notes the time. The timer is set once, and looks at the note when it fires.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from gateway.clock import Clock


class IdleWatch:
    """Calls `expire` once, when `touch` was not called for `limit` seconds."""

    __slots__ = ("_clock", "_expire", "_limit", "_moved", "_timer")

    def __init__(self, limit: float, clock: Clock, expire: Callable[[], None]) -> None:
        self._limit = limit
        self._clock = clock
        self._expire = expire
        self._moved = clock.monotonic()
        self._timer = asyncio.get_running_loop().call_later(limit, self._check)

    def touch(self) -> None:
        """Note that a byte moved."""
        self._moved = self._clock.monotonic()

    def stop(self) -> None:
        """Watch no longer."""
        self._timer.cancel()

    def _check(self) -> None:
        left = self._moved + self._limit - self._clock.monotonic()
        if left > 0:
            self._timer = asyncio.get_running_loop().call_later(left, self._check)
        else:
            self._expire()
