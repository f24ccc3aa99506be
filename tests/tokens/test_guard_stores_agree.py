"""Generated sequences that hold the two forms of the guard's store together, step by step."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from gateway.tokens.guard import Lineage, Token
from gateway.tokens.rotation import Policy
from tests.support.valkey import ValkeyServer
from tests.tokens.guard_support import memory_store, timed_store
from tests.tokens.support import START, SetClock, records_of

POLICY = Policy(refresh_ttl=80_000, session_ttl=200_000, grace_ms=30_000, max_families=2)
NAMES_OF_TOKENS = ("a" * 32, "b" * 32, "c" * 32)
NAMES = st.sampled_from(NAMES_OF_TOKENS)
OWNERS = st.sampled_from(["o1", "o2"])
USERS = st.sampled_from(["ann", "a:b|c\nd"])
FAMILIES = st.sampled_from(["1" * 24, "2" * 24, "3" * 24])
GENERATIONS = st.sampled_from([1, 2, 3, 4])
ENDS = st.sampled_from([0, 1, int(START) + 90_000, int(START) + 150_000, 2**40])
"""Within, beyond and far beyond what is remembered anyway."""


class Twins(RuleBasedStateMachine):
    """Both forms are given the same steps at the same times, and must say and hold the same."""

    server: ValkeyServer

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.clock = SetClock()
        self.server.command("FLUSHALL")
        self.memory, self.ledger = memory_store(self.clock, POLICY)
        self.redis, self.client = timed_store(self.server, self.clock, POLICY)

    def teardown(self) -> None:
        self.runner.close()
        self.client.close()

    def _run(self, call: Awaitable[Any]) -> Any:
        async def main() -> Any:
            return await call

        return self.runner.run(main())

    def _both(self, step: str, *arguments: Any, **options: Any) -> Any:
        by_table = self._run(getattr(self.memory, step)(*arguments, **options))
        by_script = self._run(getattr(self.redis, step)(*arguments, **options))
        assert by_script == by_table
        return by_table

    def _lineage(self, user: str, family: str, ago: int, generation: int = 3) -> Lineage:
        return Lineage(user, family, int(self.clock.now) - ago, generation)

    @rule(name=NAMES, owner=OWNERS, again=st.booleans(), claim=st.booleans(), repeat=st.booleans())
    def present(self, name: str, owner: str, again: bool, claim: bool, repeat: bool) -> None:
        for _ in range(1 + repeat):
            self._both("present", name, owner, again=again, claim=claim)

    @rule(name=NAMES, ago=st.sampled_from([0, 1, 30_000, 3_600_000]))
    def judge(self, name: str, ago: int) -> None:
        self._both("present", name, "", claim=False, ago=ago)

    @rule(name=NAMES, owner=OWNERS)
    def release(self, name: str, owner: str) -> None:
        self._both("release", name, owner)

    @rule(name=NAMES, user=USERS, family=FAMILIES, fresh=st.booleans(), ago=st.sampled_from([0, 1, 5000]), end=ENDS)
    def learn(self, name: str, user: str, family: str, fresh: bool, ago: int, end: int) -> None:
        self._both("learn", name, self._lineage(user, family, ago), fresh=fresh, end=end)

    @rule(name=NAMES, owner=OWNERS, user=USERS, family=FAMILIES, spent=st.booleans(), kept=st.booleans(), end=ENDS)
    def trade(self, name: str, owner: str, user: str, family: str, spent: bool, kept: bool, end: int) -> None:
        self._both("trade", name, owner, self._lineage(user, family, 10), spent=spent, kept=kept, end=end)

    @rule(
        user=USERS,
        family=FAMILIES,
        begun=st.sampled_from([None, 0, 1, 5000]),
        device=st.sampled_from(["", "a:b"]),
        generation=GENERATIONS,
        end=ENDS,
    )
    def turn(self, user: str, family: str, begun: int | None, device: str, generation: int, end: int) -> None:
        lineage = Lineage(user, family, 0) if begun is None else self._lineage(user, family, begun, generation)
        self._both("turn", lineage, device, end)

    @rule(name=NAMES, ago=st.sampled_from([0, 1, 30_000, 3_600_000]))
    def promise(self, name: str, ago: int) -> None:
        self._both("promise", name, ago)

    @rule(user=USERS, family=FAMILIES, ago=st.sampled_from([0, 1, 5000]), generation=GENERATIONS)
    def standing(self, user: str, family: str, ago: int, generation: int) -> None:
        self._both("standing", self._lineage(user, family, ago, generation))

    @rule(user=USERS, family=FAMILIES, reason=st.sampled_from(["reused", "revoked"]))
    def end(self, user: str, family: str, reason: str) -> None:
        self._both("end", self._lineage(user, family, 10), reason, int(self.clock.now * 1000))

    @rule(user=USERS)
    def end_all(self, user: str) -> None:
        by_table = self._run(self.ledger.close_all(user, "revoked"))
        assert self._run(self.redis._ledger.close_all(user, "revoked")) == by_table

    @rule(seconds=st.sampled_from([0.001, 1, 14.999, 15, 29.999, 30, 30.001, 300, 3600, -2]))
    def time_passes(self, seconds: float) -> None:
        self.clock.advance(seconds)
        for name in NAMES_OF_TOKENS:  # the server expires by its own time
            held = token_of(self.client.redis.get(self.redis.key(name)))  # type: ignore[arg-type]
            if held is not None and held.lineage is None and self.memory.token(name) is None:
                self.client.redis.delete(self.redis.key(name))

    @invariant()
    def they_hold_the_same_tokens(self) -> None:
        for name in NAMES_OF_TOKENS:
            held = token_of(self.client.redis.get(self.redis.key(name)))  # type: ignore[arg-type]
            assert held == self.memory.token(name)

    @invariant()
    def they_hold_the_same_families(self) -> None:
        for user in ("ann", "a:b|c\nd"):
            key = self.redis._ledger.key(user)
            assert records_of(self.client.redis, key) == self.ledger.users[user].records
            assert int(self.client.redis.hget(key, "floor") or 0) == self.ledger.users[user].floor  # type: ignore[arg-type]

    @invariant()
    def every_record_expires(self) -> None:
        for key in self.client.redis.keys("gw:g:*"):  # type: ignore[union-attr]
            assert self.client.redis.pttl(key) > 0  # type: ignore[operator]


def token_of(value: bytes | None) -> Token | None:
    """Read a record back, by the format that guard_record.lua documents."""
    if value is None:
        return None
    generation, auth, spent, kept, promised, traded, until, owner, family, user = value.decode().split(":", 9)
    lineage = Lineage(user, family, int(auth), int(generation)) if family else None
    return Token(lineage, spent == "1", kept == "1", promised == "1", int(traded), owner, int(until))


def test_generated_sequences_find_no_difference(shared_valkey: ValkeyServer) -> None:
    """Claims, trades, turns, ends and clock jumps: table and scripts agree after every step."""
    machine = type("Machine", (Twins,), {"server": shared_valkey})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=60,
            stateful_step_count=40,
            deadline=None,
            derandomize=True,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
