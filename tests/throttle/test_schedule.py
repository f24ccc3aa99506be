"""The named cases of the schedule."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.throttle.call import Call, Rejected, State
from gateway.throttle.long_calls import LongCalls
from gateway.throttle.pace import Pace
from gateway.throttle.schedule import Schedule
from tests.throttle.samples import GUARD, schedule


def arrive(plan: Schedule, now: float, lane: str = "default") -> Call:
    call = plan.arrive(now, lane)
    assert isinstance(call, Call)
    return call


def test_the_sixteenth_call_waits_and_the_first_in_line_is_the_first_out() -> None:
    """Given 15 permits, when 18 calls arrive, then three wait, and each that ends lets the longest waiting in."""
    plan = schedule()
    calls = [arrive(plan, 0.0) for _ in range(18)]
    assert [call.state for call in calls] == [State.ADMITTED] * 15 + [State.WAITING] * 3
    assert plan.ask(0.0, calls[0])
    for left, next_in in ((0, 15), (7, 16), (3, 17)):
        plan.leave(1.0, calls[left])
        assert plan.admit(1.0) == [calls[next_in]]


def test_permits_are_not_hoarded_by_calls_that_only_wait_for_the_window() -> None:
    """Given a window with two free slots, when ten calls come to 15 permits, then two are admitted, not ten; when the
    window is full, one call of each lane stands ready."""
    plan = schedule(cap=2, per=1.0, default=15, other=15)
    calls = [arrive(plan, 0.0) for _ in range(10)]
    assert [call.state for call in calls].count(State.ADMITTED) == 2
    assert all(plan.ask(0.0, call) for call in calls[:2])
    assert plan.admit(0.0) == [calls[2]]
    assert arrive(plan, 0.0, "other").state is State.ADMITTED
    assert arrive(plan, 0.0, "other").state is State.WAITING


def test_saturated_lanes_take_slots_in_turn() -> None:
    """Given one lane with a long line, when a call comes to the other, then it goes next but one at the latest."""
    plan = schedule(cap=1, per=1.0, default=5, other=5)
    lines = [arrive(plan, 0.0) for _ in range(20)]
    assert plan.ask(0.0, lines[0])
    [second] = plan.admit(0.0)
    assert not plan.ask(0.0, second)
    newcomer = arrive(plan, 0.1, "other")
    assert not plan.ask(0.1, newcomer)
    assert plan.dispatch(1.25) == [second]
    [third] = plan.admit(1.25)
    assert not plan.ask(1.25, third)
    assert plan.dispatch(2.5) == [newcomer]


def test_a_call_that_comes_before_the_timer_rings_does_not_overtake() -> None:
    """Given a slot that has aged out unnoticed, when another call becomes ready, then the one that waited gets it."""
    plan = schedule(cap=1, per=1.0, default=2, other=2)
    assert plan.ask(0.0, arrive(plan, 0.0))
    waiting, newcomer = arrive(plan, 0.0), arrive(plan, 0.5, "other")
    assert not plan.ask(0.5, waiting)
    assert not plan.ask(2.0, newcomer)
    assert plan.dispatch(2.0) == [waiting]


def test_a_slow_connection_does_not_keep_later_slots_from_being_used() -> None:
    """Given a call that takes long to connect, when two slots have aged out, then the next in line is admitted, and
    the moments are announced."""
    plan = schedule(cap=2, per=4.0)
    for now in (0.0, 1.0):
        assert plan.ask(now, arrive(plan, now))
    connecting, waiting = arrive(plan, 2.0), arrive(plan, 2.0)
    assert (connecting.state, waiting.state) == (State.ADMITTED, State.WAITING)
    assert plan.next_event(2.0) == 4.0 + GUARD
    assert plan.admit(4.0 + GUARD) == []
    assert plan.next_event(4.0 + GUARD) == 5.0 + GUARD
    assert arrive(plan, 5.0 + GUARD).state is State.WAITING  # behind the one in line, though nobody has looked yet
    assert plan.admit(5.0 + GUARD) == [waiting]


def test_a_full_lane_does_not_hold_up_another() -> None:
    """Given 22 long calls under way, when a short one comes, then it is admitted at once, and a 23rd long one waits."""
    plan = schedule(long=22, short=15)
    for _ in range(22):
        assert plan.ask(0.0, arrive(plan, 0.0, "long"))
    assert arrive(plan, 0.0, "long").state is State.WAITING
    assert arrive(plan, 0.0, "short").state is State.ADMITTED


def test_a_full_queue_refuses_with_the_estimated_wait() -> None:
    """Given a queue of two and a full window, when a call comes, then it is refused and told how long it would wait."""
    plan = schedule(cap=2, per=10.0, depth=2)
    for _ in range(2):
        assert plan.ask(0.0, arrive(plan, 0.0))
    for _ in range(3):  # one stands ready, two wait
        arrive(plan, 4.0)
    assert plan.arrive(4.0, "default") == Rejected("queue-full", 2 * (10.0 + GUARD) - 4.0)


def test_what_cannot_be_served_in_time_is_refused_at_arrival() -> None:
    """Given that the earliest slot lies past `max_wait`, when a call comes, then it need not wait to be told."""
    plan = schedule(cap=1, per=60.0, wait=30.0)
    assert plan.ask(0.0, arrive(plan, 0.0))
    assert plan.arrive(10.0, "default") == Rejected("queue-timeout", 50.0 + GUARD)
    assert arrive(plan, 40.0).state is State.ADMITTED


def test_another_lanes_line_is_no_reason_to_refuse() -> None:
    """Given a line in a lane whose permits are taken for long, when a call comes to the other lane, then only what
    really stands before it counts."""
    plan = schedule(cap=4, per=10.0, wait=5.0, long=1, short=1)
    assert plan.ask(0.0, arrive(plan, 0.0, "long"))
    for _ in range(3):
        arrive(plan, 0.0, "long")
    assert arrive(plan, 0.0, "short").state is State.ADMITTED


def test_the_estimate_knows_how_long_calls_take() -> None:
    """Given calls of ten seconds on two permits, when four wait, then a newcomer is told of about 25 seconds."""
    plan = schedule(default=2)
    first = arrive(plan, 0.0)
    assert plan.ask(0.0, first)
    plan.leave(10.0, first)
    for _ in range(6):
        arrive(plan, 10.0)
    assert plan.estimate(10.0, plan.lanes["default"]) == 25.0


def test_the_estimate_knows_the_pace() -> None:
    """Given a pace of two a second in bursts of two, when six calls stand before it, then a call is told two and a
    half seconds."""
    plan = schedule(pace=Pace(2, 1.0))
    for _ in range(6):
        assert not plan.ask(0.0, arrive(plan, 0.0))
    assert plan.estimate(0.0, plan.lanes["default"]) == 2.5


def test_a_slot_that_came_too_late_stays_counted_and_another_is_first_in_line() -> None:
    """Given a loop that stalls for longer than the guard, when the granted call wakes, then its slot is spent and it
    gets the next one before those that came later."""
    plan = schedule(cap=1, per=1.0, default=5, other=5)
    assert plan.ask(0.0, arrive(plan, 0.0))
    late, other = arrive(plan, 0.0), arrive(plan, 0.0, "other")
    assert not plan.ask(0.0, late)
    assert not plan.ask(0.0, other)
    assert plan.dispatch(1.25) == [late]
    assert not plan.confirm(1.25 + 2 * GUARD, late)
    assert plan.window.used(1.75) == 1
    assert not plan.ask(1.75, late)
    assert plan.dispatch(2.5) == [late]
    assert plan.confirm(2.5, late)


def test_a_call_may_be_refused_its_second_slot() -> None:
    """Given a call that asks again after its deadline, when no slot is free, then it expires and frees its permit."""
    plan = schedule(cap=1, per=10.0, wait=5.0)
    call = arrive(plan, 0.0)
    assert plan.ask(0.0, call)
    assert not plan.ask(6.0, call)
    assert plan.expire(6.0) == [call]
    assert plan.lanes["default"].in_flight == 0


def test_calls_that_come_ready_and_leave_are_not_remembered() -> None:
    """Given one call that waits for a slot, when thousands of others become ready and leave, then no trace of them
    piles up."""
    plan = schedule(cap=1, default=1, other=2)
    assert plan.ask(0.0, arrive(plan, 0.0, "other"))
    assert not plan.ask(0.0, arrive(plan, 0.0, "other"))
    for _ in range(5000):
        call = arrive(plan, 1.0)
        assert not plan.ask(1.0, call)
        plan.leave(1.0, call)
    assert len(plan._deadlines) < 200


@pytest.mark.parametrize("waiting", [1_000, 100_000])
def test_leaving_from_the_middle_does_not_scan(waiting: int) -> None:
    """Given 100,000 waiting calls, when all leave in the least convenient order, then every other keeps its place."""
    plan = schedule(cap=1, depth=waiting, wait=1e9, default=1)
    assert plan.ask(0.0, arrive(plan, 0.0))
    calls: list[Any] = [arrive(plan, 0.0) for _ in range(waiting)]
    for call in calls[1::2] + calls[-2:1:-2]:
        plan.leave(1.0, call)
    assert list(plan.lanes["default"].waiting) == [calls[0]]
    assert plan.depth == 1


def test_only_what_goes_before_a_call_is_a_reason_to_refuse_it() -> None:
    """Given a line of one tenant that reaches past `max_wait`, when calls come, then that tenant's is refused, and
    another tenant's and a more urgent one are let in."""
    plan = schedule(cap=1, per=10.0, wait=50.0, default=1)
    assert plan.ask(0.0, arrive(plan, 0.0))
    for _ in range(4):
        assert isinstance(plan.arrive(0.0, "default", tenant="a"), Call)
    refused = plan.arrive(0.0, "default", tenant="a")
    assert isinstance(refused, Rejected)
    assert refused.reason == "queue-timeout"
    assert isinstance(plan.arrive(0.0, "default", tenant="b"), Call)
    assert isinstance(plan.arrive(0.0, "default", tenant="a", priority="high"), Call)


