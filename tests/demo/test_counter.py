"""The judge of the rate limits must itself be right."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.demo.counter import Arrivals, WindowCounter
from tests.demo.stepped import SteppedClock


def by_definition(times: list[float], length: float) -> int:
    """Count every window that starts at an arrival: the fullest one can always be moved there."""
    return max((sum(start <= at < start + length for at in times) for start in times), default=0)


# Quarters are exact in binary, so that both sides see the same edges.
quarters = st.integers(0, 400).map(lambda n: n / 4)
lengths = st.integers(1, 100).map(lambda n: n / 4)


@given(times=st.lists(quarters, max_size=60).map(sorted), length=lengths)
def test_the_peak_is_that_of_every_window(times: list[float], length: float) -> None:
    """Counting once from each arrival gives the same as trying every window."""
    counter = WindowCounter(length)
    for at in times:
        counter.add(at)
    assert counter.peak == by_definition(times, length)


@given(steps=st.lists(quarters, max_size=40), asked=st.lists(lengths, min_size=1, max_size=4))
def test_any_length_can_be_asked_for_afterwards(steps: list[float], asked: list[float]) -> None:
    """Remembered arrivals answer for windows of every length, in any order."""
    clock, times = SteppedClock(), []
    arrivals = Arrivals(clock)
    for step in steps:
        clock.now += step
        times.append(clock.now)
        arrivals.record()
    assert [arrivals.busiest(length) for length in asked] == [by_definition(times, length) for length in asked]
    assert len(arrivals) == len(times)
    assert arrivals.span() == (times[-1] - times[0] if times else 0)


def test_a_window_does_not_hold_its_own_end() -> None:
    """Two arrivals exactly one length apart are never in one window."""
    counter = WindowCounter(5)
    counter.add(1)
    counter.add(6)
    assert counter.peak == 1


def test_two_bursts_at_a_fixed_windows_edge_are_seen() -> None:
    """What a limiter with fixed windows lets through twice is counted as the double."""
    counter = WindowCounter(60)
    for at in [59.0] * 300 + [61.0] * 300:
        counter.add(at)
    assert counter.peak == 600


def test_a_step_back_is_refused() -> None:
    """An arrival before the last one is an error and changes nothing."""
    counter = WindowCounter(5)
    counter.add(10)
    with pytest.raises(ValueError, match="order"):
        counter.add(9)
    assert counter.peak == 1


@pytest.mark.parametrize("length", [0, -1, float("nan")])
def test_a_window_has_a_length(length: float) -> None:
    """A window of no length holds nothing and is refused."""
    with pytest.raises(ValueError, match="longer than zero"):
        WindowCounter(length)


def test_cleared_arrivals_count_from_zero() -> None:
    """After clearing nothing is remembered."""
    arrivals = Arrivals(SteppedClock())
    arrivals.record()
    arrivals.clear()
    assert (len(arrivals), arrivals.busiest(1), arrivals.span()) == (0, 0, 0)
