"""The figures of a simulation."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.throttle.arrivals import Arrival
from gateway.throttle.tally import Figures, Tally
from tests.throttle.samples import busiest


def tally(*calls: tuple[float, float | None], lane: str = "a") -> Tally:
    """Of (arrival, wait), a wait of None for a refused call."""
    found = Tally(["a", "b"])
    for at, wait in sorted(calls, key=lambda call: call[0] + (call[1] or 0.0)):
        arrival = Arrival(at, lane, 0.0)
        if wait is None:
            found.refused(arrival, "queue-full")
        else:
            found.sent(at + wait, arrival, timed_out=False)
    return found


def test_percentiles_are_waits_that_occurred() -> None:
    """Nearest rank: of 1 to 100 the 95th percentile is 95."""
    found = tally(*((0.0, float(wait)) for wait in range(1, 101))).total()
    assert (found.p50, found.p95, found.p99, found.longest) == (50.0, 95.0, 99.0, 100.0)


def test_lanes_are_told_apart_and_together() -> None:
    """A lane without calls has no waits; a refused call counts and has none."""
    found = tally((0.0, 1.0), (0.0, None))
    assert found.lanes()["b"] == Figures(0, 0, {}, 0, None, None, None, None)
    assert found.lanes()["a"] == found.total() == Figures(2, 1, {"queue-full": 1}, 0, 1.0, 1.0, 1.0, 1.0)


@given(st.lists(st.integers(0, 200), min_size=1), st.integers(1, 30))
def test_the_busiest_window_is_found_wherever_it_starts(moments: list[int], length: int) -> None:
    """As a search that tries every start finds it."""
    found = tally(*((at / 8, 0.0) for at in moments)).use(100, length / 8, 1.0)
    assert found.busiest == busiest([at / 8 for at in moments], length / 8)


@pytest.mark.parametrize(
    ("sends", "share"),
    [
        ([0.0] * 10, 1.0),  # a burst that fills the window
        ([0.0] * 5, 0.5),
        ([0.0] * 10 + [10.0] * 10 + [20.0], 1.0),  # each window anew
        ([0.0] * 10 + [20.0], 0.5),  # every second one
        ([], 0.0),
    ],
)
def test_the_use_is_the_share_of_the_slots_that_were_taken(sends: list[float], share: float) -> None:
    """A slot is taken for the time that it counts; the mean runs until the last send, and over one window at least."""
    assert tally(*((at, 0.0) for at in sends)).use(10, 9.0, 10.0).share == pytest.approx(share)


def test_slices_cut_the_time_until_the_last_arrival() -> None:
    """Calls belong to the slice in which they arrived, however long they waited; one without calls has no waits."""
    found = tally(*((0.5, 30.0) for _ in range(30)), *((9.9, None) for _ in range(10)), (10.0, 2.0)).slices(4)
    assert [(each.begin, each.end, each.calls, each.refused) for each in found] == [
        (0.0, 2.5, 30, 0), (2.5, 5.0, 0, 0), (5.0, 7.5, 0, 0), (7.5, 10.0, 11, 10),
    ]  # fmt: skip
    assert [each.p50 for each in found] == [30.0, None, None, 2.0]


@pytest.mark.parametrize("calls", [[], [(0.0, 0.0)], [(0.0, None)] * 50])
def test_slices_of_no_time_are_one(calls: list[tuple[float, float | None]]) -> None:
    """Nothing, a single call, or calls at one moment are one slice."""
    (only,) = tally(*calls).slices(10)
    assert only.calls == len(calls)