def test_a_pause_that_outlasts_the_wait_is_told_at_arrival() -> None:
    """Given a lane paused for longer than `max_wait`, when a call comes, then it is told when the pause ends."""
    plan = schedule(wait=50.0)
    plan.pause("default", 60.0)
    plan.pause("default", 20.0)
    plan.pause("gone", 20.0)
    assert plan.arrive(0.0, "default") == Rejected("queue-timeout", 60.0)
    assert arrive(plan, 10.0).state is State.WAITING
    assert plan.next_event(10.0) == 60.0
    assert plan.admit(59.0) == []
    assert len(plan.admit(60.0)) == 1


def test_a_budget_that_is_changed_goes_on_counting() -> None:
    """Given aged calls of another lane, when the budget's limit changes, then they still count against it."""
    plan = schedule(long=5, default=5)
    lanes = {"long": 5, "default": 5}
    plan.adapt(lanes, max_depth=10, max_wait=60.0, long_calls=LongCalls("long", 3, 20.0))
    for _ in range(2):
        assert plan.ask(0.0, arrive(plan, 0.0))
    assert (plan.aged(19.9), plan.aged(20.0)) == (0, 2)
    plan.adapt(lanes, max_depth=10, max_wait=60.0, long_calls=LongCalls("long", 2, 20.0))
    assert plan.aged(20.0) == 2
    assert arrive(plan, 20.0, "long").state is State.WAITING
    plan.adapt(lanes, max_depth=10, max_wait=60.0)
    assert plan.aged(20.0) == 0
    assert len(plan.admit(20.0)) == 1
