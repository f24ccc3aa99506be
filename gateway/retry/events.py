"""What the retry room reports."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.events import Event


@dataclass(frozen=True, slots=True)
class Retried(Event):
    """A call is made again. `reason`: the status of the answer that is given up, `unreachable` or `disconnect`."""

    upstream: str
    reason: str


@dataclass(frozen=True, slots=True)
class BreakerRefused(Event):
    """A call was answered by the open breaker."""

    upstream: str
    lane: str


@dataclass(frozen=True, slots=True)
class BreakerChanged(Event):
    """A breaker opened or closed."""

    upstream: str
    open: bool
