"""The session that all calls share: which one is good, when the next login is due, and when none may be tried.

The one idea: a value that is told what happened, and when, and says what to do. Whoever needs a session gets it, has to
wait, or is refused; the one task that logs in asks when it is `due`. Sessions are numbered, so that a call which failed
with an older one than the current asks for nothing, also when a login has returned the same token again.

A login that fails is not tried again for a while: briefly and longer each time when the reason may pass, long when
Salesforce counts logins (3,600 an hour and user), and without a call that wants one never when it was told no.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple

from gateway.salesforce.events import Reason

Failure = Literal["fatal", "rate", "transient", "timeout", "useless"]
"""Told no; too many logins; a reason that may pass; no answer in time; new sessions are refused by the API, too."""


Ending = Literal["ended", "known", "refused"]
"""The session has ended now, or another has taken its place before; or it goes on, and this API does not take it."""


class Pause(NamedTuple):
    """Seconds without a login: after the first failure, and at the most. Each further one doubles them."""

    first: float
    most: float


PAUSES: Final[dict[Failure, Pause]] = {
    "fatal": Pause(60.0, 900.0),
    "rate": Pause(600.0, 3600.0),
    "transient": Pause(1.0, 60.0),
    "timeout": Pause(1.0, 60.0),
    "useless": Pause(5.0, 300.0),
}
_PASSING: Final[frozenset[Failure]] = frozenset(("rate", "transient", "timeout"))
_REFUSED: Final = 2
"""So many sessions in a row an API may refuse before it is taken for one that takes none of them."""
_TRIED: Final = 300.0
"""Seconds after which such an API is believed once more that a session has ended."""
_USELESS: Final = 3
"""So many sessions in a row, of which none was good for a single call, are no accident."""


@dataclass(slots=True)
class Session:
    """A session that Salesforce has opened."""

    number: int
    token: str = field(repr=False)
    origin: str
    """Where its calls go: `https://HOST`."""
    since: float
    """When the login began."""
    worked: set[str] = field(default_factory=set)
    """The kinds of calls for which the vendor has accepted it."""


class Wait(NamedTuple):
    """A login is under way, or is to begin now."""


class Refused(NamedTuple):
    """There is no session, and none may be asked for."""

    failure: Failure
    retry_after: float
    """Seconds."""


class SessionState:
    """`ttl` and `refresh_buffer` in seconds; times are those of one monotonic clock, `chance` is from 0 to 1.

    Attributes:
        current: the session, until the vendor has ended it.
    """

    def __init__(self, ttl: float, refresh_buffer: float) -> None:
        self.current: Session | None = None
        self._ttl = ttl
        self._renew_after = ttl - refresh_buffer
        self._number = 0
        self._begun: float | None = None
        self._expired = False
        self._useless = 0
        self._refusals: dict[str, tuple[int, float]] = {}
        """Of each kind of calls, how many sessions in a row it refused, and when one ended for it last."""
        self._wanted = False
        self._failure: Failure | None = None
        self._failures = 0
        self._blocked_until = 0.0

    def ask(self, now: float) -> Session | Wait | Refused:
        """Return the session for a call, or why there is none.

        A session past its `ttl` is still used while a login is under way, or fails for a reason that may pass: only
        the vendor knows whether it has ended.
        """
        session = self.current
        renewing = self._begun is not None or self._failure in _PASSING
        if session is not None and (now < session.since + self._ttl or renewing):
            return session
        if self._begun is not None:
            return Wait()
        if self._failure is not None and now < self._blocked_until:
            return Refused(self._failure, self._blocked_until - now)
        self._wanted = True
        return Wait()

    def due(self, now: float) -> float | None:
        """Return when the next login is to begin; None: not before `ask` or `expired` want one."""
        if self._wanted:
            return max(now, self._blocked_until)
        if self._failure == "fatal":
            return None
        if self.current is None:
            return max(now, self._blocked_until)
        return max(self.current.since + self._renew_after, self._blocked_until)

    def begin(self, now: float) -> Reason:
        """Note that a login begins, and return why."""
        self._begun = now
        self._wanted = False
        if self._expired:
            return "expired"
        return "renewal" if self._number else "initial"

    def granted(self, token: str, origin: str) -> None:
        """Note that the login was successful."""
        assert self._begun is not None
        self._number += 1
        self.current = Session(self._number, token, origin, self._begun)
        self._begun = self._failure = None
        self._expired = False
        self._failures, self._blocked_until = 0, 0.0

    def denied(self, now: float, failure: Failure, chance: float) -> float:
        """Note that the login failed; return the seconds until one may be tried again."""
        self._begun = None
        self._wanted = False
        self._failures = self._failures + 1 if failure == self._failure else 1
        self._failure = failure
        first, most = PAUSES[failure]
        pause = min(most, first * 2.0 ** min(self._failures - 1, 30)) * (0.5 + chance / 2)
        self._blocked_until = now + pause
        return pause

    def renewed(self) -> None:
        """Note that the next login is another one: that the one before was told no keeps nobody waiting."""
        if self._failure == "fatal":
            self._failure, self._failures, self._blocked_until = None, 0, 0.0

    def worked(self, number: int, kind: str) -> None:
        """Note that the vendor has accepted a session for a call of this kind."""
        if self.current is not None and self.current.number == number:
            self.current.worked.add(kind)
            self._refusals.pop(kind, None)
            self._useless = 0

    def expired(self, now: float, number: int, kind: str, chance: float) -> Ending:
        """Note that the vendor has refused a session for a call of this kind, and return what that means.

        A session that worked is replaced at once, and so is one that ended before its first call; but several of those
        in a row are a fault that no login mends, and logins pause. An API beside REST that refuses one session after
        the other takes none of them: it does not end the session of the others.
        """
        if self.current is None or self.current.number != number:
            return "known"
        refusals, ended = (0, now) if kind in self.current.worked else self._refusals.get(kind, (0, now))
        if kind != "rest" and refusals >= _REFUSED and now < ended + _TRIED:
            return "refused"
        self._refusals[kind] = (refusals + 1, now)
        self._useless = 0 if self.current.worked else self._useless + 1
        self.current = None
        self._expired = True
        if self._useless >= _USELESS and self._begun is None:
            self._failure, self._failures = "useless", self._useless - _USELESS  # the logins between were good
            self.denied(now, "useless", chance)
        return "ended"
