"""Keeps wrong credentials from being tried so often that WHMCS bans the gateway's address.

The one idea: as long as it is not known that the credentials are good, no more calls are out than may fail. The first
that is accepted lets everybody through; the last that may fail opens a pause, after which one call at a time goes and
sees. Pure: `now` is an argument and never goes back. Source: WHMCS, "Security tab": three failures ban an address, for
fifteen minutes, unless configured otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

ALLOWED: Final = 2
"""Failures in a row before the pause."""
PAUSE: Final = 900.0
"""Seconds; the length of a ban."""

Verdict = Literal["accepted", "wrong", "unknown"]
"""What an answer says of the credentials."""


@dataclass(frozen=True, slots=True)
class Admitted:
    """The call may go, and has to be settled. `credentials` and `failure` number what was known when it went."""

    credentials: int
    failure: int
    counted: bool


@dataclass(frozen=True, slots=True)
class Wait:
    """As many calls are out as may fail: ask again when one has been settled."""


@dataclass(frozen=True, slots=True)
class Refused:
    """The pause goes on, for `seconds`."""

    seconds: float


class Guard:
    """Of the credentials for one upstream."""

    __slots__ = ("_credentials", "_failure", "_in_a_row", "_out", "_proven", "_until")

    def __init__(self) -> None:
        self._credentials = 0
        self._failure = 0
        self.renew()

    def renew(self) -> None:
        """Forget what is known: there are other credentials."""
        self._credentials += 1
        self._proven = False
        self._in_a_row = 0
        self._out = 0
        self._until: float | None = None

    def admit(self, now: float) -> Admitted | Wait | Refused:
        """Let a call through, or not."""
        if self._until is not None and now < self._until:
            return Refused(self._until - now)
        if not self._proven and self._out >= max(1, ALLOWED - self._in_a_row):
            return Wait()
        counted = not self._proven
        self._out += counted
        return Admitted(self._credentials, self._failure, counted)

    def settle(self, now: float, admitted: Admitted, verdict: Verdict) -> bool:
        """Take note of how an admitted call ended; return whether that opened a pause."""
        if admitted.credentials != self._credentials:
            return False
        self._out -= admitted.counted
        if verdict == "wrong":
            return self._wrong(now)
        if verdict == "accepted" and admitted.failure == self._failure:
            self._proven, self._in_a_row, self._until = True, 0, None
        return False

    def _wrong(self, now: float) -> bool:
        self._failure += 1
        self._in_a_row += 1
        self._proven = False
        if self._in_a_row < ALLOWED:
            return False
        paused = self._until is not None and now < self._until
        self._until = now + PAUSE
        return not paused
