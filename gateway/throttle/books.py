"""The fleet's books in memory: the rules of the script in Python, for tests and for the simulator.

The one idea: nothing is granted by the books unless everybody's sends are on them. An *epoch* is a stretch in which
that is so; whoever must doubt it begins a new one, and then everybody first pushes what it sent (`gathering`), then
stops and pushes the rest (`closing`), before the books are `open` again. Pure: `now` is an argument.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias

from gateway.throttle.fleet import Answer, LaneAnswer, LaneStatement, Statement, Verdict
from gateway.throttle.sends import Sends

LEASE: Final = 15_000_000
"""Microseconds after which what a silent replica held is free again."""
ABSENT: Final = 10_000_000
"""Microseconds after which a silent replica is not live any more: nobody waits for it, its limits do not rule."""
WAITING: Final = 1_500_000
"""Microseconds after which a silent replica keeps nobody behind it in a line waiting."""

Phase: TypeAlias = Literal["open", "gathering", "closing"]


@dataclass(slots=True)
class Place:
    """What a replica has and wants of a lane."""

    limit: int
    held: int
    turn: int
    """Its place in the lane's line, the lowest is first; 0: it wants nothing."""


@dataclass(slots=True)
class Record:
    """What is known of a replica."""

    number: int
    contact: int
    rank: int
    cap: int
    span: int
    aged: int
    pushed: str
    """The epoch that it has pushed its sends for."""
    final: bool
    """It sends nothing more by its share, and all is pushed."""
    lanes: dict[str, Place] = field(default_factory=dict)


