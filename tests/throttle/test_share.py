"""What replicas send while the fleet's log is lost: never more, all together, than the log would have given."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.throttle.share import Turns, share_of, window_of
from gateway.throttle.store_clock import StoreClock
from gateway.throttle.window import Taken

PER, GUARD = 10.0, 0.5
SPAN = PER + GUARD


class Log:
    """The fleet's log as the books keep it: each slot as early as the limit allows, reserved if that is to come."""

    def __init__(self, cap: int) -> None:
        self.cap = cap
        self.slots: list[tuple[float, int]] = []

    def reserve(self, now: float, replica: int) -> float:
        at = max(now, self.slots[-1][0] if self.slots else now)
        if len(self.slots) >= self.cap:
            at = max(at, self.slots[-self.cap][0] + SPAN)
        self.slots.append((at, replica))
        return at


def busiest(times: list[float], span: float) -> int:
    """Return the most times that lie in any half-open stretch of that length."""
    times = sorted(times)
    most = first = 0
    for last, at in enumerate(times):
        while at - times[first] >= span - 1e-9:
            first += 1
        most = max(most, last - first + 1)
    return most


@settings(max_examples=300, deadline=None)
@given(data=st.data(), cap=st.integers(2, 24), replicas=st.integers(1, 4), lanes=st.integers(1, 2))
def test_no_span_sees_more_than_the_cap_across_a_loss(data: st.DataObject, cap: int, replicas: int, lanes: int) -> None:
    """Given a log that the replicas saw at different times up to a second before it was lost, with slots reserved for
    later, when each of them notices in its own time and then sends all that its share allows, then no span anywhere
    holds more than the cap."""
    log, now, sends = Log(cap), 0.0, []
    outstanding: list[list[float]] = [[] for _ in range(replicas)]
    for _ in range(data.draw(st.integers(0, 12), label="bursts")):
        now += data.draw(st.sampled_from([0.0, 0.1, 0.5, 2.0, SPAN]))
        replica = data.draw(st.integers(0, replicas - 1))
        for _ in range(data.draw(st.integers(1, cap))):
            outstanding[replica] = [at for at in outstanding[replica] if at > now]
            if len(outstanding[replica]) < lanes:
                outstanding[replica].append(log.reserve(now, replica))
    views = []
    for replica in range(replicas):  # what it saw at some time, and what it was granted since
        seen = data.draw(st.integers(0, len(log.slots)), label="seen")
        views.append(log.slots[:seen] + [slot for slot in log.slots[seen:] if slot[1] == replica])
    gone = now
    noticed = [gone + data.draw(st.sampled_from([0.0, 0.2, 1.5]), label="noticed") for _ in range(replicas)]
    for at, replica in log.slots:  # reserved slots are used until the loss is noticed, and given up then
        if at <= noticed[replica]:
            sends.append(at)
    for replica in range(replicas):
        seen = [at for at, _ in views[replica]]
        times = share_of(seen, cap=cap, span=SPAN, lost=noticed[replica], replicas=replicas, lanes=lanes)
        assert len(times) == cap // replicas or (replicas == 1 and len(times) <= cap)
        if cap < replicas:
            continue
        window = window_of(times, cap // replicas, PER, GUARD)
        moment = noticed[replica]
        while moment < gone + 4 * SPAN:
            while isinstance(window.take(moment), Taken):
                sends.append(moment)
            moment += data.draw(st.sampled_from([0.25, 1.0]))
    assert busiest(sends, SPAN) <= cap


@settings(max_examples=100, deadline=None)
@given(data=st.data(), replicas=st.integers(2, 6))
def test_replicas_with_less_than_a_call_each_take_turns(data: st.DataObject, replicas: int) -> None:
    """Given a cap below the number of replicas and clocks that are only roughly known, when all of them send whenever
    they may, then no span holds more than the cap, and each of them sends."""
    cap = data.draw(st.integers(1, replicas - 1))
    turns = []
    for rank in range(replicas):
        clock = StoreClock(GUARD)
        error = data.draw(st.floats(0.0, 0.2))
        clock.observe(-error, error, 1000.0)
        turns.append(Turns(cap, SPAN, GUARD, clock=clock, rank=rank, replicas=replicas, begin=0.0))
    sends: list[float] = []
    senders = set()
    now = 0.0
    while now < 3 * replicas * SPAN:
        for rank, turn in enumerate(turns):
            while isinstance(turn.take(now), Taken):
                sends.append(now)
                senders.add(rank)
        now += 0.3
    assert busiest(sends, SPAN) <= cap
    assert senders == set(range(replicas))
    assert all((when := turn.next_free(now)) is not None and when > now for turn in turns)


def test_without_a_rank_there_is_no_turn() -> None:
    """Given a store that was never reached, then a replica with less than a call sends nothing."""
    turn = Turns(1, SPAN, GUARD, clock=StoreClock(GUARD), rank=None, replicas=3, begin=0.0)
    assert not isinstance(turn.take(50.0), Taken)
    assert turn.next_free(50.0) is None
    assert turn.free(50.0) == 0


def test_a_lone_replica_keeps_its_whole_log() -> None:
    """Given no other replica, then what is free stays free, and only its own sends count."""
    times = share_of([1.0, 2.0], cap=5, span=SPAN, lost=3.0, replicas=1, lanes=2)
    assert times == [1.0, 2.0]


def test_slots_that_another_replica_had_reserved_unseen_are_left_to_it() -> None:
    """Given a full log, when another replica reserved the next two slots behind this one's back and uses them because
    it has not noticed the loss yet, then this one's first send comes after them all, and no span is over the cap."""
    log = [0.0, 0.1, 0.2, 0.3]
    reserved = [0.0 + SPAN, 0.1 + SPAN]
    window = window_of(share_of(log, cap=4, span=SPAN, lost=10.1, replicas=2, lanes=2), 2, PER, GUARD)
    sends = [*log, *reserved]
    moment = 10.1
    while moment < 2 * SPAN:
        while isinstance(window.take(moment), Taken):
            sends.append(moment)
        moment += 0.05
    assert busiest(sends, SPAN) <= 4
    assert len(sends) > 6
