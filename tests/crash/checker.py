"""Judges a history: was a client wronged, a generation minted twice, or an ended family alive?

The one idea: the gateway is blamed only for what no order of events could excuse. A request whose answer is unknown may
have been carried out at any time within `fate`; a write may be gone when a loss covers it. What remains is certain.
Clients are held to their own rule: one that uses a successor while its predecessor's fate is open, or presents an older
token, would be logged out with good reason, so that is a violation by itself and excuses nothing.

Pure: events in, violations out. The contract of tokens is what it knows, not how that is built. In `mode: guard` the
backend mints by the same rules, and the gateway is blamed besides for a token that it brings there twice at once.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Final

from tests.crash.history import Event, Forward, Loss

_STATUSES: Final[dict[str, frozenset[int | None]]] = {
    "login": frozenset((200, 503, None)),
    "refresh": frozenset((200, 401, 503, 504, None)),
    "replay": frozenset((200, 401, 503, 504, None)),
    "logout": frozenset((200, 204, 503, None)),
    "end-all": frozenset((200, 204, 401, 503, None)),
}
_DONE: Final = (200, 204)
_SECOND: Final = 1.0
"""Tokens carry whole seconds: a login within that of an end of all may be taken for one that was ended."""


@dataclass(frozen=True, slots=True)
class Violation:
    """What must not have happened, to whom, and the event that shows it."""

    kind: str
    family: str
    event: Event


@dataclass
class _Family:
    """All that happened to one family, in the order of sending."""

    name: str
    login: Event | None = None
    presented: list[Event] = field(default_factory=list)
    ends: list[Event] = field(default_factory=list)
    """Requests that ended it, if they were carried out."""
    perhaps: list[Event] = field(default_factory=list)
    """Requests that may have met it: a user's sessions were ended while its login was under way, or just before."""


@dataclass(frozen=True, slots=True)
class Checker:
    """The rules of a run.

    Attributes:
        losses: when the store lost what it had acknowledged.
        fate: seconds for which a request without a verdict (503, no answer) may still be carried out.
        strict: whether Redis is needed; else a presented token may be given back unchanged while it is away.
        calm: from when on nothing was broken any more, so that every client had to get through again.
        split: users of whom the gateways' trail tells, in `mode: guard`, that a token was adopted: what the backend
            granted in an outage, and the store had not heard of, began a family of its own, so that a thief of the
            former one does not end it.
    """

    losses: Sequence[Loss] = ()
    fate: float = 0.0
    strict: bool = True
    calm: float | None = None
    split: Collection[str] = ()

    def check(self, events: Iterable[Event]) -> list[Violation]:
        """Return everything that was wrong, empty for a good history."""
        ordered = sorted(events, key=lambda event: event.sent)
        found = [Violation("odd-status", event.family, event) for event in ordered if not _expected(event)]
        for family in _families(ordered, self.fate):
            for rule in (
                self._logged_out, self._two_tokens, self._revoked_alive, self._replays, self._odd_successor,
                self._never_came_back, self._careless,
            ):  # fmt: skip
                found += rule(family)
        return found

    def doubtful(self, events: Iterable[Event]) -> list[Event]:
        """Return the refusals for which the family's end is no more than possible: a sound run has next to none."""
        ordered = sorted(events, key=lambda event: event.sent)
        return [
            event
            for family in _families(ordered, self.fate)
            for event in family.presented
            if event.operation == "refresh" and event.status == 401 and not _surely_ended(family, event)
        ]

    def caught(self, events: Iterable[Event]) -> list[Event]:
        """Return the replays of tokens whose spending the store knew of for certain, and that were refused."""
        ordered = sorted(events, key=lambda event: event.sent)
        return [
            event
            for family in _families(ordered, self.fate)
            for event in family.presented
            if event.operation == "replay" and event.status == 401 and self._spent_for_good(family, event)
        ]

    def _logged_out(self, family: _Family) -> Iterator[Violation]:
        """A client was refused although nobody ended its family and nobody presented a spent token."""
        for event in family.presented:
            if event.operation == "refresh" and event.status == 401 and not self._forfeited(family, event.answered):
                yield Violation("logged-out", family.name, event)

    def _two_tokens(self, family: _Family) -> Iterator[Violation]:
        """One generation was given as two different tokens."""
        given = defaultdict(list)
        for event in _granted(family):
            given[event.generation].append(event)
        for events in given.values():
            for first, second in combinations(events, 2):
                if first.token != second.token and not self._lost(first, second):
                    yield Violation("two-tokens", family.name, second)
                    break

    def _revoked_alive(self, family: _Family) -> Iterator[Violation]:
        """A token was traded after the end of its family had been acknowledged."""
        for end in family.ends:
            if end.status not in _DONE:
                continue
            for event in family.presented:
                if event.sent > end.answered and _traded(event) and not self._lost(end, event):
                    yield Violation("revoked-alive", family.name, event)

    def _replays(self, family: _Family) -> Iterator[Violation]:
        """A token that was spent for good was traded, or its replay did not end the family."""
        for event in family.presented:
            if not self._spent_for_good(family, event):
                continue
            if _traded(event):
                yield Violation("replay-accepted", family.name, event)
            elif event.status == 401 and event.user not in self.split:
                for later in family.presented:
                    if later.sent > event.answered and _traded(later) and not self._lost(event, later):
                        yield Violation("replay-survived", family.name, later)

    def _odd_successor(self, family: _Family) -> Iterator[Violation]:
        """What was given is not the generation after the presented one (nor, degraded, that one itself)."""
        for event in _granted(family):
            if event.generation == event.presented + 1 or (event.generation == event.presented and not self.strict):
                continue
            yield Violation("odd-successor", family.name, event)

    def _never_came_back(self, family: _Family) -> Iterator[Violation]:
        """A client that did nothing wrong did not get through once all was well again."""
        if self.calm is None or family.login is None or self._forfeited(family, float("inf")):
            return
        if not any(event.answered >= self.calm for event in _granted(family)):
            yield Violation("never-came-back", family.name, family.login)

    def _careless(self, family: _Family) -> Iterator[Violation]:
        """A client used a newer token while the fate of an older one was open, or came back with the older one."""
        own = [event for event in family.presented if event.operation == "refresh"]
        for event in own:
            judged = event.answered + (0 if event.status == 401 or _traded(event) else self.fate)
            if any(other.presented > event.presented and other.sent <= judged for other in own):
                yield Violation("careless-client", family.name, event)

    def _forfeited(self, family: _Family, by: float) -> bool:
        """Tell whether a refusal answered at `by` may be the family's own doing: an end, or a thief."""
        thieves = [event for event in family.presented if event.operation == "replay"]
        return any(event.sent <= by for event in (*family.ends, *family.perhaps, *thieves))

    def _spent_for_good(self, family: _Family, event: Event) -> bool:
        """Tell whether the store knew for certain that the successor of what is presented had been used."""
        return any(
            mint.generation >= event.presented + 2
            and mint.generation > mint.presented
            and mint.answered < event.sent
            and not self._lost(mint, event)
            for mint in _granted(family)
        )

    def _lost(self, write: Event, later: Event) -> bool:
        """Tell whether what `write` wrote may have been lost by the time that `later` was judged."""
        return any(
            write.answered >= loss.since and write.sent <= loss.until and later.answered >= loss.until
            for loss in self.losses
        )


