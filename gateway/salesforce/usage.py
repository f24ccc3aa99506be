"""Salesforce's own limits: the calls of a day, and the long calls at once.

The one idea: what the vendor says is a number (`Sforce-Limit-Info`) or a refusal, and the two refusals ask for opposite
things: the day's is over until calls of yesterday age out, so waiting seconds is useless; the other one passes as soon
as a long call ends. Source: Salesforce, "API Request Limits and Allocations".
"""

from __future__ import annotations

import re
from typing import Final, Literal

from gateway.salesforce.settings import DailySettings

Limit = Literal["daily", "concurrency"]
Level = Literal["ok", "warn", "stop"]

LOOK_SECONDS: Final = 300.0
"""While calls are stopped, one of them passes so often, since only an answer tells how far the usage has fallen."""

_USAGE: Final = re.compile(rb"(?:^|[;,\s])api-usage\s*=\s*(\d{1,18})\s*/\s*(\d{1,18})")
_EXCEEDED: Final = re.compile(rb"REQUEST_LIMIT_EXCEEDED")
_CONCURRENCY: Final = re.compile(rb"Concurrent\w*")
_FIRST_PAUSE: Final = 1.0
_LONGEST_PAUSE: Final = 30.0


def usage(value: bytes) -> float | None:
    """Return the share of the daily limit that a `Sforce-Limit-Info` tells, None when it tells none."""
    found = _USAGE.search(value)
    if found is None or int(found[2]) == 0:
        return None
    return int(found[1]) / int(found[2])


def limit_of(status: int, start: bytes) -> Limit | None:
    """Return the limit that an answer refuses a call for; `start` is the beginning of its content."""
    if status not in (403, 500) or _EXCEEDED.search(start) is None:
        return None
    return "concurrency" if _CONCURRENCY.search(start) else "daily"


class Daily:
    """The guard of the daily limit."""

    def __init__(self, settings: DailySettings) -> None:
        self._settings = settings
        self._ratio = 0.0
        self._looks_at = 0.0
        self.level: Level = "ok"

    def adapt(self, settings: DailySettings) -> None:
        """Put other settings in force."""
        self._settings = settings
        self.level = self._judge()

    def seen(self, now: float, ratio: float) -> bool:
        """Note what the vendor has told; return whether that is another level."""
        before = self.level
        self._ratio = ratio
        self._looks_at = now + LOOK_SECONDS
        self.level = self._judge()
        return self.level != before

    def _judge(self) -> Level:
        return "stop" if self._ratio >= self._settings.stop else "warn" if self._ratio >= self._settings.warn else "ok"

    def refuse(self, now: float, priority: str) -> float | None:
        """Return the seconds after which a call of this priority may be tried again, None: it passes now."""
        if self.level != "stop" or priority in self._settings.keep_for:
            return None
        if now >= self._looks_at:
            self._looks_at = now + LOOK_SECONDS  # this one looks
            return None
        return self._looks_at - now


class Backoff:
    """Pauses after refusals for concurrency, each twice as long as the one before until a call gets through."""

    def __init__(self) -> None:
        self._refusals = 0
        self._until = 0.0

    def refused(self, now: float, chance: float) -> float | None:
        """Return how many seconds to send nothing; None: that call was sent before the pause that lasts."""
        if now < self._until:
            return None
        pause = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2.0 ** min(self._refusals, 10)) * (0.5 + chance / 2)
        self._refusals += 1
        self._until = now + pause
        return pause

    def passed(self, now: float) -> None:
        """Note that a call was not refused."""
        if now >= self._until:
            self._refusals = 0
