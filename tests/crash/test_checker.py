"""The checker finds every kind of wrong that is planted in a history, and nothing in a good one."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.crash.checker import Checker, at_once
from tests.crash.history import Event, Forward, Loss, Operation

FAMILY = "f"


def login(at: float = 0.0, family: str = FAMILY, user: str = "u") -> Event:
    return Event(user, "login", at, at + 0.1, 200, family, 0, 1, f"{family}1")


def refresh(
    at: float, presented: int, status: int | None = 200, token: str | None = None, by: Operation = "refresh"
) -> Event:
    """A request of 0.1 s that presents a generation and, when it succeeds, gives the next one."""
    event = Event("u", by, at, at + 0.1, status, FAMILY, presented)
    if status != 200:
        return event
    return replace(event, generation=presented + 1, token=token or f"{FAMILY}{presented + 1}")


def replay(at: float, presented: int, status: int | None = 200) -> Event:
    return refresh(at, presented, status, by="replay")


def logout(at: float, status: int | None = 204) -> Event:
    return Event("u", "logout", at, at + 0.1, status, FAMILY, 1)


def end_all(at: float, status: int | None = 204, user: str = "u") -> Event:
    return Event(user, "end-all", at, at + 0.1, status)


GOOD: list[list[Event]] = [
    [login(), refresh(1, 1), refresh(2, 2), refresh(3, 3)],
    # lost answers, and retries that give the same successor
    [login(), refresh(1, 1, None), refresh(2, 1, 503), refresh(3, 1), refresh(3, 1), refresh(9, 2)],
    # a thief is caught, and the victim has to log in
    [login(), refresh(1, 1), refresh(2, 2), replay(3, 1, 401), refresh(4, 3, 401), login(5, "g")],
    # ended in various ways; afterwards only refusals
    [login(), refresh(1, 1), logout(2), refresh(3, 2, 401)],
    [login(), refresh(1, 1), logout(2, None), refresh(3, 2, 401)],
    [login(), refresh(1, 1), end_all(2), refresh(3, 2, 401)],
    # an end of all that was carried out before or after a login that was under way
    [replace(login(), answered=1.5), end_all(1), refresh(3, 1, 401)],
    [replace(login(), answered=1.5), end_all(1), refresh(3, 1)],
    # a refresh that was under way while the family ended may go either way
    [login(), replace(refresh(1, 1), answered=2.5), logout(2)],
    [login(), replace(refresh(1, 1, 401), answered=2.5), logout(2)],
    # a login within the second of an end of all, whose own family the store has lost
    [end_all(-1), login(), refresh(2, 1, 401)],
]


@pytest.mark.parametrize("events", GOOD, ids=range(len(GOOD)))
def test_a_good_history_has_no_violation(events: list[Event]) -> None:
    """Retries, thieves that are caught, and ends of every kind are all in order."""
    assert Checker(fate=2).check(events) == []


BAD: dict[str, list[Event]] = {
    "logged-out": [login(), refresh(1, 1), refresh(2, 2, 401)],
    "logged-out, at a retry": [login(), refresh(1, 1, None), refresh(1.5, 1, 401)],
    "logged-out, before the end": [login(), refresh(1, 1, 401), logout(2)],
    "logged-out, by another user's end": [login(), end_all(1, user="v"), refresh(2, 1, 401)],
    "logged-out, by an end before its login": [end_all(-2), login(), refresh(2, 1, 401)],
    "two-tokens": [login(), refresh(1, 1), refresh(2, 1, token="other")],
    "two-tokens, of the login": [login(), replace(refresh(1, 0, token="other"), operation="refresh")],
    "revoked-alive": [login(), refresh(1, 1), logout(2), refresh(3, 2)],
    "revoked-alive, by end-all": [login(), refresh(1, 1), end_all(2), refresh(3, 2)],
    "replay-accepted": [login(), refresh(1, 1), refresh(2, 2), replay(3, 1)],
    "replay-survived": [login(), refresh(1, 1), refresh(2, 2), replay(3, 1, 401), refresh(4, 3)],
    "odd-successor": [login(), replace(refresh(1, 1), generation=3)],
    "odd-successor, the same": [login(), replace(refresh(1, 1), generation=1, token="f1")],
    "careless-client": [login(), refresh(1, 1), refresh(2, 2, None), refresh(3, 1)],
    "careless-client, too early": [login(), refresh(1, 1, None), refresh(1.5, 1), refresh(2, 2), refresh(3, 3)],
    "odd-status": [login(), refresh(1, 1, 500)],
    "odd-status, of a login": [replace(login(), status=401)],
    "odd-status, of a logout": [login(), logout(1, 502)],
}


@pytest.mark.parametrize("name", BAD)
def test_a_planted_violation_is_found(name: str) -> None:
    """given a history with one wrong / when it is checked / then that kind is found, and no other."""
    kinds = {violation.kind for violation in Checker(fate=2).check(BAD[name])}
    assert kinds == {name.partition(",")[0]}


def test_a_token_that_is_at_the_backend_twice_at_once_is_found() -> None:
    """given forwards of several tokens / when two of one overlap / then the later one is found; one after the other, or
    of different tokens, they are in order."""
    long, within, after = Forward("a", 1, 5), Forward("a", 2, 3), Forward("a", 5, 6)
    assert at_once([after, Forward("b", 1, 9), long]) == []
    assert at_once([within, after, long]) == [within]
    assert at_once([long, within, Forward("a", 4, 7)]) == [within, Forward("a", 4, 7)]


def test_whoever_does_not_come_back_is_found() -> None:
    """given all well from 5 s on / when a client had only 503 since / then it never came back."""
    events = [login(), refresh(1, 1), refresh(6, 2, 503)]
    assert [violation.kind for violation in Checker(calm=5).check(events)] == ["never-came-back"]
    assert Checker(calm=5).check([*events, refresh(7, 2)]) == []
    assert Checker(calm=5).check([login(6)]) == []
    assert Checker(calm=5).check([login(), logout(1), refresh(6, 1, 401)]) == []


def test_a_careless_client_excuses_nothing() -> None:
    """given a request given up just before its successor was used, or an older token / when the family ends / then the
    refusal counts, beside the carelessness: nothing is hidden behind a client that breaks its own rule."""
    early = [login(), refresh(1, 1, None), refresh(1.1, 1), refresh(2, 2), refresh(3, 3, 401)]
    older = [login(), refresh(1, 1), refresh(2, 2, None), refresh(3, 1, 401)]
    for events in (early, older):
        assert {violation.kind for violation in Checker(fate=2).check(events)} == {"logged-out", "careless-client"}
    assert [violation.kind for violation in Checker(fate=0.5).check(early)] == ["logged-out"]


def test_a_request_without_a_verdict_may_be_carried_out_later() -> None:
    """given an end of all that was given up just before a login / when the login's family is refused / then that may
    be why, and it is counted as doubtful; long before it, it cannot be."""
    gone = [end_all(-2, None), login(), refresh(1, 1, 401)]
    assert Checker(fate=2).check(gone) == []
    assert Checker(fate=2).doubtful(gone) == [gone[-1]]
    assert [violation.kind for violation in Checker(fate=0.5).check(gone)] == ["logged-out"]


def test_a_sure_end_leaves_no_doubt() -> None:
    """given ends that were acknowledged, and a thief that was caught / then no refusal is doubtful, nor one beside
    which the end was under way; an end or a thief without a verdict leaves doubt."""
    caught = [login(), refresh(1, 1), refresh(2, 2), replay(3, 1, 401), refresh(4, 3, 401)]
    beside = [login(), replace(logout(1), answered=2.05), refresh(2, 1, 401)]
    for sure in (caught, beside, [login(), logout(1), refresh(2, 1, 401)], [login(), end_all(1), refresh(2, 1, 401)]):
        assert Checker(fate=2).doubtful(sure) == []
    for unsure in (logout(1, None), end_all(1, 503), replay(1, 0, 503)):
        assert Checker(fate=2).doubtful([login(), unsure, refresh(2, 1, 401)]) != []


def test_a_caught_thief_is_counted_where_the_spending_survived() -> None:
    """given replays of spent tokens / then those refused count as caught, unless their spending was lost."""
    events = [login(), refresh(1, 1), refresh(2, 2), replay(6, 1, 401)]
    assert Checker().caught(events) == [events[-1]]
    assert Checker([EMPTY]).caught(events) == []
    assert Checker().caught([*events[:-1], replay(6, 2, 401)]) == []


def test_a_family_that_is_two_in_the_books_outlives_a_thief() -> None:
    """given a user with an adopted token / when a replay is refused and the family goes on / then that is in order;
    that the spent token is traded is not, nor that another user's family goes on."""
    survived, traded = BAD["replay-survived"], BAD["replay-accepted"]
    assert Checker(split={"u"}).check(survived) == []
    assert [found.kind for found in Checker(split={"v"}).check(survived)] == ["replay-survived"]
    assert [found.kind for found in Checker(split={"u"}).check(traded)] == ["replay-accepted"]


