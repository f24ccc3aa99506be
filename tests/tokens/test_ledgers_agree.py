"""Generated sequences that hold the two forms of the ledger together, step by step."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Awaitable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, multiple, rule, run_state_machine_as_test

from gateway.tokens.memory import MemoryLedger
from gateway.tokens.redis_ledger import RedisLedger
from gateway.tokens.rotation import Family, Policy, Presented
from gateway.tokens.standstill import Pauses
from tests.support.valkey import ValkeyServer
from tests.tokens.support import SetClock, TimedClient, records_of

POLICY = Policy(refresh_ttl=7200, session_ttl=20_000, grace_ms=30_000, max_families=3)
USER = "ann"
AGO = st.sampled_from([0, 0, 1, 29_999, 30_000, 3_600_000])
MOSTLY = st.sampled_from([True, True, False])
LATER = st.sampled_from([0, 29.999, 30, 30.001, 59.999, 60, 60.001, 3600])
PAUSES = st.sampled_from([(), (), ((0, 29_999),), ((1, 3_600_000),), ((30_000, 5000), (36_000, 90_000_000))])


def _successor(family: str, record: Family) -> Presented:
    return Presented(family, record.generation, record.auth_time, record.rotated_ms // 1000, record.expires)


class Twins(RuleBasedStateMachine):
    """Both forms are given the same commands at the same times, and must say and hold the same."""

    server: ValkeyServer
    policy: Policy
    met: set[str]
    """Everything that either form has answered."""
    tokens: Bundle[Presented] = Bundle("tokens")

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.clock = SetClock()
        self.client = TimedClient(self.server, self.clock)
        self.redis = RedisLedger(self.client, self.policy)  # type: ignore[arg-type]
        self.count = 0
        self._begin_dataset()

    def teardown(self) -> None:
        self.runner.close()
        self.client.close()

    def _begin_dataset(self) -> None:
        self.client.redis.flushall()
        self.memory = MemoryLedger(self.policy, self.clock)
        self.snapshot: tuple[dict[bytes, bytes], Any] = ({}, None)
        self._both("issue", "bystander", "f" * 24, "k", "")

    def _run(self, call: Awaitable[Any]) -> Any:
        async def main() -> Any:
            return await call

        return self.runner.run(main())

    def _both(self, operation: str, *arguments: Any) -> Any:
        by_table = self._run(getattr(self.memory, operation)(*arguments))
        by_script = self._run(getattr(self.redis, operation)(*arguments))
        assert by_script == by_table
        self.met.add(f"{operation} {type(getattr(by_table, 'result', by_table)).__name__}")
        if isinstance(by_table, bool):
            self.met.add(f"{operation} {by_table}")
        return by_table

    @rule(target=tokens, device=st.sampled_from(["", "phone", "a:b|c"]))
    def login(self, device: str) -> Presented:
        self.count += 1
        family = f"{self.count * 7 % 1000:024x}"
        opened = self._both("issue", USER, family, "k1", device)
        return Presented(family, 1, opened.auth_time, opened.rotated_ms // 1000, opened.expires, device=device)

    @rule(target=tokens)
    def degraded_login(self) -> Presented:
        self.count += 1
        now = int(self.clock.now)
        return Presented(f"{self.count * 7 % 1000:024x}", 1, now, now, now + POLICY.refresh_ttl, degraded=True)

    @rule(target=tokens, token=tokens, key_id=st.sampled_from(["k1", "k2"]), repeat=st.booleans())
    def refresh(self, token: Presented, key_id: str, repeat: bool) -> Any:
        result = self._both("refresh", USER, token, key_id).result
        if repeat:
            self._both("refresh", USER, token, key_id)
        return _successor(token.family, result.family) if hasattr(result, "family") else multiple()

    @rule(token=tokens, reason=st.sampled_from(["revoked", "undelivered"]))
    def end(self, token: Presented, reason: str) -> None:
        self._both("end", USER, token, reason)

    @rule(token=tokens)
    def end_by_name(self, token: Presented) -> None:
        self._both("close", USER, token.family, "revoked")

    @rule()
    def end_all(self) -> None:
        self._both("close_all", USER, "revoked")

    @rule()
    def look(self) -> None:
        self._both("families", USER)

    @rule(target=tokens, token=tokens, rotates=MOSTLY, later=LATER, pauses=PAUSES, ago=AGO)
    def comes_after_an_outage(self, token: Presented, rotates: bool, later: float, pauses: Pauses, ago: int) -> Any:
        if rotates:
            self.refresh(token, "k1", False)
            self.clock.advance(later)
        return self.refresh(replace(token, pauses=pauses, ago=ago), "k1", False)

    @rule(token=tokens, rotates=MOSTLY, later=LATER, pauses=PAUSES, ago=AGO)
    def is_promised(self, token: Presented, rotates: bool, later: float, pauses: Pauses, ago: int) -> None:
        if rotates:
            self.refresh(token, "k1", False)
            self.clock.advance(later)
        self._both("keep", USER, replace(token, pauses=pauses, ago=ago))

    @rule(claims=st.sampled_from(["{}", '{"role":"admin"}', "L:1:k:1:1:1:0:0:", "\n"]))
    def backend_says(self, claims: str) -> None:
        self._both("remember", USER, claims)
        self._both("recall", USER)

    @rule(seconds=st.sampled_from([0.001, 0.999, 1, 29.999, 30, 30.001, 299, 300, 3600, 7199, 86_400, -2, -40]))
    def time_passes(self, seconds: float) -> None:
        self.clock.advance(seconds)

    @rule(target=tokens, token=tokens, later=st.sampled_from([0, 299, 300, 301, 3600]))
    def data_is_lost(self, token: Presented, later: float) -> Any:
        self.clock.advance(later)
        self._begin_dataset()
        return self.refresh(token, "k1", False)

    @rule()
    def replica_copies(self) -> None:
        fields = self.client.redis.hgetall(self.redis.key(USER))
        self.snapshot = (fields, copy.deepcopy(self.memory.users[USER]))  # type: ignore[assignment]

    @rule()
    def failover_loses_writes(self) -> None:
        fields, user = self.snapshot
        if user is None:
            return
        key = self.redis.key(USER)
        self.client.redis.delete(key)
        if fields:
            self.client.redis.hset(key, mapping=fields)
            self.client.redis.expire(key, 100_000)
        self.memory.users[USER] = copy.deepcopy(user)

    @rule(target=tokens, token=tokens, goes_on=st.booleans())
    def failover_loses_a_rotation(self, token: Presented, goes_on: bool) -> Any:
        self.replica_copies()
        successor = self.refresh(token, "k1", False)
        self.failover_loses_writes()
        return self.refresh(successor, "k1", False) if goes_on and isinstance(successor, Presented) else successor

    @invariant()
    def they_hold_the_same(self) -> None:
        held = self.memory.users[USER]
        key = self.redis.key(USER)
        assert records_of(self.client.redis, key) == held.records
        assert int(self.client.redis.hget(key, "floor") or 0) == held.floor  # type: ignore[arg-type]

    @invariant()
    def the_cap_holds(self) -> None:
        assert len(self.memory.users[USER].live()) <= POLICY.max_families

    @invariant()
    def every_hash_expires(self) -> None:
        key = self.redis.key(USER)
        if self.client.redis.exists(key):
            assert self.client.redis.pttl(key) > 0  # type: ignore[operator]


RESULTS = ("Rotated", "Replayed", "Healed", "Adopted", "Reused", "Ended", "Unknown", "Expired")


@pytest.mark.parametrize("adopt_lost", [True, False])
def test_generated_sequences_find_no_difference(shared_valkey: ValkeyServer, adopt_lost: bool) -> None:
    """Logins, refreshes, ends, promises, clock jumps, data loss and failovers: table and script agree after every step.

    The sequences are worth something only when they meet every row of the table, so that is held too.
    """
    parts = {"server": shared_valkey, "policy": replace(POLICY, adopt_lost=adopt_lost), "met": set()}
    machine = type("Machine", (Twins,), parts)
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=200 if adopt_lost else 80,
            stateful_step_count=40,
            deadline=None,
            derandomize=True,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
    if adopt_lost:
        assert machine.met >= {f"refresh {result}" for result in RESULTS} | {
            "keep True",
            "keep False",
            "recall Remembered",
        }
    assert machine.met >= {"close True", "close False", "close_all tuple", "families Held"}
