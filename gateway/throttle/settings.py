"""A policy: one YAML file an upstream."""

from __future__ import annotations

import ipaddress
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field

from gateway.settings import Address, PositiveDuration, Route, Settings, Unsuitable

Name = Annotated[
    str,
    Field(
        pattern=r"^[a-z][a-z0-9_]{0,31}$",
        description="a name of at most 32 small letters, digits and _, a letter first",
    ),
]
"""What labels metrics and log lines."""


HeaderName = Annotated[
    str,
    Field(pattern=r"^[!#$%&'*+.^_`|~0-9A-Za-z-]+$", description="the name of a header, such as X-Gateway-Tenant"),
]
"""The name of a header field (RFC 9110 section 5.6.2), in any case."""


class RateSettings(Settings):
    """No window of `per` seconds, wherever it starts, holds more than `cap` calls."""

    cap: Annotated[int, Field(ge=1)]
    per: PositiveDuration = 60.0
    guard: Annotated[PositiveDuration, Field(ge=0.001)] = 0.05
    """Added to `per`: how long a write may lag behind its permit. No less than it takes to wake a call."""


class PaceSettings(Settings):
    """A leaky bucket that smooths bursts: `cap` calls in `per` seconds."""

    cap: Annotated[float, Field(gt=0)]
    per: PositiveDuration = 1.0


class LaneMatch(Settings):
    """What a call must look like to take a lane: a path pattern, or a header with a value."""

    path: Route | None = None
    header: dict[str, str] | None = None


class LaneSettings(Settings):
    """A queue with its own concurrency and time limit; the last lane takes what no other matched."""

    name: Name
    match: tuple[LaneMatch, ...] = ()
    concurrency: Annotated[int, Field(ge=1)]
    timeout: PositiveDuration
    """From dispatch to the last byte of the answer's body."""


class QueueSettings(Settings):
    """How many calls may wait, and how long."""

    max_depth: Annotated[int, Field(ge=0)] = 1000
    max_wait: PositiveDuration = 120.0
    priority_header: HeaderName = "X-Gateway-Priority"
    """Says `high`, `normal` or `low`; without it, or with anything else, a call is normal."""
    fair_by: HeaderName | None = None
    """Names the tenant; those that have calls waiting take turns."""


class LongCallSettings(Settings):
    """A budget for calls that run long: whatever lane they take, they leave the long lane less room."""

    limit: Annotated[int, Field(ge=1)]
    after: PositiveDuration
    """How long a call of another lane runs before it counts."""


def _loopback_address(value: str) -> str:
    host = value.rpartition(":")[0]
    try:
        loopback = host == "localhost" or ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        loopback = False
    if not loopback:
        raise Unsuitable("an egress listener must be on loopback, such as 127.0.0.1:9181")
    return value


def _base_url(value: str) -> str:
    if not value:
        return value
    try:
        parts = urlsplit(value)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # the brackets or the port
        usable = False
    if not usable or parts.query or parts.fragment:
        raise Unsuitable("a base URL is http(s)://HOST[:PORT][/PATH]")
    if parts.username is not None:
        raise Unsuitable("a base URL holds no credentials")
    return value.rstrip("/")


class PolicySettings(Settings):
    """The limits of one upstream."""

    upstream: Name
    listen: Annotated[Address, AfterValidator(_loopback_address)]
    base_url: Annotated[str, AfterValidator(_base_url)] = ""
    """Empty: the policy is off."""
    scope: Literal["fleet", "pod"] = "fleet"
    """Who shares the limits: every replica, through Redis, or this process alone."""
    replicas: Annotated[int, Field(ge=1)] = 1
    """The most that run at once, surge included: what each falls back to its share of while Redis is away."""
    rate: RateSettings
    pace: PaceSettings | None = None
    lanes: Annotated[tuple[LaneSettings, ...], Field(min_length=1)]
    queue: QueueSettings = QueueSettings()
    long_calls: LongCallSettings | None = None

    @property
    def long_lane(self) -> str:
        """Name of the lane that `long_calls` limits: that with the longest timeout, the first of equals."""
        return max(self.lanes, key=lambda lane: lane.timeout).name
