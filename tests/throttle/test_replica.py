"""One replica of a fleet, by the answers it gets."""

from __future__ import annotations

from typing import Any

from gateway.throttle.call import Call
from gateway.throttle.fleet import Answer, LaneAnswer, Statement
from gateway.throttle.fleet_slots import FleetSlots
from gateway.throttle.long_calls import LongCalls
from gateway.throttle.replica import HEARTBEAT, NOTICE, POLL, Replica
from gateway.throttle.schedule import Schedule

AHEAD = 1_000_000.0


def replica(*, replicas: int = 1, cap: int = 8, **lanes: int) -> Replica:
    """A replica with these lanes, or one of four permits; a window of 2 s with a guard of 50 ms."""
    slots = FleetSlots("me", cap, 2.0, 0.05)
    schedule = Schedule(lanes or {"default": 4}, slots, max_depth=50, max_wait=30.0)
    made = Replica("me", schedule, slots)
    made.replicas = replicas
    made.timeouts = dict.fromkeys(schedule.lanes, 5.0)
    return made


def answer(now: float, verdict: Any = "open", *, granted: int = 0, contended: bool = False, **changes: Any) -> Answer:
    """An answer of the books at a time of the replica."""
    values: dict[str, Any] = {
        "now": round((now + AHEAD) * 1e6), "verdict": verdict, "epoch": "one", "slots": (), "rank": 0,
        "lanes": (LaneAnswer(granted, contended, 4),), "replicas": ("me",), "cap": 8, "span": 2_050_000, "used": 0,
        "next": 0, "log": None, "data_lost": False,
    } | changes  # fmt: skip
    return Answer(**values)


def told(made: Replica, now: float, verdict: Any = "open", **changes: Any) -> Statement:
    """Have it make its statement and hear that answer."""
    statement = made.statement(now)
    made.answered(answer(now, verdict, **changes), now, now)
    return statement


def wait(made: Replica, now: float) -> Call:
    """Let a call arrive that finds no permit."""
    call = made.schedule.arrive(now, "default")
    assert isinstance(call, Call)
    return call


def test_nothing_goes_before_the_books_were_heard() -> None:
    """Given a new replica, then it has no permits, speaks at once, and takes what it is granted."""
    made = replica()
    assert made.due(10.0) == 10.0
    wait(made, 10.0)
    assert made.schedule.admit(10.0) == []
    assert told(made, 10.0).standing == "new"
    assert told(made, 10.1, granted=1).lanes[0].wants == 1
    assert len(made.schedule.admit(10.1)) == 1
    assert made.standing == "shared"


def test_an_idle_replica_says_that_it_lives() -> None:
    """Given nothing to do, then it speaks a heartbeat later; after a refused wish, a poll later; and news hurry it."""
    made = replica()
    told(made, 10.0)
    told(made, 10.0)
    assert made.due(10.0) == 10.0 + HEARTBEAT
    wait(made, 10.1)
    assert made.due(10.1) == 10.1
    told(made, 10.1)
    assert made.due(10.2) == 10.1 + POLL
    made.hurry()
    assert made.due(10.2) == 10.2


def test_permits_that_nobody_uses_are_given_up() -> None:
    """Given more permits than its share on the books and no call, then the next statement is due at once and holds the
    share; and none once another replica waits for one."""
    made = replica(replicas=2)
    told(made, 10.0)
    calls = [wait(made, 10.0) for _ in range(3)]
    told(made, 10.0, granted=3)
    assert made.schedule.admit(10.0) == calls
    for call in calls:
        made.schedule.leave(10.1, call)
    assert made.due(10.1) == 10.1
    assert told(made, 10.1).lanes[0].held == 2
    assert made.due(10.2) > 10.2
    made.hurry()
    assert told(made, 10.2, contended=True).lanes[0].held == 2
    assert made.due(10.2) == 10.2
    assert told(made, 10.3, contended=True).lanes[0].held == 0


def test_a_share_of_permits_is_kept_in_reserve() -> None:
    """Given no call, then a replica asks for its share, without a claim to it."""
    made = replica(replicas=2)
    told(made, 10.0)
    (lane,) = made.statement(10.1).lanes
    assert (lane.held, lane.wants, lane.spare) == (0, 0, 2)


def test_under_contention_a_freed_permit_is_not_used_again() -> None:
    """Given another replica that waits, when a call ends, then its permit is not stated, though a call waits here."""
    made = replica()
    told(made, 10.0)
    first, _second = wait(made, 10.0), wait(made, 10.0)
    told(made, 10.0, granted=1, contended=True)
    assert made.schedule.admit(10.0) == [first]
    made.schedule.leave(10.1, first)
    made.left(first.lane)
    assert made.schedule.admit(10.1) == []
    statement = told(made, 10.1)
    assert (statement.lanes[0].held, statement.lanes[0].wants) == (0, 1)