class Books:
    """The books of one policy."""

    def __init__(self) -> None:
        self.told = 0
        """How often the replicas were told that there is news (the Redis form publishes it)."""
        self._news = False
        self._forget()

    def tell(self, said: Statement, now: int) -> Answer:
        """Carry out a statement, see `Statement`; `now` is in microseconds."""
        self._news = False
        answer = self._heard(said, now)
        self.told += self._news
        return answer

    def _heard(self, said: Statement, now: int) -> Answer:
        former = self.records.get(said.replica)
        if former is not None and said.number < former.number and now - former.contact <= LEASE:
            return self._bare(said, now, "stale")
        self._drop_lapsed(now)
        if said.standing == "leaving":
            return self._left(said, now)
        data_lost = self._epoch_settled(said, now)
        changed = self._recorded(said, now)
        for member, time in said.sends:
            self.sends.add(member, time)
        self._advance(now)
        return self._answer(said, now, changed, data_lost=data_lost)

    def _answer(self, said: Statement, now: int, changed: set[str], *, data_lost: bool) -> Answer:
        live = dict(self._live(now))
        cap = min(record.cap for record in live.values())
        span = max(record.span for record in live.values())
        granting = self.phase == "open" and said.standing in ("new", "shared")
        self.sends.drop(now - span)
        for member in said.back:
            self.sends.take_back(member, now)
        return Answer(
            now=now,
            verdict=self.phase,
            epoch=self.epoch,
            lanes=tuple(self._permits(said, lane, now, granting, lane.name in changed) for lane in said.lanes),
            slots=tuple(self._slots(said, now, cap, span)) if granting else (),
            rank=self.records[said.replica].rank,
            replicas=tuple(sorted(live)),
            cap=cap,
            span=span,
            used=len(self.sends),
            next=self.sends.next(now, cap, span),
            log=self.sends.view(said.replica) if said.view else None,
            data_lost=data_lost,
        )

    def _bare(self, said: Statement, now: int, verdict: Verdict) -> Answer:
        """Return an answer that grants nothing and tells of nothing."""
        return Answer(now, verdict, self.epoch, (), (), 0, (), said.cap, said.span, 0, now, None, False)

    def _left(self, said: Statement, now: int) -> Answer:
        self.records.pop(said.replica, None)
        for member, time in said.sends:
            self.sends.add(member, time)
        for member in said.back:
            self.sends.take_back(member, now)
        self._news = True
        self._advance(now)
        return self._bare(said, now, self.phase)

    # Epochs

    def _forget(self) -> None:
        self.epoch = ""
        self.phase: Phase = "open"
        self.began = 0
        self.expected: tuple[str, ...] = ()
        self.records: dict[str, Record] = {}
        self.sends = Sends()

    def _drop_lapsed(self, now: int) -> None:
        for replica in [replica for replica, record in self.records.items() if now - record.contact > LEASE]:
            del self.records[replica]
            self._news = True

    def _live(self, now: int) -> Iterator[tuple[str, Record]]:
        return ((replica, record) for replica, record in self.records.items() if now - record.contact <= ABSENT)

    def _epoch_settled(self, said: Statement, now: int) -> bool:
        """Begin a new epoch where that is due; tell whether what was acknowledged to this replica is lost."""
        if said.reset and said.epoch == self.epoch:
            self._forget()
        if not self.epoch:
            self._begin(said, now, "open" if said.standing == "new" else "gathering")
        record = self.records.get(said.replica)
        behind = record is None or record.number < said.acknowledged
        lost = said.standing != "new" and said.epoch != "" and behind
        stopped = record is not None and record.pushed == self.epoch and record.final
        resumed = said.standing == "sharing" and (self.phase == "open" or (self.phase == "closing" and stopped))
        if resumed or (lost and self.phase != "gathering"):
            self._begin(said, now, "gathering")
        return lost

    def _begin(self, said: Statement, now: int, phase: Phase) -> None:
        self.epoch = f"{said.replica}:{said.number}:{now}"
        self.phase, self.began = phase, now
        self.expected = tuple(sorted({said.replica, *said.known, *(replica for replica, _ in self._live(now))}))
        self.sends.drop_after(now)  # what was reserved is given up, and what a clock of before left there is none
        self._news = True

    def _advance(self, now: int) -> None:
        live = [record for _, record in self._live(now)]
        if not live:
            return
        if self.phase == "gathering":
            over = now - self.began >= max(record.span for record in live)
            if over or not any(self._is_awaited(replica) for replica in self.expected):
                self.phase, self._news = "closing", True
        if self.phase == "closing" and all(record.pushed == self.epoch and record.final for record in live):
            self.phase, self._news = "open", True

    def _is_awaited(self, replica: str) -> bool:
        """Whether a replica has not told its sends; one that never does is waited for until they count no more."""
        record = self.records.get(replica)
        return record is None or record.pushed != self.epoch

    # Replicas

    def _recorded(self, said: Statement, now: int) -> set[str]:
        """Write down what a replica states; return the lanes in which that frees permits, or begins a wait."""
        former = self.records.get(said.replica)
        places = former.lanes if former is not None else {}
        waits = said.standing == "new" and self.phase != "open"
        pushed = waits or said.standing in ("sharing", "held")
        self.records[said.replica] = Record(
            number=said.number,
            contact=now,
            rank=former.rank if former is not None else self._free_rank(),
            cap=said.cap,
            span=said.span,
            aged=said.aged,
            pushed=self.epoch if pushed else former.pushed if former is not None else "",
            final=waits or (said.standing == "held" and said.epoch == self.epoch),
            lanes={lane.name: self._place(lane, places.get(lane.name)) for lane in said.lanes},
        )
        changed = {
            name for name, place in self.records[said.replica].lanes.items() if _is_news(place, places.get(name))
        }
        return changed | {said.long_lane} if former is not None and said.aged < former.aged else changed

    def _free_rank(self) -> int:
        taken = {record.rank for record in self.records.values()}
        return next(rank for rank in range(len(taken) + 1) if rank not in taken)

    def _place(self, lane: LaneStatement, former: Place | None) -> Place:
        turn = 0
        if lane.wants:
            turn = former.turn if former is not None and former.turn else self._last_turn(lane.name) + 1
        return Place(lane.limit, lane.held, turn)

    # Permits and slots

    def _last_turn(self, lane: str) -> int:
        places = (record.lanes[lane] for record in self.records.values() if lane in record.lanes)
        return max((place.turn for place in places), default=0)

    def _permits(self, said: Statement, lane: LaneStatement, now: int, granting: bool, changed: bool) -> LaneAnswer:
        place = self.records[said.replica].lanes[lane.name]
        limit = self._limit(lane.name, now)
        held = sum(record.lanes[lane.name].held for record in self.records.values() if lane.name in record.lanes)
        line = list(self._others_in_line(said.replica, lane.name, now))
        room = self._within_budget(said, lane.name, limit) - held
        granted = 0
        if granting and lane.wants and room > 0 and all(turn > place.turn for turn in line):
            granted = 1 if line else min(lane.wants, room)
            if granted == lane.wants:
                place.turn = 0
            elif line:
                place.turn = self._last_turn(lane.name) + 1
        if granting and not line and granted == lane.wants:
            granted += max(0, min(lane.spare, room - granted))
        place.held += granted
        others_may_go = line and room > granted and (granted or changed)
        if others_may_go or (changed and lane.wants > granted):  # or what they keep in reserve is wanted
            self._news = True
        return LaneAnswer(granted, bool(line) or room < 0, limit)

    def _limit(self, lane: str, now: int) -> int:
        return min(record.lanes[lane].limit for _, record in self._live(now) if lane in record.lanes)

    def _within_budget(self, said: Statement, lane: str, limit: int) -> int:
        """Return what the budget of long calls leaves of a lane's limit."""
        if lane != said.long_lane or not said.long_limit:
            return limit
        return max(0, min(limit, said.long_limit - sum(record.aged for record in self.records.values())))

    def _others_in_line(self, replica: str, lane: str, now: int) -> Iterator[int]:
        for other, record in self.records.items():
            place = record.lanes.get(lane)
            if other != replica and place is not None and place.turn and now - record.contact <= WAITING:
                yield place.turn

    def _slots(self, said: Statement, now: int, cap: int, span: int) -> Iterator[tuple[str, int]]:
        for index in range(said.slots):
            member = f"{said.replica}:{said.number}:{index}"
            time = self.sends.time_of(member)
            if time is None:
                time = self.sends.next(now, cap, span)
                self.sends.add(member, time)
            yield member, time


def _is_news(place: Place, before: Place | None) -> bool:
    """Whether permits became free, or somebody begins to wait."""
    freed = before is not None and place.held < before.held
    return freed or (place.turn > 0 and (before is None or before.turn == 0))
