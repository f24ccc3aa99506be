"""What the Salesforce room reports."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from gateway.events import Event

Reason = Literal["initial", "renewal", "expired"]
"""Why the gateway logs in: it has had no session yet; the one it has is due; the vendor has ended it."""
Result = Literal["ok", "failed", "timeout"]


@dataclass(frozen=True, slots=True)
class LoginFinished(Event):
    """The gateway's own login came to an end after `seconds`."""

    upstream: str
    reason: Reason
    result: Result
    seconds: float
    problem: str = ""
    """Why it failed; empty when it did not."""
    pause: float = 0.0
    """Seconds in which no further login is tried."""


@dataclass(frozen=True, slots=True)
class ClientLoginTimedOut(Event):
    """A login that a client made through the gateway took longer than `seconds`."""

    upstream: str
    seconds: float


@dataclass(frozen=True, slots=True)
class SessionExpired(Event):
    """The vendor does not accept the session any more; told once a session."""

    upstream: str


@dataclass(frozen=True, slots=True)
class UsageSeen(Event):
    """The vendor told how much of the daily limit is used."""

    upstream: str
    ratio: float


@dataclass(frozen=True, slots=True)
class UsageLevelChanged(Event):
    """The share of the daily limit rose above, or fell below, what the policy warns or stops at."""

    upstream: str
    level: Literal["ok", "warn", "stop"]
    ratio: float


@dataclass(frozen=True, slots=True)
class ConcurrencyLimited(Event):
    """The vendor has too many long calls; nothing is sent for `pause` seconds."""

    upstream: str
    pause: float
