"""What the token room reports. A user, family or device is named; a token never is."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.events import Event


@dataclass(frozen=True, slots=True)
class TokenOperation(Event):
    """A token operation ended: `issue|refresh|logout`, with a short `result` from a closed set.

    issue: `ok|degraded|redis_required|undelivered`. refresh: `rotated|replayed|healed|adopted|reused|ended|unknown|
    expired|invalid|malformed|degraded|redis_required`. logout: `ok|ended|nothing|redis_required`.
    """

    operation: str
    result: str


@dataclass(frozen=True, slots=True)
class FamiliesAtLogin(Event):
    """How many families a user has after a login."""

    count: int


@dataclass(frozen=True, slots=True)
class ExcessFamiliesCleaned(Event):
    """The oldest families of a user were ended because there were more than the cap."""

    user: str
    families: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ReuseDetected(Event):
    """A spent refresh token came again outside its grace; its family is ended."""

    user: str
    family: str
    generation: int


@dataclass(frozen=True, slots=True)
class Audit(Event):
    """One line of the audit trail.

    `action`: `issue|refresh|evict|logout`; `outcome` is the operation's result, or for a family that had ended before
    the reason it ended for. `token` is a keyed-hash prefix of the presented token, or empty. `network` is the client's
    address cut to its /24 (IPv4) or /48 (IPv6).
    """

    action: str
    outcome: str
    user: str
    family: str
    token: str = ""
    device: str = ""
    network: str = ""
