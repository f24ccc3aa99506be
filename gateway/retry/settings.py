"""The keys `retry` and `breaker` of a policy."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from gateway.settings import PositiveDuration, Settings

Status = Annotated[int, Field(ge=400, le=599, description="a status from 400 to 599")]


class RetrySettings(Settings):
    """Which calls are made again, and how often; only what is idempotent and can be sent a second time."""

    max_attempts: Annotated[int, Field(ge=1)] = 2
    """In all, the first included."""
    statuses: tuple[Status, ...] = (429, 503)
    """Answers that are worth another attempt; a connection that failed always is."""
    budget: Annotated[float, Field(ge=0, le=1)] = 0.1
    """Retries as a share of the calls; see `gateway.retry.budget`."""


class BreakerSettings(Settings):
    """When an upstream is left alone: `failures` within `window` seconds, then for `open_for` seconds."""

    failures: Annotated[int, Field(ge=1)] = 10
    window: PositiveDuration = 30.0
    open_for: PositiveDuration = 15.0
