"""One replica of a fleet: what it tells the books, and what it makes of the answers.

The one idea: the replica states facts (the permits it holds, the sends it made, what it wants), never changes. So a
statement that was lost is simply made again, and books that were lost are filled again by the next statements. Where
the replica stands is one of five words:

- `new`: it knows nothing yet, and has sent nothing.
- `shared`: the books are complete, and it takes permits and slots from them.
- `sharing`: the books cannot be asked, or are not complete; it lives on its share (`gateway.throttle.share`).
- `held`: the books are about to open: it sends nothing, and has told of all its sends.
- `leaving`: it goes, and what it holds is free at once.

Permits: while no other replica waits for them, as many as its share are kept in reserve, so that a call finds one and
asks nobody. While sharing, calls that run go on, but none begins beyond the share, nor beyond the permits that were
held, until the longest call of before has ended; then the share is its own. No clock, no socket: `now` is an argument.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from gateway.throttle.call import Lane
from gateway.throttle.fleet import Answer, LaneStatement, Standing, Statement
from gateway.throttle.fleet_slots import MICROSECONDS, FleetSlots
from gateway.throttle.long_calls import LongCalls
from gateway.throttle.schedule import Schedule
from gateway.throttle.share import Turns, share_of, window_of
from gateway.throttle.window import Window

HEARTBEAT: Final = 1.0
"""Seconds between two statements when nothing happens; the books ask for one every 2 s."""
POLL: Final = 0.25
"""Seconds after which a permit that was not to be had, or the books' next phase, is asked for again."""
VIEW: Final = 0.5
"""Seconds after which a view of the log is asked for again, so that the last one is never older than a second."""
ABSENT: Final = 10.0
"""Seconds for which a replica that was live is remembered: books that were lost have to wait for it."""
NOTICE: Final = 2.0
"""Seconds within which every replica notices that the books are gone."""


