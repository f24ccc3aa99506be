"""Generated statements that hold the two forms of the fleet's books together, step by step."""

from __future__ import annotations

import asyncio
import copy
from dataclasses import dataclass, field, replace
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from gateway.throttle.fleet import Answer, Statement
from tests.support.valkey import ValkeyServer
from tests.throttle.books_support import BLANK, SECOND, SPAN, START, InRedis, Memory, lane

REPLICAS = ("a" * 12, "b" * 12, "c" * 12, "d" * 12)
LANES = ("default", "reports")
STEPS = (0, 1, 999_999, SECOND, 1_500_000, 1_500_001, 9_999_999, 10_000_000, 10_000_001, 15_000_001, SPAN - 1, SPAN)
STANDINGS = st.sampled_from(["follow", "follow", "follow", "new", "shared", "sharing", "held", "leaving"])
COUNT = st.integers(0, 3)


@dataclass(slots=True)
class Speaker:
    """What a replica knows; most of the time it does as the protocol wants."""

    number: int = 0
    acknowledged: int = 0
    epoch: str = ""
    standing: str = "new"
    held: dict[str, int] = field(default_factory=lambda: dict.fromkeys(LANES, 0))
    slots: tuple[str, ...] = ()
    known: tuple[str, ...] = ()
    last: Statement | None = None

    def hear(self, said: Statement, answer: Answer) -> None:
        if said.epoch != answer.epoch:
            self.acknowledged = 0
        self.epoch, self.acknowledged = answer.epoch, said.number
        for stated, heard in zip(said.lanes, answer.lanes, strict=False):
            self.held[stated.name] = stated.held + heard.granted
        self.slots = tuple(member for member, _ in answer.slots) or self.slots
        self.known = tuple(other for other in answer.replicas if other != said.replica)
        following = {"open": "shared", "gathering": "sharing", "closing": "held"}
        waiting = said.standing == "new" and answer.verdict != "open"
        self.standing = "new" if waiting else following.get(answer.verdict, self.standing)


