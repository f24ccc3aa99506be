"""What the books must hold whatever happens to replicas that keep to the protocol."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import count

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from gateway.throttle.books import Books
from gateway.throttle.fleet import Answer, Standing
from tests.throttle.books_support import BLANK, SECOND, START, lane

CAP, SPAN, LIMIT = 3, 20 * SECOND, 4
FOLLOWING: dict[str, Standing] = {"open": "shared", "gathering": "sharing", "closing": "held"}


@dataclass(slots=True)
class Replica:
    """A replica that keeps to the protocol: it states what it has, and pushes whatever it may have sent."""

    name: str
    number: int = 0
    acknowledged: int = 0
    epoch: str = ""
    standing: Standing = "new"
    held: int = 0
    known: tuple[str, ...] = ()
    slots: dict[str, int] = field(default_factory=dict)

    def speak(
        self, books: Books, now: int, *, wants: int = 0, slots: int = 0, frees: int = 0, lost: bool = False
    ) -> int:
        """Make a statement, and hear the answer unless it is lost; return the permits granted."""
        self.number += 1
        self.held = max(0, self.held - frees)
        said = replace(
            BLANK,
            replica=self.name,
            number=self.number,
            acknowledged=self.acknowledged,
            epoch=self.epoch,
            standing=self.standing,
            known=self.known,
            sends=() if self.standing in ("new", "shared") else tuple(self.slots.items()),
            cap=CAP,
            span=SPAN,
            lanes=(lane(self.held, wants, LIMIT),),
            slots=slots,
        )
        answer = books.tell(said, now)
        if lost:
            return 0
        self._hear(answer)
        return answer.lanes[0].granted

    def _hear(self, answer: Answer) -> None:
        if not (self.standing == "new" and answer.verdict != "open"):
            self.standing = FOLLOWING[answer.verdict]
        self.epoch, self.acknowledged = answer.epoch, self.number
        self.held += answer.lanes[0].granted
        self.slots |= dict(answer.slots)
        self.known = tuple(other for other in answer.replicas if other != self.name)


UNTIL_OPEN = 2 * SPAN // SECOND + 40
"""Halves of a second: a span, for which a dead replica may be waited for, and its lease."""


class BooksMachine(RuleBasedStateMachine):
    """Replicas come, speak, lose replies, are cut off and killed; the books lose their data."""

    def __init__(self) -> None:
        super().__init__()
        self.now, self.books, self.names = START, Books(), count()
        self.alive: list[Replica] = []
        self.slots: set[tuple[str, int]] = set()
        """Everything granted to somebody who heard of it."""

    def speak(self, replica: Replica, **what: int) -> int:
        granted = replica.speak(self.books, self.now, **what)
        self.slots |= set(replica.slots.items())
        return granted

    def everybody_speaks(self) -> None:
        for replica in self.alive:
            self.speak(replica)

    def pick(self, data: st.DataObject) -> Replica:
        return data.draw(st.sampled_from(self.alive))

    @precondition(lambda self: len(self.alive) < 4)
    @rule()
    def a_replica_starts(self) -> None:
        self.alive.append(Replica(f"{next(self.names):012x}"))
        self.speak(self.alive[-1])

    @precondition(lambda self: self.alive)
    @rule(data=st.data(), wants=st.integers(0, 3), slots=st.integers(0, 2), frees=st.integers(0, 2), lost=st.booleans())
    def a_replica_speaks(self, data: st.DataObject, wants: int, slots: int, frees: int, lost: bool) -> None:
        self.speak(self.pick(data), wants=wants, slots=slots, frees=frees, lost=lost)

    @rule(step=st.sampled_from([1, SECOND // 2, SECOND, 3 * SECOND]), steps=st.integers(1, 8))
    def time_passes(self, step: int, steps: int) -> None:
        """With heartbeats."""
        for _ in range(steps):
            self.now += step
            self.everybody_speaks()

    @precondition(lambda self: self.alive)
    @rule(data=st.data())
    def a_replica_was_cut_off(self, data: st.DataObject) -> None:
        self.pick(data).standing = "sharing"

    @precondition(lambda self: self.alive)
    @rule(data=st.data())
    def a_replica_is_killed(self, data: st.DataObject) -> None:
        self.alive.remove(self.pick(data))

    @precondition(lambda self: all(replica.standing != "new" for replica in self.alive))
    @rule()
    def data_is_lost(self) -> None:
        """All know each other; what was granted to the dead is lost with the data, which is the known residual."""
        self.everybody_speaks()
        self.everybody_speaks()
        self.books = Books()
        self.slots = {entry for replica in self.alive for entry in replica.slots.items()}
        self.everybody_speaks()

    @precondition(lambda self: self.alive)
    @rule()
    def nobody_waits_for_ever(self) -> None:
        """When all want and hold on to nothing, each is granted something, as soon as nobody dead is waited for."""
        waiting = {replica.name for replica in self.alive}
        for _ in range(UNTIL_OPEN + 4 * len(self.alive)):
            self.now += SECOND // 2
            for replica in self.alive:
                if self.speak(replica, wants=2, frees=1):
                    waiting.discard(replica.name)
        assert not waiting

    @precondition(lambda self: self.alive)
    @rule()
    def what_the_dead_held_comes_back(self) -> None:
        """Once it lapsed and the books are open, all permits can be had by the living, when they let go of theirs."""
        for _ in range(UNTIL_OPEN):
            self.now += SECOND // 2
            for replica in self.alive:
                self.speak(replica, frees=LIMIT)
        for replica in self.alive:
            self.speak(replica)
        assert self.speak(self.alive[0], wants=LIMIT) == LIMIT

    @invariant()
    def no_span_holds_more_than_cap_slots(self) -> None:
        times = sorted(time for _, time in self.slots)
        assert all(later - earlier >= SPAN for earlier, later in zip(times, times[CAP:], strict=False))

    @invariant()
    def permits_stay_within_the_limit(self) -> None:
        assert sum(replica.held for replica in self.alive) <= LIMIT


TestBooksMachine = BooksMachine.TestCase
TestBooksMachine.settings = settings(max_examples=200, stateful_step_count=40, deadline=None, derandomize=True)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(order=st.lists(st.integers(0, 3), max_size=200))
def test_permits_are_shared_out_evenly_whoever_asks_how_often(order: list[int]) -> None:
    """given four replicas that always want more and give back what they had, when they ask in any order, then nobody is
    ever granted two more than another."""
    books, now = Books(), START
    replicas = [Replica(f"{index:012x}") for index in range(4)]
    for replica in replicas:
        replica.speak(books, now)
    for replica in replicas:
        replica.speak(books, now, wants=LIMIT)  # the first has all, the rest are in line
    counts = [0, 0, 0, 0]
    for index in order:
        counts[index] += replicas[index].speak(books, now, wants=9, frees=9)
        assert max(counts) - min(counts) <= 1
