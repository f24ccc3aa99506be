"""Whether an upstream is to be left alone for a while.

The one idea: open is a time, the one at which the next call may go and see. That call is the probe (half-open): while
it is out, the time lies `open_for` ahead, so there is one probe at a time, and one that is never heard of is followed
by another. A success closes the breaker, a failure keeps it open, and a call that never reached the upstream makes room
for the next probe. Pure: `now` is an argument and never goes back.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Literal

Verdict = Literal["success", "failure", "unknown"]
"""What a call tells of its upstream; `unknown` when it did not get there, or its client left."""


@dataclass(frozen=True, slots=True)
class Admitted:
    """The call may go, and has to be settled. `period` is the stretch of open or closed that it belongs to."""

    period: int


@dataclass(frozen=True, slots=True)
class Refused:
    """The breaker is open, for `seconds` at least."""

    seconds: float


class Breaker:
    """Opens after `failures` within `window` seconds, and lets a probe through every `open_for` seconds."""

    __slots__ = ("_failures", "_open_for", "_period", "_probe_at", "_window")

    def __init__(self, failures: int, window: float, open_for: float) -> None:
        self._failures: deque[float] = deque(maxlen=failures)
        self._window = window
        self._open_for = open_for
        self._period = 0
        self._probe_at: float | None = None

    @property
    def open(self) -> bool:
        """Whether it is open or half-open."""
        return self._probe_at is not None

    def remaining(self, now: float) -> float:
        """Return the seconds until a call is let through, 0 when one is now."""
        return 0.0 if self._probe_at is None else max(0.0, self._probe_at - now)

    def admit(self, now: float) -> Admitted | Refused:
        """Let a call through, or not."""
        wait = self.remaining(now)
        if wait:
            return Refused(wait)
        if self._probe_at is not None:
            self._probe_at = now + self._open_for
        return Admitted(self._period)

    def holds(self, admitted: Admitted) -> bool:
        """Whether an admitted call may still go: it has not opened since."""
        return self._probe_at is None or admitted.period == self._period

    def settle(self, now: float, admitted: Admitted, verdict: Verdict) -> None:
        """Take note of how an admitted call ended; what was admitted before the last change tells nothing new."""
        if admitted.period != self._period:
            return
        if self._probe_at is not None:
            self._probed(now, verdict)
        elif verdict == "failure":
            self._failures.append(now)
            if len(self._failures) == self._failures.maxlen and self._failures[0] > now - self._window:
                self._change(now + self._open_for)

    def _probed(self, now: float, verdict: Verdict) -> None:
        if verdict == "success":
            self._change(None)
        else:
            self._probe_at = now + self._open_for if verdict == "failure" else now

    def _change(self, probe_at: float | None) -> None:
        self._probe_at = probe_at
        self._period += 1
        self._failures.clear()
