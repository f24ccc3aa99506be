"""The daily limit and the long calls, on a clock that the test moves."""

from __future__ import annotations

from gateway.demo.salesforce_limits import Daily, LongCalls
from tests.demo.stepped import SteppedClock

DAY = 86_400


def test_calls_count_for_a_day() -> None:
    """Each call is forgotten 24 hours later, to the minute, and not all of them at once."""
    clock = SteppedClock()
    daily = Daily(clock)
    for at in (0, 30, 3600):
        clock.now = at
        daily.count()
    clock.now = DAY - 1
    assert daily.used() == 3
    clock.now = DAY
    assert daily.used() == 1
    clock.now = DAY + 3600
    assert daily.used() == 0
    daily.count()
    daily.clear()
    assert daily.used() == 0


def test_a_call_becomes_long() -> None:
    """It counts from when it has lasted long enough until it ends; the peak stays."""
    clock = SteppedClock()
    calls = LongCalls(clock)
    with calls.watch(20):
        clock.now = 10
        with calls.watch(20):
            clock.now = 20
            assert calls.now(20) == 1
            clock.now = 30
        assert calls.now(20) == 1
    assert (calls.now(20), calls.peak) == (0, 2)
    calls.clear()
    assert calls.peak == 0
