"""What the throttle room reports."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from gateway.events import Event

Outcome = Literal["ok", "error", "timeout", "queue_full", "queue_timeout", "cancelled", "breaker_open"]


@dataclass(frozen=True, slots=True)
class CallDispatched(Event):
    """A call got its permit after `waited` seconds in the queue."""

    upstream: str
    lane: str
    waited: float


@dataclass(frozen=True, slots=True)
class SharingChanged(Event):
    """The fleet's books cannot be asked any more, or can be again."""

    upstream: str
    degraded: bool
    """Whether this replica lives on its share."""


@dataclass(frozen=True, slots=True)
class CallFinished(Event):
    """A call ended, with or without having been dispatched."""

    upstream: str
    lane: str
    outcome: Outcome
