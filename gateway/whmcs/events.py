"""What the WHMCS room reports."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.events import Event


@dataclass(frozen=True, slots=True)
class CredentialsRefused(Event):
    """The vendor has refused the credentials repeatedly; nothing is sent for `pause` seconds."""

    upstream: str
    pause: float
