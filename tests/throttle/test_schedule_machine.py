"""The schedule on generated sequences, beside a naive model."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from gateway.throttle.call import Call, Lane, Rejected, State
from gateway.throttle.line import AGEING, Priority
from gateway.throttle.long_calls import LongCalls
from gateway.throttle.pace import Pace
from tests.throttle.samples import GUARD, schedule


class ScheduleMachine(RuleBasedStateMachine):
    """Every event in any order, with the schedule beside a model made of plain lists that are scanned."""

    @initialize(
        cap=st.integers(1, 5),
        lanes=st.dictionaries(st.sampled_from("abc"), st.integers(1, 4), min_size=1),
        depth=st.integers(0, 8),
        paced=st.booleans(),
        long_limit=st.integers(0, 4),
    )
    def start(self, cap: int, lanes: dict[str, int], depth: int, paced: bool, long_limit: int) -> None:
        self.now, self.cap, self.lanes, self.paced, self.drops = 100.0, cap, lanes, paced, 0
        pace = Pace(2, 1.0) if paced else None
        self.plan = schedule(cap, 4.0, depth, 6.0, pace, **lanes)
        self.long = LongCalls(next(iter(lanes)), long_limit, 2.0) if long_limit else None
        self.plan.adapt(lanes, max_depth=depth, max_wait=6.0, pace=pace, long_calls=self.long)
        self.paused: dict[Lane, float] = {}
        self.turns: dict[str, list[str]] = {name: [] for name in lanes}  # tenants, the next one's turn first
        self.dispatched: dict[Call, float] = {}
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

    def flows(self, lane: Lane) -> bool:
        return self.paused.get(lane, 0.0) <= self.now

    def aged(self) -> int:
        counted = (call for call in self.dispatched if self.long and call.lane.name != self.long.lane)
        return sum(self.dispatched[call] + 2.0 <= self.now for call in counted)

    def may_admit(self, name: str) -> bool:
        lane, free = self.plan.lanes[name], self.cap - self.used()
        outstanding = sum(self.pending(other) for other in self.lanes if self.flows(self.plan.lanes[other]))
        room = self.flows(lane) and self.permits(name) < self.lanes[name]
        if self.long and name == self.long.lane:
            room = room and self.permits(name) + self.aged() < self.long.limit
        return room and (not self.pending(name) or outstanding < free)

    def may_dispatch(self) -> bool:
        flowing = any(self.flows(call.lane) for call in self.ready)
        return flowing and self.used() < self.cap and (not self.paced or self.drops > 0)

    def turn(self, name: str) -> Call:
        """The call that is due: the first tenant's; of its calls the one with the lowest rank, the earlier of equals
        that have the same priority."""
        tenant = self.turns[name][0]
        own = [call for call in self.waiting[name] if call.tenant == tenant]
        return min(own, key=lambda call: call.rank)

    def left(self, name: str, tenant: str) -> None:
        if not any(call.tenant == tenant for call in self.waiting[name]):
            self.turns[name].remove(tenant)

    def runs(self, call: Call) -> None:
        self.slots.append(self.now)
        self.drops -= self.paced
        self.dispatched[call] = self.now

    def pump(self) -> None:
        """Do as the edge does, and hold what is owed against the model."""
        granted = []
        while self.may_dispatch():
            call = next(call for call in self.ready if self.flows(call.lane))
            self.ready.remove(call)
            self.runs(call)
            granted.append(call)
        assert self.plan.dispatch(self.now) == granted
        overdue = {call for line in (*self.waiting.values(), self.ready) for call in line if call.deadline <= self.now}
        expired = self.plan.expire(self.now)
        assert set(expired) == overdue
        assert [call.deadline for call in expired] == sorted(call.deadline for call in expired)
        for call in expired:
            self.forget(call)
        for call in self.plan.admit(self.now):
            name = call.lane.name
            due = self.turn(name)
            assert call is due or (call.rank == due.rank and call.tenant == due.tenant)
            self.waiting[name].remove(call)
            self.turns[name].append(self.turns[name].pop(0))
            self.left(name, call.tenant)
        assert not any(self.waiting[name] and self.may_admit(name) for name in self.lanes)

    def forget(self, call: Call) -> None:
        assert call.state is State.DONE
        self.calls.remove(call)
        self.dispatched.pop(call, None)
        if call in self.ready:
            self.ready.remove(call)
        for name, line in self.waiting.items():
            if call in line:
                line.remove(call)
                self.left(name, call.tenant)

    def draw(self, data: st.DataObject, *states: State) -> Call | None:
        candidates = [call for call in self.calls if call.state in states]
        return data.draw(st.sampled_from(candidates)) if candidates else None

    @rule(
        name=st.sampled_from("abc"),
        tenant=st.sampled_from(["", "t", "u"]),
        priority=st.sampled_from(list(AGEING)),
        given=st.none() | st.integers(0, 96).map(lambda n: n / 16),
    )
    def arrives(self, name: str, tenant: str, priority: Priority, given: float | None) -> None:
        if name not in self.lanes:
            return
        deadline = None if given is None else self.now + given
        admissible = not self.waiting[name] and self.may_admit(name)
        full = sum(map(len, self.waiting.values())) >= self.plan.max_depth
        call = self.plan.arrive(self.now, name, tenant=tenant, priority=priority, deadline=deadline)
        if isinstance(call, Rejected):
            assert call.retry_after >= 0
            assert call.reason == "queue-timeout" or (full and not admissible)
            return
        assert admissible or not full
        assert call.state is (State.ADMITTED if admissible else State.WAITING)
        assert call.deadline == (self.now + 6.0 if deadline is None else deadline)
        assert call.rank == self.now + 6.0 * AGEING[priority]
        self.calls.append(call)
        if not admissible:
            self.waiting[name].append(call)
            if tenant not in self.turns[name]:
                self.turns[name].append(tenant)

    @rule(name=st.sampled_from("abc"), seconds=st.integers(0, 64).map(lambda n: n / 16))
    def upstream_asks_for_a_pause(self, name: str, seconds: float) -> None:
        self.plan.pause(name, self.now + seconds)
        if name in self.lanes:
            lane = self.plan.lanes[name]
            self.paused[lane] = max(self.paused.get(lane, 0.0), self.now + seconds)

    @rule(
        cap=st.integers(1, 5),
        lanes=st.dictionaries(st.sampled_from("abc"), st.integers(1, 4), min_size=1),
        depth=st.integers(0, 8),
    )
    def limits_change(self, cap: int, lanes: dict[str, int], depth: int) -> None:
        """Every waiting call keeps its place and its deadline; those of a lane that is gone go to the last one."""
        before = {call: (call.state, call.deadline) for call in self.calls}
        self.plan.window.resize(cap, 4.0, GUARD)
        self.plan.adapt(lanes, max_depth=depth, max_wait=6.0, pace=self.plan.pace, long_calls=self.long)
        assert before == {call: (call.state, call.deadline) for call in self.calls}
        self.cap, self.lanes, last = cap, lanes, list(lanes)[-1]
        moved = [call for name in self.waiting if name not in lanes for call in self.waiting[name]]
        assert all(call.lane is self.plan.lanes[last] for call in moved)
        lines = {name: self.waiting.get(name, []) for name in lanes}
        if moved:
            lines[last] = sorted([*lines[last], *moved], key=lambda call: call.rank)
            self.turns[last] = list(dict.fromkeys(call.tenant for call in self.plan.lanes[last].waiting))
        self.waiting, self.turns = lines, {name: self.turns.get(name, []) for name in lanes}
        self.pump()

    @rule(data=st.data())
    def asks(self, data: st.DataObject) -> None:
        call = self.draw(data, State.ADMITTED, State.RUNNING)
        if call is None:
            return
        again = call.granted is not None
        self.dispatched.pop(call, None)
        others = any(self.flows(other.lane) for other in self.ready)
        self.ready.insert(0 if again else len(self.ready), call)
        at_once = not others and self.may_dispatch()
        assert self.plan.ask(self.now, call) is at_once
        if at_once:
            self.ready.remove(call)
            self.runs(call)
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
        self.dispatched.pop(call)
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
        if not in_time:
            del self.dispatched[call]

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
        assert self.plan.thirsty(self.now) == (any(self.flows(call.lane) for call in self.ready) and not self.drops)
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
        assert self.plan.window.used(self.now) == self.used()
        assert self.plan.depth == sum(map(len, self.waiting.values()))
        assert self.plan.aged(self.now) == self.aged()
        assert self.plan.anybody == bool(self.plan.depth or self.ready)
        for name, concurrency in self.lanes.items():
            lane = self.plan.lanes[name]
            assert set(lane.waiting) == set(self.waiting[name])
            assert lane.waiting.size == len(self.waiting[name])
            assert lane.limit == lane.concurrency == concurrency
            assert lane.in_flight == self.permits(name)
            assert lane.pending == self.pending(name)
        assert {call for call in self.calls if call.state is State.READY} == set(self.ready)


TestSchedule = ScheduleMachine.TestCase
TestSchedule.settings = settings(max_examples=250, stateful_step_count=60, deadline=None)
TestSchedule.__doc__ = "No slot leaks, none is released twice, no waiter is forgotten, the order is as promised."
