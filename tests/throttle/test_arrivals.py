"""Calls that are drawn."""

from __future__ import annotations

import pytest

from gateway.throttle.arrivals import Draw


def test_a_poisson_process_has_its_rate_and_its_times_do_not_hang_on_the_durations() -> None:
    """About as many calls as asked for, in order, within the time; another mean duration changes only durations."""
    calls = list(Draw(1, 0.5).poisson(10.0, 1000.0, "default"))
    assert len(calls) == pytest.approx(10_000, rel=0.05)
    assert sum(call.duration for call in calls) / len(calls) == pytest.approx(0.5, rel=0.05)
    times = [call.time for call in calls]
    assert times == sorted(times)
    assert 0 <= times[0] < times[-1] < 1000.0
    assert [call.time for call in Draw(1, 2.0).poisson(10.0, 1000.0, "default")] == times


def test_durations_may_be_nothing() -> None:
    """A mean of 0 is a vendor that answers at once."""
    assert Draw(1, 0.0).duration() == 0.0
