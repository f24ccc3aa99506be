"""How many retries an upstream gets: a share of its calls, so that retries cannot multiply the load of an outage.

The one idea: of the last minute, retries are at most `share` of the calls, or `FLOOR` where that is more, so that a
quiet upstream may be retried at all. Counted by the second, so an entry stays up to one second longer than a minute.
Pure: `now` is an argument and never goes back.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from math import floor
from typing import Final

WINDOW: Final = 60
"""Whole seconds."""
FLOOR: Final = 3
"""Retries a window, however few calls there are."""


@dataclass(slots=True)
class _Second:
    number: int
    calls: int = 0
    retries: int = 0


class Budget:
    """The calls and retries of the last `WINDOW` seconds."""

    __slots__ = ("_calls", "_retries", "_seconds", "_share")

    def __init__(self, share: float) -> None:
        self._share = share
        self._seconds: deque[_Second] = deque()
        self._calls = 0
        self._retries = 0

    def deposit(self, now: float) -> None:
        """Count a call; its retries are not calls."""
        self._second(now).calls += 1
        self._calls += 1

    def withdraw(self, now: float) -> bool:
        """Count a retry, if there is room for one."""
        second = self._second(now)
        if self._retries >= max(FLOOR, floor(self._share * self._calls)):
            return False
        second.retries += 1
        self._retries += 1
        return True

    def _second(self, now: float) -> _Second:
        """Return the current entry, after those that count no more have been dropped."""
        number = floor(now)
        while self._seconds and self._seconds[0].number < number - WINDOW:
            old = self._seconds.popleft()
            self._calls -= old.calls
            self._retries -= old.retries
        if not self._seconds or self._seconds[-1].number != number:
            self._seconds.append(_Second(number))
        return self._seconds[-1]
