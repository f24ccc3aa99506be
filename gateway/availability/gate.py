"""The verdict on Redis, and what it takes to change it.

The one idea: hysteresis. One lost answer among good ones changes nothing, and neither does one good answer during an
outage; only so many equal answers in a row do. Before the first answer nothing is known and Redis counts as away, and
that first answer decides alone, so that neither a start nor strict mode waits for a series.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class BecameAvailable:
    """Redis answers again, or for the first time. `away_seconds` since the first answer that was missed (or 0)."""

    away_seconds: float


@dataclass(frozen=True, slots=True)
class BecameUnavailable:
    """Redis does not answer. `reason` is the kind of the failure that decided."""

    reason: str


Change: TypeAlias = BecameAvailable | BecameUnavailable


class Gate:
    """Counts answers; `now` is monotonic seconds.

    Attributes:
        available: the verdict.
    """

    def __init__(self, failures: int, successes: int) -> None:
        self.available = False
        self._failures = failures
        self._successes = successes
        self._known = False
        self._against = 0
        self._lost_at: float | None = None

    @property
    def undecided(self) -> bool:
        """Whether nothing is known yet, or some answers spoke against the verdict, but not enough."""
        return not self._known or self._against > 0

    def succeeded(self, now: float) -> Change | None:
        """Count an answer; return the change of the verdict it makes."""
        if self.available:
            self._against = 0
            self._lost_at = None
            return None
        if not self._turns(self._successes):
            return None
        away = 0.0 if self._lost_at is None else now - self._lost_at
        self._lost_at = None
        return BecameAvailable(away)

    def failed(self, now: float, kind: str) -> Change | None:
        """Count a failure; return the change of the verdict it makes."""
        if self._lost_at is None:
            self._lost_at = now
        if self._known and not self.available:
            self._against = 0
            return None
        if not self._turns(self._failures, to=False):
            return None
        return BecameUnavailable(kind)

    def _turns(self, needed: int, *, to: bool = True) -> bool:
        """Count one answer against the verdict; turn it when they are enough, or when it is the first one ever."""
        self._against += 1
        if self._known and self._against < needed:
            return False
        self.available, self._known, self._against = to, True, 0
        return True
