"""Whether maintenance is on, and what is said then.

The one idea: one function has the say, and its result is closed: `On`, with all that an answer needs, or `Off`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from gateway.maintenance.settings import MaintenanceSettings


@dataclass(frozen=True, slots=True)
class On:
    """Maintenance is on. `message` is for the client, `retry_after` in seconds."""

    message: str
    retry_after: float


@dataclass(frozen=True, slots=True)
class Off:
    """Maintenance is off."""


State: TypeAlias = On | Off


def state(settings: MaintenanceSettings) -> State:
    """Return whether the configuration switches maintenance on."""
    if not settings.enabled:
        return Off()
    return On(settings.message, settings.retry_after)
