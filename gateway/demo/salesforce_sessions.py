"""The simulated Salesforce's sessions: the access tokens that are good at the moment.

The one idea: a session ends on the server alone. Its token carries no expiry, so a client learns of the end from a
refusal and from nothing else.
"""

from __future__ import annotations

import random
import secrets
from dataclasses import dataclass, field

from gateway.clock import Clock
from gateway.demo.accounts import SALESFORCE


@dataclass(slots=True)
class Session:
    """An open session: until when (seconds of the monotonic clock), and how many calls it has made."""

    ends: float
    calls: int = 0


@dataclass(slots=True)
class Sessions:
    """The sessions of the organisation, by access token."""

    clock: Clock
    _open: dict[str, Session] = field(default_factory=dict, repr=False)
    _token_of: dict[str, str] = field(default_factory=dict, repr=False)

    def open(self, who: str, seconds: float, *, another: bool = False) -> str:
        """Return the access token of a session for `who`: the one that is open, unless `another` is wanted."""
        token = self._token_of.get(who, "")
        if another or not self.good(token):
            token = self._token_of[who] = f"{SALESFORCE.organization_id}!hush-{secrets.token_urlsafe(24)}"
            self._open[token] = Session(self.clock.monotonic() + seconds)
        return token

    def good(self, token: str) -> bool:
        """Whether a session with this access token is open."""
        session = self._open.get(token)
        return session is not None and self.clock.monotonic() < session.ends

    def call(self, token: str, chance: random.Random, probability: float, spared: int) -> bool:
        """Count a call; returns whether its session is still good.

        After its first `spared` calls a session ends with this probability at each call, and the call is refused.
        """
        if not self.good(token):
            return False
        session = self._open[token]
        session.calls += 1
        if session.calls > spared and chance.random() < probability:
            self.end(token)
            return False
        return True

    def end(self, token: str) -> None:
        """End one session, as its owner does when logging out."""
        self._open.pop(token, None)

    def end_all(self) -> None:
        """End every session, as an administrator would."""
        self._open.clear()