def at_once(forwards: Iterable[Forward]) -> list[Forward]:
    """Return each forward that began while another one of the same token was under way, empty for a good history."""
    latest: dict[str, float] = {}
    found = []
    for forward in sorted(forwards, key=lambda forward: forward.began):
        if forward.began < latest.get(forward.token, float("-inf")):
            found.append(forward)
        latest[forward.token] = max(forward.ended, latest.get(forward.token, forward.ended))
    return found


def _families(ordered: list[Event], fate: float) -> list[_Family]:
    families: dict[str, _Family] = {}
    for event in ordered:
        if not event.family or event.operation == "end-all":
            continue
        family = families.setdefault(event.family, _Family(event.family))
        if event.operation == "login":
            family.login = event
        elif event.operation == "logout":
            family.ends.append(event)
        else:
            family.presented.append(event)
    for end in (event for event in ordered if event.operation == "end-all"):
        carried_out = end.answered if end.status in _DONE else end.answered + fate
        for family in families.values():
            if family.login is None or family.login.user != end.user:
                continue
            if family.login.answered < end.sent:
                family.ends.append(end)
            elif family.login.sent <= carried_out + _SECOND:
                family.perhaps.append(end)
    return list(families.values())


def _granted(family: _Family) -> list[Event]:
    given = [event for event in family.presented if event.status == 200]
    return [family.login, *given] if family.login is not None else given


def _surely_ended(family: _Family, by: Event) -> bool:
    thieves = [event for event in family.presented if event.operation == "replay" and event.status == 401]
    ends = [end for end in family.ends if end.status in _DONE]
    return any(event.sent <= by.answered for event in (*ends, *thieves))


def _traded(event: Event) -> bool:
    """A token was given for another one; a degraded answer gives the same one back, and nothing was judged."""
    return event.status == 200 and event.generation != event.presented


def _expected(event: Event) -> bool:
    return event.status in _STATUSES[event.operation]
