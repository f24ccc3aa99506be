"""The simulated Salesforce's sessions."""

from __future__ import annotations

import random

from gateway.demo.salesforce_sessions import Sessions
from tests.demo.stepped import SteppedClock


def test_a_session_ends_when_its_time_is_over() -> None:
    """A token is good until its session's end, and the login after it gives another one."""
    clock = SteppedClock()
    sessions = Sessions(clock)
    token = sessions.open("who", 60)
    clock.now = 59.9
    assert sessions.good(token)
    clock.now = 60
    assert not sessions.good(token)
    another = sessions.open("who", 60) != token
    assert another


def test_a_session_never_opened_is_not_good() -> None:
    """Neither an empty nor an invented token is good, whatever the clock says."""
    clock = SteppedClock()
    clock.now = -1.0
    sessions = Sessions(clock)
    assert not sessions.good("")
    assert not sessions.good("00Dinvented")


def test_a_login_gives_the_open_session_or_another() -> None:
    """Without being asked for another one, a login gives the token that is good; both stay good."""
    sessions = Sessions(SteppedClock())
    first = sessions.open("who", 60)
    same = sessions.open("who", 60) == first
    another = sessions.open("who", 60, another=True)
    differs = another != first
    assert same
    assert differs
    assert sessions.good(first)
    assert sessions.good(another)


def ended(seed: int, spared: int) -> list[int]:
    """Return at which of 200 calls a session ended, each replaced at once."""
    sessions, chance, found = Sessions(SteppedClock()), random.Random(seed), []
    token = sessions.open("who", 60)
    for number in range(200):
        if not sessions.call(token, chance, 0.1, spared):
            found.append(number)
            token = sessions.open("who", 60)
    return found


def test_chance_is_the_same_for_the_same_seed() -> None:
    """Sessions end at random, about as often as was asked for, and at the same calls for the same seed."""
    assert ended(1, 0) == ended(1, 0) != ended(2, 0)
    assert 8 <= len(ended(1, 0)) <= 35


def test_the_first_calls_are_spared() -> None:
    """A session does not end by chance within the calls it was promised."""
    ends = ended(1, 10)
    assert min(later - earlier for earlier, later in zip([-1, *ends], ends, strict=False)) > 10
