"""The slots of a window that the fleet shares, as one replica's schedule sees them.

The one idea: a slot is reserved on the fleet's books, for now or for a time to come, and belongs to the replica: which
call takes it is decided when it is due. It is due when the store's clock has certainly reached it, and is lost when
that clock may have passed it by more than `guard`. Every send is remembered for a span, so that it can be told again to
books that were lost.

While the books cannot be asked, a window of the replica's own stands in for them (`gateway.throttle.share`); while they
are about to open again, nothing is sent at all.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from math import ceil

from gateway.throttle.share import Turns
from gateway.throttle.store_clock import StoreClock
from gateway.throttle.window import Taken, Wait, Window

MICROSECONDS = 1_000_000


@dataclass(frozen=True, slots=True)
class Reservation:
    """A slot on the books."""

    member: str
    due: float
    """From when on it may be used (monotonic s)."""
    last: float
    """Until when it may be used."""


@dataclass(frozen=True, slots=True)
class Send:
    """A send of this replica's."""

    number: int
    member: str
    at: float
    """The latest that its slot may have been granted (monotonic s)."""
    alone: bool
    """Nobody granted it: it went by the replica's own window."""


class FleetSlots:
    """See `gateway.throttle.window.Slots`; `replica` names the sends that nobody granted."""

    def __init__(self, replica: str, cap: int, per: float, guard: float) -> None:
        self.cap = cap
        self.guard = guard
        self.span = per + guard
        self.clock = StoreClock(guard)
        self.own: Window | Turns | None = None
        """What decides while the books cannot be asked."""
        self.closed = False
        """Nothing may be sent: the books are about to open."""
        self.reserved: deque[Reservation] = deque()
        self._replica = replica
        self._count = 0
        self._sends: deque[Send] = deque()
        self._log: list[float] = []
        self._seen_at = float("-inf")
        self._seen = Window(cap, per, guard)
        """The fleet's log, as far as it was seen, for estimates."""
        self._used_last: Reservation | None = None

    # What the schedule asks, see `Slots`.

    def used(self, now: float) -> int:
        """Return how many slots count at `now`, of what this replica can see."""
        if self.own is not None:
            return self.own.used(now)
        return self._seen.used(now)

    def free(self, now: float) -> int:
        """Return how many calls may be on their way to a slot at `now`."""
        if self.closed:
            return 0
        if self.own is not None:
            return self.own.free(now)
        return self._seen.free(now) + len(self.reserved)

    def take(self, now: float) -> Taken | Wait:
        """Take a slot that is due, or wait for one."""
        if self.closed:
            return Wait(self.span)
        if self.own is not None:
            taken = self.own.take(now)
            if isinstance(taken, Taken):
                self._note(f"{self._replica}:s{self._count}", now, alone=True)
            return taken
        self._drop_late(now)
        if not self.reserved:
            return Wait(self.span)
        first = self.reserved[0]
        if first.due > now:
            return Wait(first.due - now)
        self._used_last = self.reserved.popleft()
        self._note(first.member, first.due, alone=False)
        return Taken(first.last - self.guard)

    def refund(self, granted: float) -> None:
        """Take a slot back that was not used; on the books it stays, for the next call if that is ready in time."""
        if self.own is not None:
            self.own.refund(granted)
            self._forget(granted)
        elif (last := self._used_last) is not None and last.last - self.guard == granted:
            self.reserved.appendleft(last)
            self._used_last = None
            self._forget(last.due)

    def next_free(self, now: float) -> float | None:
        """Return when a slot is due next, or when one may be had."""
        if self.closed:
            return None
        if self.own is not None:
            return self.own.next_free(now)
        due = self.reserved[0].due if self.reserved else None
        seen = self._seen.next_free(now)
        return due if seen is None else seen if due is None else min(due, seen)

    def slot_after(self, now: float, ahead: int) -> float:
        """Return the earliest time at which a call with `ahead` others before it may have a slot."""
        if self.own is not None and not self.closed:
            return self.own.slot_after(now, ahead)
        if ahead < len(self.reserved):
            return max(now, self.reserved[ahead].due)
        return self._seen.slot_after(now, ahead - len(self.reserved))

    # What the replica does with them.

    def reserve(self, slots: Iterable[tuple[str, int]]) -> None:
        """Take in slots that the books have reserved (member, store time in microseconds)."""
        for member, at in slots:
            store = at / MICROSECONDS
            due = self.clock.surely_at(store)
            self.reserved.append(Reservation(member, due, self.clock.not_before(store) + self.guard))
            self._log.append(due)
            self._seen.push(due)

    def see(self, log: Iterable[tuple[int, bool]], asked: float) -> None:
        """Take in a view of the fleet's log that was asked for then (store time in us, whether it is its own)."""
        ahead = self.clock.surely_at(0.0)
        self._log = [at / MICROSECONDS + ahead for at, _ in log]
        self._seen_at = asked
        self._seen.load(self._log)

    def in_force(self, cap: int, span: float) -> None:
        """Learn which limit is in force for the fleet; it may be another replica's."""
        if (cap, span) != (self._seen.cap, self._seen.span):  # every answer tells it, and a change copies the log
            self._seen.resize(cap, span - self.guard, self.guard)

    def resize(self, cap: int, per: float, guard: float) -> None:
        """Change this replica's own numbers; what is in force the books will tell."""
        self.cap, self.guard, self.span = cap, guard, per + guard
        self.clock.tolerance = guard
        self._seen.resize(cap, per, guard)

    def stand_alone(self, own: Window | Turns) -> None:
        """Go on by `own`, because the books cannot be asked; slots that are reserved are given up."""
        self.own, self.closed = own, False
        self.reserved.clear()
        self._used_last = None

    def rely(self) -> None:
        """Take slots from the books again."""
        self.own, self.closed = None, False

    def history(self) -> list[float]:
        """Return the times of the fleet's log as it was last seen, with what this replica has sent since."""
        return [*self._log, *(send.at for send in self._sends if send.alone and send.at >= self._seen_at)]

    def give_back(self) -> tuple[str, ...]:
        """Give up every reservation; returns their names on the books."""
        names = tuple(slot.member for slot in self.reserved)
        self.reserved.clear()
        return names

    def sends_after(self, number: int, now: float) -> tuple[list[tuple[str, int]], int]:
        """Return this replica's sends of the last span after the one of that number, and the number of the last one.

        Times are the store's (microseconds), as late as they may be.
        """
        while self._sends and self._sends[0].at + self.span <= now:
            self._sends.popleft()
        told = [
            (send.member, ceil(self.clock.latest(send.at) * MICROSECONDS))
            for send in self._sends
            if send.number > number
        ]
        return told, self._count

    def _note(self, member: str, at: float, *, alone: bool) -> None:
        self._count += 1
        self._sends.append(Send(self._count, member, at, alone))

    def _forget(self, at: float) -> None:
        """Remember one send less, the latest one that was granted at that time."""
        for place in range(len(self._sends) - 1, -1, -1):
            if self._sends[place].at == at:
                del self._sends[place]
                return

    def _drop_late(self, now: float) -> None:
        """Forget slots that nobody used in time; on the books they count."""
        while self.reserved and self.reserved[0].last < now:
            self.reserved.popleft()
