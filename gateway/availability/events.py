"""What the availability room reports."""

from dataclasses import dataclass

from gateway.events import Event


@dataclass(frozen=True, slots=True)
class RedisAvailable(Event):
    """Redis answers again (or for the first time). `away_seconds` since it was lost."""

    away_seconds: float


@dataclass(frozen=True, slots=True)
class RedisUnavailable(Event):
    """Redis does not answer any more. `reason` is the kind of the last failure, `detail` what the probe was told."""

    reason: str
    detail: str = ""