class Twins(RuleBasedStateMachine):
    """Both forms hear the same statements at the same times, and must say and tell the same."""

    server: ValkeyServer
    met: set[str]
    """Everything that was answered."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.memory, self.redis = Memory(), InRedis(self.server)
        self.redis.lose()
        self.now = START
        self.speakers = {replica: Speaker() for replica in REPLICAS}
        self.snapshot: Any = None

    def teardown(self) -> None:
        self.redis.close()
        self.runner.close()

    def tell(self, said: Statement, *, reply_is_lost: bool) -> None:
        self.memory.set_time(self.now)
        self.redis.set_time(self.now)
        answer = self.runner.run(self.memory.fleet.tell(said))  # type: ignore[arg-type]
        assert self.runner.run(self.redis.fleet.tell(said)) == answer  # type: ignore[arg-type]
        assert self.memory.news() == self.redis.news()
        self.note(answer)
        if not reply_is_lost and answer.verdict != "stale":
            self.speakers[said.replica].hear(said, answer)

    def note(self, answer: Answer) -> None:
        self.met |= {answer.verdict, f"lost {answer.data_lost}", f"rank {answer.rank}"}
        self.met |= {f"granted {min(heard.granted, 2)} contended {heard.contended}" for heard in answer.lanes}
        self.met |= {"slot now" if time == answer.now else "slot later" for _, time in answer.slots}

    @rule(
        replica=st.sampled_from(REPLICAS),
        standing=STANDINGS,
        wants=st.tuples(COUNT, COUNT),
        spare=COUNT,
        freed=st.tuples(COUNT, COUNT),
        shape=st.tuples(st.integers(1, 3), st.sampled_from([SPAN, SPAN // 2]), st.sampled_from([0, 0, 3]), COUNT),
        slots=COUNT,
        gives_back=st.booleans(),
        pushes=st.lists(st.sampled_from([0, 1, SECOND, SPAN - 1, SPAN, -5]), max_size=3),
        knows=st.booleans(),
        reply_is_lost=st.sampled_from([False, False, False, True]),
    )
    def a_replica_speaks(
        self,
        replica: str,
        standing: Any,
        wants: tuple[int, int],
        spare: int,
        freed: tuple[int, int],
        shape: tuple[int, int, int, int],
        slots: int,
        gives_back: bool,
        pushes: list[int],
        knows: bool,
        reply_is_lost: bool,
    ) -> None:
        speaker = self.speakers[replica]
        speaker.number += 1
        held = [max(0, speaker.held[name] - less) for name, less in zip(LANES, freed, strict=True)]
        cap, span, long_limit, aged = shape
        said = replace(
            BLANK,
            replica=replica,
            number=speaker.number,
            acknowledged=speaker.acknowledged,
            epoch=speaker.epoch,
            standing=speaker.standing if standing == "follow" else standing,
            known=speaker.known if knows else (),
            sends=tuple((f"{replica}:s{self.now - ago}", self.now - ago) for ago in pushes),
            cap=cap,
            span=span,
            lanes=tuple(lane(held[i], wants[i], 3 + i * (replica == REPLICAS[0]), LANES[i], spare) for i in range(2)),
            long_lane="reports" if long_limit else "",
            long_limit=long_limit,
            aged=aged,
            slots=slots,
            back=speaker.slots if gives_back else (),
            view=slots == 0,
        )
        speaker.last = said
        self.tell(said, reply_is_lost=reply_is_lost)

    @rule(rounds=st.integers(1, 4), wants=COUNT, freed=COUNT, slots=COUNT, step=st.sampled_from([0, 1, SECOND // 5]))
    def everybody_follows(self, rounds: int, wants: int, freed: int, slots: int, step: int) -> None:
        """All speak in turn, as replicas do that hear of news: without this, few sequences would come to be open."""
        for replica in REPLICAS * rounds:
            self.now += step
            self.a_replica_speaks(
                replica=replica,
                standing="follow",
                wants=(wants, wants),
                freed=(freed, freed),
                shape=(3, SPAN, 0, 0),
                spare=0,
                slots=slots,
                gives_back=False,
                pushes=[],
                knows=True,
                reply_is_lost=False,
            )

    @rule(replica=st.sampled_from(REPLICAS))
    def a_statement_is_repeated(self, replica: str) -> None:
        if (said := self.speakers[replica].last) is not None:
            self.tell(said, reply_is_lost=False)

    @rule(replica=st.sampled_from(REPLICAS))
    def a_statement_comes_late(self, replica: str) -> None:
        if (said := self.speakers[replica].last) is not None:
            self.tell(replace(said, number=said.number - 1), reply_is_lost=True)

    @rule(replica=st.sampled_from(REPLICAS))
    def a_replica_starts_anew(self, replica: str) -> None:
        self.speakers[replica] = Speaker(number=self.speakers[replica].number)

    @rule(step=st.sampled_from(STEPS))
    def time_passes(self, step: int) -> None:
        self.now += step

    @rule(step=st.sampled_from([-3600 * SECOND, -SECOND, 3600 * SECOND]), replica=st.sampled_from(REPLICAS))
    def the_clock_jumps(self, step: int, replica: str) -> None:
        self.now += step
        speaker = self.speakers[replica]
        speaker.number += 1
        said = replace(BLANK, replica=replica, number=speaker.number, epoch=speaker.epoch, standing="sharing")
        self.tell(replace(said, reset=True, known=speaker.known), reply_is_lost=False)

    @rule()
    def data_is_lost(self) -> None:
        self.memory.lose()
        self.redis.lose()

    @rule()
    def a_follower_copies(self) -> None:
        keys = self.redis.redis_fleet.keys
        dumps = [self.redis.client.redis.dump(key) for key in keys]
        self.snapshot = (dumps, copy.deepcopy(self.memory.books))

    @precondition(lambda self: self.snapshot is not None)
    @rule()
    def a_failover_loses_writes(self) -> None:
        dumps, books = self.snapshot
        self.redis.lose()
        for key, dump in zip(self.redis.redis_fleet.keys, dumps, strict=True):
            if dump is not None:
                self.redis.client.redis.restore(key, 3_600_000, dump)
        self.memory.lose(until=copy.deepcopy(books))

    @invariant()
    def they_hold_the_same_log(self) -> None:
        held = self.redis.client.redis.zrange(self.redis.redis_fleet.keys[1], 0, -1, withscores=True)
        assert [(int(score), member.decode()) for member, score in held] == self.memory.books.sends.entries

    @invariant()
    def both_keys_expire(self) -> None:
        for key in self.redis.redis_fleet.keys:
            assert self.redis.client.redis.ttl(key) != -1


EVERYTHING = {
    *("open", "gathering", "closing", "stale", "lost True", "lost False", "rank 3", "slot now", "slot later"),
    *("granted 2 contended False", "granted 1 contended True", "granted 0 contended True"),
}


def test_generated_statements_find_no_difference(shared_valkey: ValkeyServer) -> None:
    """Statements of four replicas in any order, lost replies, repeats, late ones, clock jumps, data loss, failovers:
    both forms say the same, tell of the same news and hold the same log after every step.

    The sequences are worth something only when they meet everything that can be answered, so that is held too.
    """
    machine = type("Machine", (Twins,), {"server": shared_valkey, "met": set()})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=150,
            stateful_step_count=50,
            deadline=None,
            derandomize=True,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
    assert machine.met >= EVERYTHING