def test_a_token_may_be_given_back_where_redis_is_not_required() -> None:
    """given a mode that is not strict / when the presented token comes back / then it is in order, even of an ended
    family: nothing was judged."""
    same = replace(refresh(3, 1), generation=1, token="f1")
    assert Checker(strict=False).check([login(), same, refresh(4, 1)]) == []
    assert Checker(strict=False).check([login(), logout(1), same]) == []


EMPTY = Loss(float("-inf"), 5)
FAILOVER = Loss(3, 5)


def test_what_was_lost_excuses_what_follows_from_it() -> None:
    """given a store that lost everything / when ended families live, spent tokens are traded and generations are minted
    again / then that is in order; logging a client out is not."""
    checker = Checker([EMPTY])
    assert checker.check([login(), refresh(1, 1), refresh(6, 1, token="other")]) == []
    assert checker.check([login(), logout(1), refresh(6, 1)]) == []
    assert checker.check([login(), refresh(1, 1), refresh(2, 2), replay(6, 1), refresh(7, 3)]) == []
    assert [found.kind for found in checker.check([login(), refresh(6, 1, 401)])] == ["logged-out"]


def test_what_was_not_lost_still_binds() -> None:
    """given a failover that lost 3 s to 5 s / if what was written before or after is ignored / then it is found."""
    checker = Checker([FAILOVER])
    spent = [login(), refresh(1, 1), refresh(2, 2)]
    assert [found.kind for found in checker.check([*spent, replay(6, 1)])] == ["replay-accepted"]
    assert [found.kind for found in checker.check([login(), logout(1), refresh(6, 1)])] == ["revoked-alive"]
    again = [login(), refresh(6, 1), refresh(7, 1, token="other")]
    assert [found.kind for found in checker.check(again)] == ["two-tokens"]
    lost = [login(), refresh(1, 1), refresh(3.5, 2), replay(6, 1), refresh(7, 3)]
    assert checker.check(lost) == []


def test_a_loss_excuses_nothing_before_it() -> None:
    """given everything lost at 5 s / when an ended family was alive before that / then it is found."""
    checker = Checker([EMPTY])
    assert [found.kind for found in checker.check([login(), logout(1), refresh(2, 1)])] == ["revoked-alive"]
    assert [found.kind for found in checker.check([login(), refresh(1, 1), refresh(2, 1, token="x")])] == ["two-tokens"]
