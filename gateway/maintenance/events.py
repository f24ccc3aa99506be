"""What the maintenance room reports."""

from dataclasses import dataclass

from gateway.events import Event


@dataclass(frozen=True, slots=True)
class MaintenanceChanged(Event):
    """Maintenance was switched on or off (also at start, when it is on)."""

    active: bool


@dataclass(frozen=True, slots=True)
class MaintenanceAnswered(Event):
    """A request was answered with the maintenance message."""

    route: str
