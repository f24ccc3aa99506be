"""What the edges report."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.events import Event


@dataclass(frozen=True, slots=True)
class UpstreamResponded(Event):
    """An upstream (`backend`, or a policy's name) sent a final header section."""

    upstream: str
    status: int


@dataclass(frozen=True, slots=True)
class UpstreamFailed(Event):
    """An upstream did not answer. `reason`: `connect|timeout|protocol|disconnect|tls|dns`."""

    upstream: str
    reason: str
