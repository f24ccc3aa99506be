"""What the token room reports. A user, family or device is named; a token never is."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.events import Event
from gateway.tokens.records import split_note


@dataclass(frozen=True, slots=True)
class TokenOperation(Event):
    """A token operation ended: `issue|refresh|logout|revoke`, with a short `result` from a closed set.

    issue: `ok|degraded|redis_required|undelivered`. refresh: `rotated|replayed|healed|adopted|reused|ended|unknown|
    expired|invalid|malformed|degraded|redis_required`. logout: `ok|ended|nothing|redis_required`. revoke: `ok|unknown|
    redis_required` at the user's own wish, `disowned` for a user that the backend has disowned.

    In `mode: guard` besides: issue `uncommitted` (given, but the ledger could not be told). refresh: `shared` (got the
    answer of a parallel one), `rejected` (by the backend), `unanswered` (by it), `uncommitted`, `busy` (another replica
    was at it for too long).
    """

    operation: str
    result: str


@dataclass(frozen=True, slots=True)
class LoginUnreadable(Event):
    """A 2xx answer to a login passed without a pair: no JSON object of a bearable size, or a subject that is none.

    An answer that names nobody, such as a second factor's, is not one of these.
    """

    route: str


@dataclass(frozen=True, slots=True)
class NothingBrought(Event):
    """In `mode: guard` a 2xx answer to an `operation` (`login|refresh`) brought no refresh token in its place.

    Of logins only those that name somebody, or cannot be read: other answers, such as a second factor's, bring none.
    """

    operation: str


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
class ClaimsNotGiven(Event):
    """The backend did not say what a user's claims are, for `reason`; older ones are used."""

    reason: str


@dataclass(frozen=True, slots=True)
class Audit(Event):
    """One line of the audit trail.

    `action`: `issue|refresh|evict|logout|revoke|migrate|cleanup`; `outcome` is the operation's result, or for a family
    that had ended before the reason it ended for. `user` and `family` are empty where a record cannot be read.

    `token` begins a keyed hash (HMAC-SHA-256, the key derived from the first refresh secret): of the token that was
    presented or minted; of an old backend's token always of the first half of its SHA-256 behind a `~`, since no more
    of it is kept. It is empty where no token is at hand: an eviction and an end by name reach a family through its
    record, and no token is at rest.

    `device` and `network` (the address cut to its /24, IPv4, or /48, IPv6) are those of whoever asked; where nobody
    asked for this family (an eviction, the operator's verbs) what its record says of its user, as far as it does.
    """

    action: str
    outcome: str
    user: str
    family: str
    token: str = ""
    device: str = ""
    network: str = ""


@dataclass(frozen=True, slots=True)
class AttemptFailed(Event):
    """Somebody's token was not ours (`invalid`), or was one guess too many (`too-many-attempts`).

    In `mode: guard`, where every token is the backend's: one that nobody knows, and that the backend refused.

    `action` is `refresh` or, for an access token, `sessions`; `network` is cut as in `Audit`. There is no family to
    name: what such a token says of itself is anybody's word.
    """

    action: str
    outcome: str
    network: str


def audit_of(action: str, outcome: str, user: str, family: str, note: str = "", token: str = "") -> Audit:
    """Return the line of a family that is known by its record alone, whose `device` is `note`."""
    network, device = split_note(note)
    return Audit(action, outcome, user, family, token, device, network)
