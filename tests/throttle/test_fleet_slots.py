"""The slots of a shared window, as one replica's schedule sees them."""

from __future__ import annotations

import pytest

from gateway.throttle.fleet_slots import FleetSlots
from gateway.throttle.window import Taken, Wait, Window

AHEAD = 1_000_000.0
"""The store's clock less the replica's, in seconds."""


def slots(cap: int = 4, uncertain: float = 0.01) -> FleetSlots:
    """Slots whose store's time is known within twice `uncertain` seconds; 2 s and a guard of 50 ms."""
    made = FleetSlots("me", cap, 2.0, 0.05)
    made.clock.observe(10.0 - uncertain, 10.0 + uncertain, 10.0 + AHEAD)
    return made


def us(at: float) -> int:
    """The store's time at a time of the replica, in microseconds."""
    return round((at + AHEAD) * 1e6)


def test_a_slot_is_taken_when_it_is_surely_due_and_not_after_it_may_be_late() -> None:
    """Given a slot reserved for a time to come, then it cannot be taken before the store has surely reached that time,
    nor when the guard may be over."""
    made = slots()
    made.reserve([("me:1:0", us(11.0))])
    early = made.take(11.005)
    assert isinstance(early, Wait)
    assert early.seconds == pytest.approx(0.005, abs=1e-3)
    taken = made.take(11.011)
    assert isinstance(taken, Taken)
    assert taken.at + made.guard == pytest.approx(11.04, abs=1e-3)
    made.reserve([("me:1:1", us(12.0))])
    assert isinstance(made.take(12.045), Wait)
    assert not made.reserved


def test_a_clock_that_is_known_too_badly_leaves_no_time_for_a_slot() -> None:
    """Given bounds wider than the guard, then a slot is never surely in time, and none is used."""
    made = slots(uncertain=0.03)
    made.reserve([("me:1:0", us(11.0))])
    assert not any(isinstance(made.take(10.9 + step / 1000), Taken) for step in range(300))


def test_a_refunded_slot_goes_to_the_next_call_in_time() -> None:
    """Given a slot that could not be used, then it may be taken again until it is late, and counts as no send."""
    made = slots()
    made.reserve([("me:1:0", us(11.0))])
    taken = made.take(11.011)
    assert isinstance(taken, Taken)
    made.refund(taken.at)
    assert made.sends_after(0, 11.011)[0] == []
    assert isinstance(made.take(11.02), Taken)
    assert [member for member, _ in made.sends_after(0, 11.02)[0]] == ["me:1:0"]


def test_sends_are_told_for_a_span_and_no_earlier_than_they_were() -> None:
    """Given sends, granted or not, then they are told as late as they may have been, once each, for a span."""
    made = slots()
    made.reserve([("me:1:0", us(11.0))])
    made.take(11.011)
    made.stand_alone(Window(2, 2.0, 0.05))
    assert isinstance(made.take(11.5), Taken)
    told, last = made.sends_after(0, 11.6)
    assert [member for member, _ in told] == ["me:1:0", "me:s1"]
    assert all(at >= us(when) for (_, at), when in zip(told, (11.0, 11.5), strict=True))
    assert made.sends_after(last, 11.6) == ([], last)
    assert [member for member, _ in made.sends_after(0, 13.1)[0]] == ["me:s1"]


def test_what_is_closed_gives_nothing() -> None:
    """Given books that are about to open, then no slot is taken, and none is promised."""
    made = slots()
    made.stand_alone(Window(2, 2.0, 0.05))
    made.closed = True
    assert isinstance(made.take(11.0), Wait)
    assert made.free(11.0) == 0
    assert made.next_free(11.0) is None
    made.rely()
    assert made.free(11.0) == 4


def test_the_view_tells_what_is_free() -> None:
    """Given a view of the fleet's log, then what is free, used and next follows from it, and from what was reserved."""
    made = slots(cap=3)
    made.see([(us(9.0), False), (us(9.5), True)], 10.0)
    made.in_force(3, 2.05)
    assert (made.used(10.1), made.free(10.1)) == (2, 1)
    made.reserve([("me:2:0", us(10.2))])
    assert made.free(10.1) == 1
    assert made.slot_after(10.1, 0) == pytest.approx(10.21, abs=1e-2)
    assert made.slot_after(10.1, 1) == pytest.approx(11.06, abs=1e-2)
    assert made.give_back() == ("me:2:0",)