class Replica:
    """The replica `name` of a fleet, for the schedule that takes its `slots`.

    Attributes:
        replicas: the most that run at once.
        timeouts: each lane's limit of one call, in seconds.
        long_calls: the budget of long calls.
    """

    def __init__(self, name: str, schedule: Schedule, slots: FleetSlots) -> None:
        self.name = name
        self.schedule = schedule
        self.slots = slots
        self.replicas = 1
        self.timeouts: Mapping[str, float] = {}
        self.long_calls: LongCalls | None = None
        self.standing: Standing = "new"
        self._number = 0
        self._acknowledged = 0
        self._epoch = ""
        self._phase = ("", "")
        self._rank: int | None = None
        self._seen: dict[str, float] = {}
        """Replicas that were live, and when that was told last."""
        self._replicas = 1
        """How many are live."""
        self._cap, self._span = slots.cap, slots.span
        """The limit in force for the fleet."""
        self._stated: tuple[LaneStatement, ...] = ()
        self._stated_as: Standing = "new"
        self._telling = self._told = 0
        """The last send that the statement under way tells of, and that the books of this epoch know of."""
        self._limits: dict[str, int] = {}
        self._contended: set[str] = set()
        self._refused: set[str] = set()
        """Lanes in which another replica waits, and in which the last wish was not granted."""
        self._jumped = False
        self._viewed = self._asked = float("-inf")
        self._lost = 0.0
        self._held: dict[str, int] = {}
        """Permits that were held when the books were lost."""
        self._divided = (0, 0.0, 0)
        """What the share was made of: limit, span, replicas."""
        for lane in schedule.lanes.values():
            lane.concurrency = 0

    @property
    def degraded(self) -> bool:
        """Whether it lives on its share, or waits for the books to open."""
        return self.standing in ("sharing", "held")

    @property
    def fleet(self) -> int:
        """Replicas that divide a share: as many as there may be, or as were seen if that is more."""
        return max(self.replicas, self._replicas)

    # What is owed to the books.

    def due(self, now: float) -> float:
        """Return when the next statement is due."""
        if self._asked == float("-inf") or (self.standing == "shared" and self._has_news(now)):
            return now
        return self._asked + (POLL if self._refused or self.standing != "shared" else HEARTBEAT)

    def statement(self, now: float, *, leaving: bool = False) -> Statement:
        """Return what is to be told now; permits that nobody uses are given up with it."""
        if leaving:
            self.standing = "leaving"
        self._number += 1
        if self.standing == "shared":  # else nobody has told since who lives
            self._seen = {other: at for other, at in self._seen.items() if now - at <= ABSENT}
        self._asked, self._stated_as = now, self.standing
        shared = self.standing == "shared"
        for lane in self.schedule.lanes.values():
            if shared and (lane.name in self._contended or not lane.waiting.size):
                lane.concurrency = max(lane.in_flight, min(lane.concurrency, self._reserve(lane)))
            elif not shared and self.standing != "sharing":
                lane.concurrency = min(lane.concurrency, lane.in_flight)
        self._stated = tuple(self._lane(lane, now) for lane in self.schedule.lanes.values())
        sends: list[tuple[str, int]] = []
        if not shared:
            sends, self._telling = self.slots.sends_after(self._told, now)
        idle = leaving or (shared and not self.schedule.anybody)
        long_calls = self.long_calls
        return Statement(
            replica=self.name,
            number=self._number,
            acknowledged=self._acknowledged,
            epoch=self._epoch,
            standing=self.standing,
            reset=self._jumped,
            known=tuple(other for other in self._seen if other != self.name),
            sends=tuple(sends),
            cap=self.slots.cap,
            span=round(self.slots.span * MICROSECONDS),
            lanes=self._stated,
            long_lane=long_calls.lane if long_calls else "",
            long_limit=long_calls.limit if long_calls else 0,
            aged=self.schedule.aged(now),
            slots=self._slots_wanted(now) if shared else 0,
            back=self.slots.give_back() if idle else (),
            view=now - self._viewed >= VIEW,
        )

    # What comes back.

    def answered(self, answer: Answer, sent: float, received: float) -> None:
        """Take in the answer to the last statement, which was sent and received then (monotonic s)."""
        if answer.verdict == "stale" or self._stated_as != self.standing:  # the books were lost on the way
            return
        steady = self.slots.clock.observe(sent, received, answer.now / MICROSECONDS)
        self._told = self._telling if answer.epoch == self._epoch else 0
        self._epoch, self._acknowledged = answer.epoch, self._number
        self._rank = answer.rank
        self._replicas = len(answer.replicas)
        self._seen |= dict.fromkeys(answer.replicas, received)
        self._cap, self._span = answer.cap, answer.span / MICROSECONDS
        self.slots.in_force(self._cap, self._span)
        self._jumped = not steady
        if not steady:  # what it granted was granted by a clock that is not the one of before
            self._share(received)
            return
        if answer.log is not None:
            self._viewed = sent
            self.slots.see(answer.log, sent)
        if self._phase != (answer.epoch, answer.verdict):  # the next one may open at once
            self._phase, self._asked = (answer.epoch, answer.verdict), float("-inf")
        if answer.verdict == "open":
            self._take_up(answer)
        elif answer.verdict == "closing" or self.standing == "new":
            self.standing = "held"
            self.slots.closed = True
        else:
            self._share(received)

    def failed(self, now: float) -> None:
        """Learn that the books cannot be asked."""
        if self.standing != "leaving":
            self._share(now)

    def grow(self, now: float) -> None:
        """While sharing, let the share of a lane be its own once the longest call of before the loss has ended."""
        if self.standing != "sharing":
            return
        for lane in self.schedule.lanes.values():
            share = self._share_of(lane)
            free = self.fleet == 1 or now >= self._lost + self.timeouts[lane.name] + NOTICE
            lane.concurrency = share if free else min(self._held.get(lane.name, 0), share)

    def left(self, lane: Lane) -> None:
        """Learn that a call has left a lane: its permit is another replica's turn, if one waits."""
        if lane.name in self._contended:
            lane.concurrency = min(lane.concurrency, lane.in_flight)

    def hurry(self) -> None:
        """Ask again as soon as may be, where that may lead to something: the books have told that something changed.

        It may where something was refused, where the books are not open, and where another may want what is in reserve.
        """
        idle = any(lane.concurrency > lane.in_flight for lane in self.schedule.lanes.values())
        if self._refused or idle or self.standing != "shared":
            self._asked = float("-inf")
        self._refused.clear()

    def _take_up(self, answer: Answer) -> None:
        """Take what the open books granted."""
        if self.standing != "shared":
            self.standing = "shared"
            self.slots.rely()
            for lane in self.schedule.lanes.values():
                lane.concurrency = lane.in_flight
        self._refused.clear()
        self._contended.clear()
        for stated, told in zip(self._stated, answer.lanes, strict=True):
            self._limits[stated.name] = told.limit
            if stated.name not in self.schedule.lanes:  # a reload has taken it away
                continue
            self.schedule.lanes[stated.name].concurrency += told.granted
            if told.contended:
                self._contended.add(stated.name)
            if stated.wants and not told.granted:
                self._refused.add(stated.name)
        self.slots.reserve(answer.slots)

    def _share(self, now: float) -> None:
        """Go on by the share, from now on or as before."""
        if self.standing != "sharing":
            self.standing = "sharing"
            self._lost, self._told = now, 0
            self._held = {lane.name: max(lane.concurrency, lane.in_flight) for lane in self.schedule.lanes.values()}
            self.slots.stand_alone(self.slots.own or self._own(now))
        self._refused.clear()
        self._contended.clear()
        if self._divided != self._whole():  # others have come since, or a lower limit
            self.slots.stand_alone(self._own(now))
        self.grow(now)

    def _whole(self) -> tuple[int, float, int]:
        """Return what is divided: the limit, its span, and among how many."""
        return min(self._cap, self.slots.cap), max(self._span, self.slots.span), self.fleet

    def _own(self, now: float) -> Window | Turns:
        """Return the window of this replica's share; one that never heard of the fleet begins at once."""
        slots = self.slots
        self._divided = cap, span, fleet = self._whole()
        if cap < fleet:
            begin = now + span if self._epoch else now
            return Turns(cap, span, slots.guard, clock=slots.clock, rank=self._rank, replicas=fleet, begin=begin)
        times = []
        if self._epoch:
            lanes = len(self.schedule.lanes)
            times = share_of(slots.history(), cap=cap, span=span, lost=now, replicas=fleet, lanes=lanes)
        return window_of(times, cap // fleet, span - slots.guard, slots.guard)

    def _share_of(self, lane: Lane) -> int:
        """Return the permits of a lane that are this replica's: an equal part, and one of the rest by its rank."""
        limit = min(lane.limit, self._limits.get(lane.name, lane.limit))
        if self.long_calls is not None and lane.name == self.long_calls.lane:
            limit = min(limit, self.long_calls.limit)
        part, rest = divmod(limit, self.fleet)
        return part + (self._rank is not None and self._rank < rest)

    def _lane(self, lane: Lane, now: float) -> LaneStatement:
        shared = self.standing == "shared"
        held = 0 if self.standing == "leaving" else max(lane.concurrency, lane.in_flight) if shared else lane.in_flight
        if not shared:
            return LaneStatement(lane.name, lane.limit, held, 0)
        wants = self._wanted(lane, now)
        return LaneStatement(lane.name, lane.limit, held, wants, max(0, self._reserve(lane) - held - wants))

    def _reserve(self, lane: Lane) -> int:
        """Return the permits that are kept though no call needs them: the share, unless another replica waits.

        A call within it goes without asking, and what is held when the books are lost is not nothing.
        """
        return 0 if lane.name in self._contended else self._share_of(lane)

    def _wanted(self, lane: Lane, now: float) -> int:
        """Return how many more permits the calls in line could use, as far as the window has slots for them."""
        waiting = lane.waiting.size
        if not waiting or lane.in_flight < lane.concurrency or not self.schedule.has_room(now, lane):
            return 0
        pending = sum(other.pending for other in self.schedule.lanes.values())
        return max(1, min(waiting, self.slots.free(now) - pending))

    def _slots_wanted(self, now: float) -> int:
        return max(0, self.schedule.ready.lanes(now) - len(self.slots.reserved))

    def _has_news(self, now: float) -> bool:
        if self._slots_wanted(now):
            return True
        for lane in self.schedule.lanes.values():
            if not lane.waiting.size and lane.concurrency > max(lane.in_flight, self._reserve(lane)):
                return True
            if lane.name not in self._refused and self._wanted(lane, now):
                return True
        return False
