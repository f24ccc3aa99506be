"""Who waits, who is admitted, who goes: every decision of the throttle, without waiting for anything.

The one idea: a call needs two things, in this order. A *permit* of its lane admits it, and it may then obtain a
connection; a *slot* of the shared window lets it write, and is taken only when that connection is ready. Calls are
admitted no faster than the window has slots to offer, but each lane may always have one call outstanding, so permits
are not hoarded by calls that only wait for the window, and the next call stands ready when a slot ages out.

Each event changes the state, and each of `dispatch`, `expire`, `admit` returns the calls that are owed a wake-up, so
that the edge (`gateway.throttle.throttler`) only performs. Every operation costs the same whatever the number waiting.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import inf

from gateway.throttle.call import ADMITTED, DONE, GRANTED, READY, RUNNING, WAITING, Call, Lane, Rejected
from gateway.throttle.deadlines import Deadlines
from gateway.throttle.forecast import earliest, expected_wait
from gateway.throttle.line import AGEING, Priority
from gateway.throttle.long_calls import Ageing, LongCalls
from gateway.throttle.pace import Pace
from gateway.throttle.ready import Ready
from gateway.throttle.window import Slots, Taken


class Schedule:
    """The lanes of one upstream, the window they share, and the bounds of the wait."""

    __slots__ = (
        "_ageing", "_deadlines", "_draining", "depth", "lanes", "max_depth", "max_wait", "pace", "ready", "window",
    )  # fmt: skip

    def __init__(
        self,
        lanes: Mapping[str, int],
        window: Slots,
        *,
        max_depth: int,
        max_wait: float,
        pace: Pace | None = None,
        guesses: Mapping[str, float] | None = None,
        long_calls: LongCalls | None = None,
    ) -> None:
        """`lanes` maps each name to its concurrency, `guesses` to the seconds that its first call is taken to run."""
        self.window = window
        self.depth = 0  # calls waiting in all lanes
        self.lanes: dict[str, Lane] = {}
        self._draining: tuple[Lane, ...] = ()
        """Lanes that a change has taken out while calls were in flight."""
        self.ready = Ready()
        self._deadlines = Deadlines()
        self._ageing: Ageing | None = None
        self.adapt(lanes, max_depth=max_depth, max_wait=max_wait, pace=pace, guesses=guesses, long_calls=long_calls)

    def adapt(
        self,
        lanes: Mapping[str, int],
        *,
        max_depth: int,
        max_wait: float,
        pace: Pace | None = None,
        guesses: Mapping[str, float] | None = None,
        long_calls: LongCalls | None = None,
    ) -> None:
        """Put other limits in force at once; the window is resized by its owner.

        Calls that wait keep their place and their deadline; those of a lane that is no more go to the last one. What is
        in flight drains: a lowered concurrency ends nobody.
        """
        before = {lane.name: lane for lane in (*self._draining, *self.lanes.values())}
        self.lanes = {}
        for name, limit in lanes.items():
            lane = self.lanes[name] = before.get(name) or Lane(name, limit, (guesses or {}).get(name, 0.0))
            lane.limit = lane.concurrency = limit
        gone = [lane for name, lane in before.items() if name not in lanes]
        for other in gone:
            lane.inherit(other)
        self._draining = tuple(other for other in gone if other.in_flight)
        self.max_depth, self.max_wait, self.pace = max_depth, max_wait, pace
        self._ageing = Ageing(long_calls, self._ageing) if long_calls else None

    # Events: what happens to a call.

    def arrive(
        self, now: float, name: str, *, tenant: str = "", priority: Priority = "normal", deadline: float | None = None
    ) -> Call | Rejected:
        """Let a call in: admitted at once, or waiting in its lane; or refuse it.

        Refused is what finds the queue full, and what cannot get a slot until its deadline (`max_wait` from now, unless
        it brings one) even if nothing but the window and the calls that go before it in its own lane is in its way.
        """
        lane = self.lanes[name]
        waiting = lane.waiting
        if deadline is None:
            deadline = now + self.max_wait
        if earliest(now, self.window, self.pace, lane, waiting.size + lane.pending) > deadline:
            # That many need not go before it all; it is looked into only when it matters.
            ahead = waiting.ahead(tenant, priority) + lane.pending
            if earliest(now, self.window, self.pace, lane, ahead) > deadline:
                return Rejected("queue-timeout", self.estimate(now, lane, tenant, priority))
        admissible = not waiting.size and lane.in_flight < lane.concurrency and self.has_room(now, lane)
        if not admissible and self.depth >= self.max_depth:
            return Rejected("queue-full", self.estimate(now, lane, tenant, priority))
        call = Call(lane, tenant, priority, now + AGEING[priority] * self.max_wait, deadline)
        if admissible:
            self._admit(call)
        else:
            waiting.add(call)
            self.depth += 1
            self._deadlines.add(call, self.depth + self.ready.size)
        return call

    def ask(self, now: float, call: Call) -> bool:
        """Say that the connection of `call` is ready; True when it has its slot at once and may write.

        Otherwise it waits for `dispatch`: behind those that were ready before it, or first when it had a slot already
        and needs another one.
        """
        if call.state is RUNNING:
            self._withdraw(call)
        if call.lane.paused_until <= now and self.ready.first(now) is None and self._take(now, call):
            call.state = RUNNING
            return True
        call.state = READY
        self.ready.add(call)
        self._deadlines.add(call, self.depth + self.ready.size)
        return False

    def confirm(self, now: float, call: Call) -> bool:
        """Say that `call` woke up with its slot; False when that took longer than `guard`.

        The slot then stays counted, and the call has to `ask` again.
        """
        assert call.granted is not None
        if now - call.granted <= self.window.guard:
            call.state = RUNNING
            return True
        self._withdraw(call)
        return False

    def unsent(self, call: Call) -> None:
        """Say that `call` could not use its slot: nothing was written, the slot is free, and it will `ask` anew."""
        assert call.state is RUNNING
        assert call.granted is not None
        self.window.refund(call.granted)
        if self.pace is not None:
            self.pace.drops += 1
        self._withdraw(call)

    def leave(self, now: float, call: Call) -> bool:
        """Take `call` out, whatever its state, and take back all it holds; False when it had left before."""
        state, lane = call.state, call.lane
        if state is DONE:
            return False
        call.state = DONE
        if state is WAITING:
            lane.waiting.remove(call)
            self.depth -= 1
            return True
        lane.in_flight -= 1
        if state is ADMITTED or state is READY:
            lane.pending -= 1
            if state is READY:
                self.ready.remove(call)
            return True
        assert call.granted is not None
        if self._ageing is not None:
            self._ageing.ends(call)
        if state is GRANTED:
            self.window.refund(call.granted)
        else:
            lane.ran(now - call.granted)
        return True

    def drop(self) -> None:
        """Say that the leaky bucket let one more call through."""
        assert self.pace is not None
        self.pace.drops += 1

    def pause(self, name: str, until: float) -> None:
        """Admit and grant nothing of a lane until then, because the upstream asked for it; the longest pause counts.

        A lane that is no more is not missed.
        """
        if (lane := self.lanes.get(name)) is not None:
            lane.paused_until = max(lane.paused_until, until)

    # What is owed, in the order in which the edge asks.

    def dispatch(self, now: float) -> list[Call]:
        """Grant slots to the calls that have been ready longest, as many as are free."""
        granted: list[Call] = []
        while self.ready.size and (call := self.ready.first(now)) is not None and self._take(now, call):
            self.ready.remove(call)
            call.state = GRANTED
            granted.append(call)
        return granted

    def expire(self, now: float) -> list[Call]:
        """Take out the calls that have waited until their deadline, in a line or for a slot."""
        expired = []
        while self._deadlines.next() <= now:
            expired.append(self._deadlines.pop())
            self.leave(now, expired[-1])
        return expired

    def admit(self, now: float) -> list[Call]:
        """Give permits to the next of each line, one a lane in turn, while concurrency and window allow."""
        admitted: list[Call] = []
        before = -1
        while self.depth and len(admitted) > before:
            before = len(admitted)
            for lane in self.lanes.values():
                if lane.waiting.size and lane.in_flight < lane.concurrency and self.has_room(now, lane):
                    call = lane.waiting.pop()
                    self.depth -= 1
                    self._admit(call)
                    admitted.append(call)
        return admitted

    def evict(self, now: float) -> list[Call]:
        """Take out every call that waits, in a line or for a slot."""
        waiting = [*(call for lane in self.lanes.values() for call in lane.waiting), *self.ready]
        for call in waiting:
            self.leave(now, call)
        return waiting

    # What the edge may ask.

    @property
    def anybody(self) -> bool:
        """Whether any call waits, in a line or for a slot."""
        return self.depth > 0 or self.ready.size > 0

    def thirsty(self, now: float) -> bool:
        """Whether a ready call waits for a drop of the leaky bucket."""
        return self.pace is not None and not self.pace.drops and self.ready.first(now) is not None

    def aged(self, now: float) -> int:
        """Return how many calls, outside the long lane, have run for so long that they count against its budget."""
        return self._ageing.aged(now) if self._ageing is not None else 0

    def next_event(self, now: float) -> float | None:
        """Return when time alone changes what is owed: a deadline passes, a pause ends, a slot ages out."""
        when, window = self._deadlines.next(), False
        if self.ready.size:
            when, window = min(when, self.ready.resumes(now)), self.ready.first(now) is not None
        for lane in self.lanes.values():
            if lane.waiting.size and lane.in_flight < lane.concurrency:
                if lane.paused_until > now:
                    when = min(when, lane.paused_until)
                else:
                    window = True
        if window and (free := self.window.next_free(now)) is not None:
            when = min(when, free)
        return when if when < inf else None

    def estimate(self, now: float, lane: Lane, tenant: str = "", priority: Priority = "normal") -> float:
        """Return the seconds that a call arriving in `lane` would wait, as things stand."""
        before = lane.waiting.ahead(tenant, priority)
        return expected_wait(now, lane, before, self.lanes.values(), self.window, self.pace)

    def has_room(self, now: float, lane: Lane) -> bool:
        """Return whether, its permits aside, the next call of a lane may be admitted."""
        if lane.paused_until > now:
            return False
        if lane.pending:
            free = self.window.free(now)
            for other in self.lanes.values():
                if other.paused_until <= now:  # the calls of a paused lane take no slot soon
                    free -= other.pending
            if free <= 0:
                return False
        return self._ageing is None or self._ageing.room(now, lane)

    def _admit(self, call: Call) -> None:
        call.state = ADMITTED
        call.lane.in_flight += 1
        call.lane.pending += 1

    def _take(self, now: float, call: Call) -> bool:
        """Take a slot for `call`, when there is one."""
        dry = self.pace is not None and not self.pace.drops
        if dry or not isinstance(taken := self.window.take(now), Taken):
            return False
        if self.pace is not None:
            self.pace.drops -= 1
        if self._ageing is not None:
            self._ageing.runs(call, now)
        call.granted = taken.at
        call.lane.pending -= 1
        return True

    def _withdraw(self, call: Call) -> None:
        """Put `call` back to where it has a permit and no slot; the slot it had stays counted."""
        if self._ageing is not None:
            self._ageing.ends(call)
        call.state = ADMITTED
        call.lane.pending += 1
