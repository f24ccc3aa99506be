"""When time stood still: what is remembered, and what it takes off a span."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.tokens.standstill import HORIZON, MAX_PAUSES, Pauses, Standstill, ran

NOW = 1_000_000


@pytest.mark.parametrize(
    ("since", "until", "pauses", "expected"),
    [
        (NOW - 50, NOW, (), 50),
        (NOW - 50, NOW, ((10, 20),), 30),
        (NOW - 50, NOW, ((10, 1000),), 10),
        (NOW - 50, NOW, ((50, 1000),), 50),
        (NOW - 50, NOW, ((5, 10), (30, 10)), 30),
        (NOW - 50, NOW - 20, ((10, 20),), 20),
        (NOW - 50, NOW - 20, ((0, 1000),), 0),
        (NOW + 40, NOW, ((10, 20),), -40),
    ],
)
def test_a_span_is_shorter_by_what_stood_still_in_it(since: int, until: int, pauses: Pauses, expected: int) -> None:
    """Only what overlaps the span counts; one that ends before it began (a clock stepped back) stays as it is."""
    assert ran(since, until, NOW, pauses) == expected


def test_nothing_stood_still_at_first() -> None:
    """A gateway that saw no outage tells of none."""
    assert Standstill().pauses(100.0) == ()


def test_an_outage_is_told_from_now() -> None:
    """How long ago it ended and how long it was, in ms, newest first."""
    standstill = Standstill()
    standstill.stood(10.0, 12.5)
    standstill.stood(20.0, 21.0)
    assert standstill.pauses(30.0) == ((9000, 1000), (17_500, 2500))


def test_an_outage_without_length_is_none() -> None:
    """Redis that answers for the first time was not away."""
    standstill = Standstill()
    standstill.stood(10.0, 10.0)
    assert standstill.pauses(10.0) == ()


def test_maintenance_stands_until_it_is_released() -> None:
    """While it is on it counts up to now; twice on is once on; afterwards it is a pause like any other."""
    standstill = Standstill()
    standstill.hold(10.0)
    standstill.hold(12.0)
    assert standstill.pauses(15.0) == ((0, 5000),)
    standstill.release(20.0)
    standstill.release(21.0)
    assert standstill.pauses(30.0) == ((10_000, 10_000),)


def test_an_outage_during_maintenance_counts_once() -> None:
    """Pauses that touch are one."""
    standstill = Standstill()
    standstill.stood(12.0, 14.0)
    standstill.hold(10.0)
    standstill.release(13.0)
    standstill.stood(14.0, 15.0)
    assert standstill.pauses(15.0) == ((0, 5000),)


def test_a_pause_is_forgotten_after_an_hour_that_ran() -> None:
    """A later outage of a day does not make it old: only running time counts."""
    standstill = Standstill()
    standstill.stood(0.0, 1.0)
    standstill.stood(10.0, 86_400.0)
    assert len(standstill.pauses(86_400.0 + HORIZON - 9)) == 2
    assert len(standstill.pauses(86_400.0 + HORIZON - 8.9)) == 1
    assert standstill.pauses(86_400.0 + HORIZON + 1) == ()
    assert standstill.pauses(86_400.0) == ()


def test_a_flapping_redis_fills_no_memory() -> None:
    """Only the last pauses are kept."""
    standstill = Standstill()
    for second in range(1000):
        standstill.stood(second, second + 0.5)
    pauses = standstill.pauses(1000.0)
    assert len(pauses) == MAX_PAUSES
    assert pauses[0] == (500, 500)


@given(st.lists(st.tuples(st.integers(0, 300), st.integers(0, 40)), max_size=20), st.integers(0, 350))
def test_what_ran_is_what_no_pause_covers(noted: list[tuple[int, int]], since: int) -> None:
    """However pauses overlap and in whatever order they come, each second counts at most once."""
    standstill, now = Standstill(), 350
    for start, length in noted:
        standstill.stood(float(start), float(start + length))
    stood = {second for start, length in noted for second in range(start, start + length)}
    expected = 1000 * sum(second not in stood for second in range(since, now))
    assert ran(1000 * since, 1000 * now, 1000 * now, standstill.pauses(float(now))) == expected
