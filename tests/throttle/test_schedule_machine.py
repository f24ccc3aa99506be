"""The schedule on generated sequences, beside a naive model."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from gateway.throttle.call import Call, Rejected, State
from gateway.throttle.pace import Pace
from tests.throttle.samples import GUARD, schedule


class ScheduleMachine(RuleBasedStateMachine):
    """Every event in any order, with the schedule beside a model made of plain lists that are scanned."""

    @initialize(
        cap=st.integers(1, 5),
        lanes=st.dictionaries(st.sampled_from("abc"), st.integers(1, 4), min_size=1),
        depth=st.integers(0, 8),
        paced=st.booleans(),
    )
    def start(self, cap: int, lanes: dict[str, int], depth: int, paced: bool) -> None:
        self.now, self.cap, self.lanes, self.paced, self.drops = 100.0, cap, lanes, paced, 0
        pace = Pace(2, 1.0) if paced else None
        self.plan = schedule(cap, 4.0, depth, 6.0, pace, **lanes)
        self.waiting: dict[str, list[Call]] = {name: [] for name in lanes}
        self.ready: list[Call] = []
        self.calls: list[Call] = []  # all that are in
        self.slots: list[float] = []  # the times of all dispatches that were not given back

    def used(self) -> int:
        return sum(self.now < slot + 4.0 + GUARD for slot in self.slots)

    def pending(self, name: str) -> int:
        return sum(call.lane.name == name and call.state in (State.ADMITTED, State.READY) for call in self.calls)

    def permits(self, name: str) -> int:
        return sum(call.lane.name == name and call.state is not State.WAITING for call in self.calls)

    def may_admit(self, name: str) -> bool:
        free = self.cap - self.used()
        outstanding = sum(self.pending(other) for other in self.lanes)
        return self.permits(name) < self.lanes[name] and (not self.pending(name) or outstanding < free)

    def may_dispatch(self) -> bool:
        return bool(self.ready) and self.used() < self.cap and (not self.paced or self.drops > 0)

    def pump(self) -> None:
        """Do as the edge does, and hold what is owed against the model."""
        granted = []
        while self.may_dispatch():
            granted.append(self.ready.pop(0))
            self.slots.append(self.now)
            self.drops -= self.paced
        assert self.plan.dispatch(self.now) == granted
        overdue = {call for line in (*self.waiting.values(), self.ready) for call in line if call.deadline <= self.now}
        expired = self.plan.expire(self.now)
        assert set(expired) == overdue
        for call in expired:
            self.forget(call)
        for call in self.plan.admit(self.now):
            assert call is self.waiting[call.lane.name].pop(0)
        assert not any(self.waiting[name] and self.may_admit(name) for name in self.lanes)

    def forget(self, call: Call) -> None:
        assert call.state is State.DONE
        self.calls.remove(call)
        for line in (*self.waiting.values(), self.ready):
            if call in line:
                line.remove(call)

    def draw(self, data: st.DataObject, *states: State) -> Call | None:
        candidates = [call for call in self.calls if call.state in states]
        return data.draw(st.sampled_from(candidates)) if candidates else None

    @rule(name=st.sampled_from("abc"))
    def arrives(self, name: str) -> None:
        if name not in self.lanes:
            return
        admissible = not self.waiting[name] and self.may_admit(name)
        full = sum(map(len, self.waiting.values())) >= self.plan.max_depth
        call = self.plan.arrive(self.now, name)
        if isinstance(call, Rejected):
            assert call.retry_after >= 0
            assert call.reason == "queue-timeout" or (full and not admissible)
            return
        assert admissible or not full
        assert call.state is (State.ADMITTED if admissible else State.WAITING)
        assert call.deadline == self.now + 6.0
        self.calls.append(call)
        if not admissible:
            self.waiting[name].append(call)

    @rule(data=st.data())
    def asks(self, data: st.DataObject) -> None:
        call = self.draw(data, State.ADMITTED, State.RUNNING)
        if call is None:
            return
        again = call.granted is not None
        self.ready.insert(0 if again else len(self.ready), call)
        at_once = len(self.ready) == 1 and self.may_dispatch()
        assert self.plan.ask(self.now, call) is at_once
        if at_once:
            self.ready.remove(call)
            self.slots.append(self.now)
            self.drops -= self.paced
        self.pump()

    @rule(data=st.data())
    def cannot_write(self, data: st.DataObject) -> None:
        call = self.draw(data, State.RUNNING)
        if call is None:
            return
        assert call.granted is not None
        if self.now < call.granted + 4.0 + GUARD:
            self.slots.remove(call.granted)
        self.drops += self.paced
        self.plan.unsent(call)
        assert call.state is State.ADMITTED
        self.pump()

    @rule(data=st.data())
    def wakes(self, data: st.DataObject) -> None:
        call = self.draw(data, State.GRANTED)
        if call is None:
            return
        assert call.granted is not None
        in_time = self.now - call.granted <= GUARD
        assert self.plan.confirm(self.now, call) is in_time
        assert call.state is (State.RUNNING if in_time else State.ADMITTED)

    @rule(data=st.data())
    def leaves(self, data: st.DataObject) -> None:
        call = self.draw(data, *set(State) - {State.DONE})
        if call is None:
            return
        if call.state is State.GRANTED:
            assert call.granted is not None
            self.slots.remove(call.granted)
        assert self.plan.leave(self.now, call)
        assert not self.plan.leave(self.now, call)
        self.forget(call)
        self.pump()

    @precondition(lambda self: self.paced)
    @rule()
    def drips(self) -> None:
        assert self.plan.thirsty(self.now) == (bool(self.ready) and not self.drops)
        if self.plan.thirsty(self.now):
            self.plan.drop()
            self.drops += 1
            self.pump()

    @rule(step=st.integers(1, 64).map(lambda n: n / 16))
    def time_passes(self, step: float) -> None:
        """Nothing is owed before the moment that was announced."""
        end = self.now + step
        self.pump()
        while (when := self.plan.next_event(self.now)) is not None and when <= end:
            assert when > self.now
            self.now = when - 1 / 64
            assert not self.may_dispatch()
            assert not any(self.waiting[name] and self.may_admit(name) for name in self.lanes)
            assert not any(call.deadline <= self.now for line in self.waiting.values() for call in line)
            assert not any(call.deadline <= self.now for call in self.ready)
            self.now = when
            self.pump()
        self.now = end
        assert not self.may_dispatch()
        assert not any(self.waiting[name] and self.may_admit(name) for name in self.lanes)

    @rule(step=st.integers(1, 64).map(lambda n: n / 16))
    def loop_stalls(self, step: float) -> None:
        """Time passes and nobody looks."""
        self.now += step

    @rule()
    def closes(self) -> None:
        evicted = self.plan.evict(self.now)
        assert set(evicted) == {call for call in self.calls if call.state is State.DONE}
        for call in evicted:
            self.forget(call)
        assert not self.plan.anybody

    @invariant()
    def agrees(self) -> None:
        if not hasattr(self, "plan"):
            return
        assert self.plan.window.used(self.now) == self.used() <= self.cap
        assert self.plan.depth == sum(map(len, self.waiting.values())) <= self.plan.max_depth
        assert self.plan.anybody == bool(self.plan.depth or self.ready)
        for name, concurrency in self.lanes.items():
            lane = self.plan.lanes[name]
            assert list(lane.waiting) == self.waiting[name]
            assert lane.in_flight == self.permits(name) <= concurrency
            assert lane.pending == self.pending(name)
        assert {call for call in self.calls if call.state is State.READY} == set(self.ready)


TestSchedule = ScheduleMachine.TestCase
TestSchedule.settings = settings(max_examples=250, stateful_step_count=60, deadline=None)
TestSchedule.__doc__ = "No slot leaks, none is released twice, no waiter is forgotten, the order is as promised."
