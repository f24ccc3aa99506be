"""What the probes read: one small object that the lifecycle writes.

The one idea: Redis away does not make a pod unready. It is away for every pod at once, and a gateway that is taken out
of rotation cannot answer the 503 that clients understand.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

RedisState = Literal["available", "unavailable", "not used"]


@dataclass(slots=True)
class Health:
    """The state of the process: started once, draining at the end."""

    redis: Callable[[], RedisState]
    started: bool = False
    draining: bool = False

    @property
    def ready(self) -> bool:
        """Whether new requests should be sent here."""
        return self.started and not self.draining