def test_lost_books_leave_what_was_held_and_then_the_share() -> None:
    """Given books that are lost, then no more permits than were held and than the share are used, until the longest
    call of before has ended; the share is an equal part, and one of the rest by rank."""
    made = replica(replicas=3)
    told(made, 10.0)
    calls = [wait(made, 10.0) for _ in range(6)]
    told(made, 10.0, granted=1)
    assert made.schedule.admit(10.0) == calls[:1]
    made.failed(11.0)
    assert made.degraded
    lane = made.schedule.lanes["default"]
    assert lane.concurrency == 1
    made.grow(11.0 + 5.0 + NOTICE)
    assert lane.concurrency == 2
    assert made.statement(20.0).standing == "sharing"


def test_a_lone_replica_that_loses_the_books_goes_on_as_before() -> None:
    """Given no other replica, then its share is the whole, at once."""
    made = replica()
    told(made, 10.0)
    made.failed(10.5)
    assert made.schedule.lanes["default"].concurrency == 4
    assert made.slots.free(10.5) == 8


def test_the_way_back_is_told_twice_and_sends_nothing_in_between() -> None:
    """Given a replica that lived on its share, then it tells all its sends to the books that gather, sends nothing once
    they close, tells the rest, and takes from them when they are open."""
    made = replica()
    told(made, 10.0)
    made.failed(10.5)
    made.slots.take(10.6)
    gathering = told(made, 11.0, "gathering", epoch="two")
    assert (gathering.standing, len(gathering.sends)) == ("sharing", 1)
    made.slots.take(11.1)
    again = told(made, 11.2, "closing", epoch="two")
    assert (again.epoch, len(again.sends)) == ("two", 2)
    assert made.slots.free(11.2) == 0
    last = told(made, 11.3, "open", epoch="two")
    assert (last.standing, last.sends) == ("held", ())
    assert made.standing == "shared"
    assert not made.degraded


def test_an_answer_to_what_was_said_before_a_loss_is_no_answer() -> None:
    """Given books that were lost while a statement was under way, then what they granted is not taken."""
    made = replica()
    told(made, 10.0)
    wait(made, 10.0)
    made.statement(10.1)
    made.failed(10.2)
    made.answered(answer(10.2, granted=3), 10.1, 10.2)
    assert made.standing == "sharing"


def test_a_clock_that_was_set_is_a_loss_and_asks_for_a_new_beginning() -> None:
    """Given a store whose clock is set, then what it granted is not taken, and the next statement says so, once."""
    made = replica()
    told(made, 10.0)
    made.statement(10.5)
    made.answered(answer(10.5 + 3600.0, slots=(("me:2:0", 0),)), 10.5, 10.5)
    assert made.standing == "sharing"
    assert not made.slots.reserved
    assert made.statement(10.6).reset
    made.answered(answer(10.6 + 3600.0, "gathering", epoch="two"), 10.6, 10.6)
    assert not made.statement(10.7).reset


def test_a_replica_that_goes_leaves_nothing() -> None:
    """Given a replica that ends, then its last statement holds nothing and gives its reservations back."""
    made = replica()
    told(made, 10.0)
    made.statement(10.1)
    made.answered(answer(10.1, slots=(("me:2:0", round((12.0 + AHEAD) * 1e6)),)), 10.1, 10.1)
    statement = made.statement(10.2, leaving=True)
    assert (statement.standing, statement.back) == ("leaving", ("me:2:0",))
    assert [lane.held for lane in statement.lanes] == [0]


def test_the_budget_of_long_calls_is_told() -> None:
    """Given no budget, then none is stated; given one, then it is, with the replica's own calls that have aged."""
    made = replica()
    statement = made.statement(10.0)
    assert (statement.long_lane, statement.long_limit, statement.aged) == ("", 0, 0)
    made = replica(default=4, reports=4)
    made.long_calls = LongCalls("reports", 5, 1.0)
    made.schedule.adapt({"default": 4, "reports": 4}, max_depth=50, max_wait=30.0, long_calls=made.long_calls)
    made.failed(10.0)
    call = wait(made, 10.0)
    assert made.schedule.ask(10.0, call)
    statement = made.statement(11.5)
    assert (statement.long_lane, statement.long_limit, statement.aged) == ("reports", 5, 1)
