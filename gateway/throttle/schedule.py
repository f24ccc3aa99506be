"""Who waits, who is admitted, who goes: every decision of the throttle, without waiting for anything.

The one idea: a call needs two things, in this order. A *permit* of its lane admits it, and it may then obtain a
connection; a *slot* of the shared window lets it write, and is taken only when that connection is ready. Calls are
admitted no faster than the window has slots to offer, but each lane may always have one call outstanding, so permits
are not hoarded by calls that only wait for the window, and the next call stands ready when a slot ages out.

Each event changes the state, and each of `dispatch`, `expire`, `admit` returns the calls that are owed a wake-up, so
that the edge (`gateway.throttle.throttler`) only performs. Every operation costs the same whatever the number waiting:
a lane's line and the ready calls are ordered maps, so a call leaves from the middle at once, and in a line the
deadlines stand in the order of arrival.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from heapq import heapify, heappop, heappush
from typing import Final, Literal

from gateway.throttle.call import Call, Lane, State
from gateway.throttle.pace import Pace
from gateway.throttle.window import Taken, Window

_SLACK: Final = 64
"""Outdated entries of the deadline heap that are not worth a clean-up."""


@dataclass(frozen=True, slots=True)
class Rejected:
    """The call may not wait; `retry_after` is the estimated wait in seconds."""

    reason: Literal["queue-full", "queue-timeout"]
    retry_after: float


class Schedule:
    """The lanes of one upstream, the window they share, and the bounds of the wait."""

    __slots__ = (
        "_asked", "_deadlines", "_lanes", "_pending", "_ready", "depth", "lanes", "max_depth", "max_wait", "pace",
        "window",
    )  # fmt: skip

    def __init__(
        self,
        lanes: Mapping[str, int],
        window: Window,
        *,
        max_depth: int,
        max_wait: float,
        pace: Pace | None = None,
        guesses: Mapping[str, float] | None = None,
    ) -> None:
        """`lanes` maps each name to its concurrency, `guesses` to the seconds that its first call is taken to run."""
        guesses = guesses or {}
        self.lanes = {name: Lane(name, concurrency, guesses.get(name, 0.0)) for name, concurrency in lanes.items()}
        self.window = window
        self.max_depth = max_depth
        self.max_wait = max_wait
        self.pace = pace
        self.depth = 0
        """Calls waiting in all lanes."""
        self._lanes = tuple(self.lanes.values())
        self._pending = 0
        self._asked = 0
        """Breaks ties in the heap."""
        self._ready: OrderedDict[Call, None] = OrderedDict()
        self._deadlines: list[tuple[float, int, Call]] = []
        """A heap of the ready calls' deadlines; what is not ready any more is dropped when it surfaces."""

    # Events: what happens to a call.

    def arrive(self, now: float, name: str) -> Call | Rejected:
        """Let a call in: admitted at once, or waiting in its lane; or refuse it.

        Refused is what finds the queue full, and what cannot get a slot within `max_wait` even if nothing but the
        window and the calls before it in its own lane is in its way.
        """
        lane = self.lanes[name]
        ahead = len(lane.waiting) + lane.pending
        if self._earliest(now, ahead) > now + self.max_wait:
            return Rejected("queue-timeout", self.estimate(now, lane))
        admissible = not lane.waiting and self._admissible(now, lane)
        if not admissible and self.depth >= self.max_depth:
            return Rejected("queue-full", self.estimate(now, lane))
        call = Call(lane, now + self.max_wait)
        if admissible:
            self._admit(call)
        else:
            lane.waiting[call] = None
            self.depth += 1
        return call

    def ask(self, now: float, call: Call) -> bool:
        """Say that the connection of `call` is ready; True when it has its slot at once and may write.

        Otherwise it waits for `dispatch`: behind those that were ready before it, or first when it had a slot already
        and needs another one.
        """
        if call.state is State.RUNNING:
            self._withdraw(call)
        if not self._ready and call.lane.paused_until <= now and self._take(now):
            self._settle(call, now, State.RUNNING)
            return True
        call.state = State.READY
        self._ready[call] = None
        if call.granted is not None:
            self._ready.move_to_end(call, last=False)
        if len(self._deadlines) > 2 * len(self._ready) + _SLACK:
            self._deadlines = [(other.deadline, place, other) for place, other in enumerate(self._ready)]
            self._asked = len(self._ready)
            heapify(self._deadlines)
        else:
            self._asked += 1
            heappush(self._deadlines, (call.deadline, self._asked, call))
        return False

    def confirm(self, now: float, call: Call) -> bool:
        """Say that `call` woke up with its slot; False when that took longer than `guard`.

        The slot then stays counted, and the call has to `ask` again.
        """
        assert call.granted is not None
        if now - call.granted <= self.window.guard:
            call.state = State.RUNNING
            return True
        self._withdraw(call)
        return False

    def unsent(self, call: Call) -> None:
        """Say that `call` could not use its slot: nothing was written, the slot is free, and it will `ask` anew."""
        assert call.state is State.RUNNING
        assert call.granted is not None
        self.window.refund(call.granted)
        if self.pace is not None:
            self.pace.drops += 1
        self._withdraw(call)

    def leave(self, now: float, call: Call) -> bool:
        """Take `call` out, whatever its state, and take back all it holds; False when it had left before."""
        state, lane = call.state, call.lane
        if state is State.DONE:
            return False
        call.state = State.DONE
        if state is State.WAITING:
            del lane.waiting[call]
            self.depth -= 1
            return True
        lane.in_flight -= 1
        if state is State.ADMITTED or state is State.READY:
            lane.pending -= 1
            self._pending -= 1
            if state is State.READY:
                del self._ready[call]
            return True
        assert call.granted is not None
        if state is State.GRANTED:
            self.window.refund(call.granted)
        else:
            lane.ran(now - call.granted)
        return True

    def drop(self) -> None:
        """Say that the leaky bucket let one more call through."""
        assert self.pace is not None
        self.pace.drops += 1

    def pause(self, name: str, until: float) -> None:
        """Admit and grant nothing of a lane until then, because the upstream asked for it; the longest pause counts."""
        lane = self.lanes[name]
        lane.paused_until = max(lane.paused_until, until)

    # What is owed, in the order in which the edge asks.

    def dispatch(self, now: float) -> list[Call]:
        """Grant slots to the calls that have been ready longest, as many as are free."""
        granted = []
        while (call := self._first_ready(now)) is not None and self._take(now):
            del self._ready[call]
            self._settle(call, now, State.GRANTED)
            granted.append(call)
        return granted

    def expire(self, now: float) -> list[Call]:
        """Take out the calls that have waited until their deadline, in a line or for a slot."""
        expired = []
        for lane in self._lanes:
            while lane.waiting and (call := next(iter(lane.waiting))).deadline <= now:
                expired.append(call)
                self.leave(now, call)
        while (deadline := self._ready_deadline()) is not None and deadline <= now:
            call = heappop(self._deadlines)[2]
            expired.append(call)
            self.leave(now, call)
        return expired

    def admit(self, now: float) -> list[Call]:
        """Give permits to the first of each line, one a lane in turn, while concurrency and window allow."""
        admitted: list[Call] = []
        before = -1
        while self.depth and len(admitted) > before:
            before = len(admitted)
            for lane in self._lanes:
                if lane.waiting and self._admissible(now, lane):
                    call, _ = lane.waiting.popitem(last=False)
                    self.depth -= 1
                    self._admit(call)
                    admitted.append(call)
        return admitted

    def evict(self, now: float) -> list[Call]:
        """Take out every call that waits, in a line or for a slot."""
        waiting = [call for lane in self._lanes for call in lane.waiting]
        waiting += self._ready
        for call in waiting:
            self.leave(now, call)
        return waiting

    # What the edge may ask.

    @property
    def anybody(self) -> bool:
        """Whether any call waits, in a line or for a slot."""
        return self.depth > 0 or bool(self._ready)

    @property
    def thirsty(self) -> bool:
        """Whether a ready call waits for a drop of the leaky bucket."""
        return self.pace is not None and not self.pace.drops and bool(self._ready)

    def next_event(self, now: float) -> float | None:
        """Return when time alone changes what is owed: a deadline passes, or a slot that is waited for ages out."""
        when = self._ready_deadline()
        window = bool(self._ready)
        for lane in self._lanes:
            if lane.paused_until > now and (lane.waiting or lane.pending):
                when = lane.paused_until if when is None or lane.paused_until < when else when
            if lane.waiting:
                deadline = next(iter(lane.waiting)).deadline
                when = deadline if when is None or deadline < when else when
                window = window or lane.in_flight < lane.concurrency
        if window and (free := self.window.next_free(now)) is not None:
            when = free if when is None or free < when else when
        return when

    def estimate(self, now: float, lane: Lane) -> float:
        """Return the seconds that a call arriving in `lane` would wait, as things stand.

        Lanes take slots in turn, so of another lane only as many calls count as stand in this one; permits come back as
        often as calls have ended lately.
        """
        own = len(lane.waiting) + lane.pending
        ahead = sum(min(own, len(other.waiting) + other.pending) for other in self._lanes)
        slot = self._earliest(now, ahead) - now
        if lane.in_flight < lane.concurrency:
            return slot
        return max(slot, (len(lane.waiting) + 1) * lane.mean / lane.concurrency)

    def _earliest(self, now: float, ahead: int) -> float:
        """Return the time before which a call with `ahead` others before it has no slot."""
        slot = self.window.slot_after(now, ahead)
        if self.pace is None:
            return slot
        return max(slot, now + max(0.0, ahead + 1 - self.pace.burst) * self.pace.interval)

    def _admissible(self, now: float, lane: Lane) -> bool:
        if lane.in_flight >= lane.concurrency or lane.paused_until > now:
            return False
        return not lane.pending or self._pending < self.window.free(now)

    def _admit(self, call: Call) -> None:
        call.state = State.ADMITTED
        call.lane.in_flight += 1
        call.lane.pending += 1
        self._pending += 1

    def _settle(self, call: Call, now: float, state: State) -> None:
        """Note that `call` has its slot."""
        call.state = state
        call.granted = now
        call.lane.pending -= 1
        self._pending -= 1

    def _withdraw(self, call: Call) -> None:
        """Put `call` back to where it has a permit and no slot; the slot it had stays counted."""
        call.state = State.ADMITTED
        call.lane.pending += 1
        self._pending += 1

    def _take(self, now: float) -> bool:
        if self.pace is not None and not self.pace.drops:
            return False
        if not isinstance(self.window.take(now), Taken):
            return False
        if self.pace is not None:
            self.pace.drops -= 1
        return True

    def _first_ready(self, now: float) -> Call | None:
        """Return the call that has been ready longest, of the lanes that are not paused."""
        return next((call for call in self._ready if call.lane.paused_until <= now), None)

    def _ready_deadline(self) -> float | None:
        """Return the earliest deadline of a ready call."""
        while self._deadlines and self._deadlines[0][2] not in self._ready:
            heappop(self._deadlines)
        return self._deadlines[0][0] if self._deadlines else None
