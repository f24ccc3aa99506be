"""When the calls that wait give up.

The one idea: a call's deadline is nearly always later than that of every call before it, so a queue in the order of
arrival is in the order of deadlines too. The few that do not fit (a repeated call keeps its first deadline, a reload
shortens the wait) stand in a heap beside it. What does not wait any more is dropped when it surfaces.
"""

from __future__ import annotations

from collections import deque
from heapq import heapify, heappop, heappush
from math import inf
from typing import Final

from gateway.throttle.call import WAITS, Call

_SLACK: Final = 64
"""Outdated entries that are not worth a clean-up."""


class Deadlines:
    """The deadlines of calls that wait, in a line or for a slot."""

    __slots__ = ("_added", "_early", "_queue")

    def __init__(self) -> None:
        self._queue: deque[Call] = deque()
        self._early: list[tuple[float, int, Call]] = []
        self._added = 0
        """Breaks ties in the heap."""

    def __len__(self) -> int:
        return len(self._queue) + len(self._early)

    def add(self, call: Call, waiting: int) -> None:
        """Watch the deadline of `call`, one of `waiting` that wait; once is enough, until it has surfaced."""
        if call.watched:
            return
        call.watched = True
        if len(self) > 2 * waiting + _SLACK:
            self._clean_up()
        if not self._queue or self._queue[-1].deadline <= call.deadline:
            self._queue.append(call)
        else:
            self._added += 1
            heappush(self._early, (call.deadline, self._added, call))

    def next(self) -> float:
        """Return the earliest deadline of a call that waits; infinity when none does."""
        queue, early = self._queue, self._early
        while queue and queue[0].state not in WAITS:
            queue.popleft().watched = False
        while early and early[0][2].state not in WAITS:
            heappop(early)[2].watched = False
        when = queue[0].deadline if queue else inf
        return early[0][0] if early and early[0][0] < when else when

    def pop(self) -> Call:
        """Take out the call that `next` has told the deadline of."""
        if self._early and not (self._queue and self._queue[0].deadline <= self._early[0][0]):
            call = heappop(self._early)[2]
        else:
            call = self._queue.popleft()
        call.watched = False
        return call

    def _clean_up(self) -> None:
        for call in (*self._queue, *(entry[2] for entry in self._early)):
            call.watched = call.state in WAITS
        self._queue = deque(call for call in self._queue if call.watched)
        self._early = [entry for entry in self._early if entry[2].watched]
        heapify(self._early)
