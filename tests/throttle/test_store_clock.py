"""What a replica knows of the store's clock."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.throttle.store_clock import DRIFT, StoreClock

TRIP = st.floats(0.0, 0.3)


@given(ahead=st.floats(-1e6, 2e9), trips=st.lists(st.tuples(TRIP, TRIP, st.floats(0.0, 5.0)), min_size=1, max_size=20))
def test_the_bounds_hold_the_truth_and_get_no_wider_by_asking(
    ahead: float, trips: list[tuple[float, float, float]]
) -> None:
    """Given a clock that is ahead by so much, when it is asked over ways of any length, then it lies within the bounds,
    which are no wider than the shortest way and what clocks drift since."""
    clock, now, first = StoreClock(0.05), 100.0, None
    shortest = 1.0
    for there, back, pause in trips:
        sent, shown, received = now, now + there + ahead, now + there + back
        assert clock.observe(sent, received, shown)
        first = received if first is None else first
        assert clock.earliest(received) <= received + ahead + 1e-5
        assert clock.latest(received) >= received + ahead - 1e-5
        shortest = min(shortest, there + back)
        assert clock.latest(received) - clock.earliest(received) <= shortest + 2 * DRIFT * (received - first) + 1e-5
        now = received + pause


@pytest.mark.parametrize("step", [-3600.0, -0.2, 0.2, 3600.0])
def test_a_step_beyond_the_tolerance_is_noticed_once(step: float) -> None:
    """Given a clock that is set by more than the tolerance, then the next answer tells it, and later ones are good."""
    clock = StoreClock(0.05)
    assert clock.observe(10.0, 10.001, 500.0)
    assert not clock.observe(11.0, 11.001, 501.0 + step)
    assert clock.observe(12.0, 12.001, 502.0 + step)
    assert clock.surely_at(502.0 + step) == pytest.approx(12.001, abs=0.002)


def test_small_steps_add_up() -> None:
    """Given a clock that is slewed by small steps, then it is noticed before they come to more than the tolerance."""
    clock, moved = StoreClock(0.05), 0.0
    clock.observe(10.0, 10.0, 500.0)
    for number in range(1, 20):
        moved += 0.02
        if not clock.observe(10.0 + number, 10.0 + number, 500.0 + number + moved):
            break
    assert moved <= 0.08


def test_a_small_step_is_followed() -> None:
    """Given a step within the tolerance, then it is no alarm, and the new bounds count."""
    clock = StoreClock(0.05)
    clock.observe(10.0, 10.0, 500.0)
    assert clock.observe(11.0, 11.0, 501.03)
    assert clock.not_before(502.03) == pytest.approx(12.0, abs=0.001)
