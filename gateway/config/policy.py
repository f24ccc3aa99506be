"""The whole of a policy: what the rooms on the road to one upstream want to know of it."""

from __future__ import annotations

from typing import Final

from gateway.retry.settings import BreakerSettings, RetrySettings
from gateway.throttle.settings import PolicySettings

LIVE: Final = ("replicas", "rate", "pace", "lanes", "queue", "long_calls", "retry", "breaker", "annotate")
"""Keys of a policy that a reload puts in force; whatever else has changed waits for a restart."""


class Policy(PolicySettings):
    """`policies/NAME.yaml`: the limits of the throttle, and what follows from the upstream's failures."""

    retry: RetrySettings | None = None
    breaker: BreakerSettings | None = None
    annotate: bool = False
    """Whether answers tell where the time went (`Server-Timing`)."""
