"""What the backend granted while Redis could not be told: it is written later, and the family goes on."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from gateway.tokens import guard_arrears
from gateway.tokens.client import Client
from gateway.tokens.events import Audit, ReuseDetected
from gateway.tokens.guard import Lineage, Turned
from gateway.tokens.guard_arrears import Arrears, Owed
from gateway.tokens.guard_steps import Deal, GuardSteps
from gateway.tokens.guard_store import Terms
from tests.support.valkey import ValkeyServer
from tests.support.virtual import LoopClock, virtual
from tests.tokens.guard_support import (
    CLAIM_MS,
    Faulty,
    Gate,
    Minting,
    faulty_stage,
    guard_settings,
    memory_store,
    running,
)
from tests.tokens.support import SetClock
from tests.tokens.test_guard_redis import replicas

AWAY = ("present", "release", "standing", "turn", "learn", "keep", "trade", "recall", "end")
DEGRADED, COMMIT = ("present", "release"), ("turn",)


@pytest.mark.parametrize("failing", [DEGRADED, COMMIT, ("trade",), ("learn",)])
async def test_a_revoke_all_ends_what_was_granted_in_an_outage(failing: tuple[str, ...]) -> None:
    """given a refresh that Redis did not hear of, when the user's families are ended afterwards, then the successor is
    refused, and the presented token too; neither reaches the backend."""
    stage, store = faulty_stage(strict=False)
    async with running(stage.gate):
        first = (await stage.gate.login()).token
        store.failing = failing
        second = (await stage.gate.refresh(first)).token
        stage.clock.advance(1)
        await stage.ledger.close_all("42", "revoked")
        store.failing = ()
        assert (await stage.gate.refresh(second)).code == "invalid-token"
        assert (await stage.gate.refresh(first)).code == "invalid-token"
    assert stage.backend.refreshes == [first]


@pytest.mark.parametrize("failing", [DEGRADED, COMMIT])
async def test_what_was_traded_in_an_outage_is_spent(failing: tuple[str, ...]) -> None:
    """given a refresh that Redis did not hear of, when it is back, then a retry in grace gets the same answer, and the
    presented token is reuse after it, which ends the successor's family."""
    stage, store = faulty_stage(strict=False)
    async with running(stage.gate):
        first = (await stage.gate.login()).token
        store.failing = failing
        second = await stage.gate.refresh(first)
        store.failing = ()
        assert (await stage.gate.refresh(first)).content == second.content
        stage.clock.advance(31)
        assert (await stage.gate.refresh(first)).code == "invalid-token"
        assert (await stage.gate.refresh(second.token)).code == "invalid-token"
        assert stage.backend.refreshes == [first]
    assert len(stage.gate.reported(ReuseDetected)) == 1
    assert len({event.family for event in stage.gate.reported(Audit) if event.family}) == 1


async def test_a_retry_during_an_outage_is_answered_from_memory() -> None:
    """given Redis away and an answer that was lost, then the retry gets it again, and is not forwarded; once its
    successor was traded, the backend decides."""
    stage, store = faulty_stage(strict=False)
    async with running(stage.gate):
        first = (await stage.gate.login()).token
        store.failing = AWAY
        second = await stage.gate.refresh(first)
        assert (await stage.gate.refresh(first)).content == second.content
        assert stage.backend.refreshes == [first]
        assert (await stage.gate.refresh(second.token)).status == 200
        assert (await stage.gate.refresh(first)).json == {"message": "no"}
    assert stage.gate.results() == ["degraded", "replayed", "degraded", "degraded"]


async def test_a_spent_token_that_comes_in_an_outage_is_reuse_afterwards() -> None:
    """given a backend that takes its tokens as often as they come, when a spent one is traded during an outage, then
    that is noticed after it: the family ends, and what was granted is refused."""
    stage, store = faulty_stage(strict=False)
    async with running(stage.gate):
        first = (await stage.gate.login()).token
        second = (await stage.gate.refresh(first)).token
        stage.backend.valid[first] = "42"
        stage.clock.advance(30.001)
        store.failing = AWAY
        stolen = (await stage.gate.refresh(first)).token
        stage.clock.advance(60)
        store.failing = ()
        for token in (stolen, first, second):
            assert (await stage.gate.refresh(token)).code == "invalid-token"
    assert stage.backend.refreshes == [first, first]
    assert len(stage.gate.reported(ReuseDetected)) == 1
    assert "reused, committed late" in [event.outcome for event in stage.gate.reported(Audit)]


async def test_a_retry_in_grace_is_no_reuse_however_late_it_is_written() -> None:
    """given a token that was presented in its grace during an outage, when that is written an hour later, then nothing
    is held against it."""
    stage, store = faulty_stage(strict=False)
    async with running(stage.gate):
        first = (await stage.gate.login()).token
        await stage.gate.refresh(first)
        stage.backend.valid[first] = "42"
        stage.clock.advance(29.999)
        store.failing = AWAY
        second = (await stage.gate.refresh(first)).token
        stage.clock.advance(3600)
        store.failing = ()
        assert (await stage.gate.refresh(second)).status == 200
    assert stage.gate.reported(ReuseDetected) == []


async def test_a_chain_of_trades_is_written_in_its_order() -> None:
    """given several refreshes during one outage, then their family goes on, and only the last token is good."""
    stage, store = faulty_stage(strict=False)
    async with running(stage.gate):
        tokens = [(await stage.gate.login()).token]
        store.failing = AWAY
        for _ in range(5):
            tokens.append((await stage.gate.refresh(tokens[-1])).token)
        store.failing = ()
        assert (await stage.gate.refresh(tokens[-1])).status == 200
        (family,) = stage.ledger.users["42"].live().values()
        assert family.generation == 7
        assert (await stage.gate.refresh(tokens[2])).code == "invalid-token"
    assert [event.outcome for event in stage.gate.reported(Audit)].count("committed late") == 5


async def test_a_token_that_nobody_knows_begins_its_family_when_it_was_presented() -> None:
    """given a first refresh in an outage, when all of its user's are ended after it, then the successor is refused."""
    stage, store = faulty_stage(strict=False)
    stage.backend.jwt = True
    async with running(stage.gate):
        old = stage.backend.mint("ann")
        store.failing = AWAY
        second = (await stage.gate.refresh(old)).token
        stage.clock.advance(5)
        await stage.ledger.close_all("ann", "revoked")
        stage.clock.advance(5)
        store.failing = ()
        assert (await stage.gate.refresh(second)).code == "invalid-token"


async def test_a_logout_after_the_outage_ends_the_family() -> None:
    """given a successor that Redis does not know of, when it logs out, then what is owed is written and ended."""
    stage, store = faulty_stage(strict=False)
    async with running(stage.gate):
        first = (await stage.gate.login()).token
        store.failing = AWAY
        second = (await stage.gate.refresh(first)).token
        store.failing = ()
        assert (await stage.gate.logout(second)).status == 204
        assert stage.ledger.users["42"].live() == {}
    assert stage.gate.results("logout") == ["ok"]


@pytest.mark.parametrize("strict", [True, False])
@virtual
async def test_it_is_written_by_itself(strict: bool) -> None:
    """given Redis away for a while, then what is owed is written within seconds of its return, without a request."""
    clock = LoopClock()
    _, ledger = memory_store(clock)
    store = Faulty(ledger, Terms(guard_settings().policy, CLAIM_MS), clock)
    gate = Gate(store, Minting().handle, clock=clock, require_redis=strict)
    async with running(gate):
        first = (await gate.login()).token
        store.failing = COMMIT
        second = await gate.refresh(first)
        assert second.status == 200
        await asyncio.sleep(60)
        assert len(gate.layer._desk.arrears) == 1
        store.failing = ()
        await asyncio.sleep(2)
        assert len(gate.layer._desk.arrears) == 0
        names = gate.layer._desk.vault.names
        assert store.token(names(first)[0]).spent  # type: ignore[union-attr]
        assert store.token(names(second.token)[0]).lineage.generation == 2  # type: ignore[union-attr]


async def test_a_known_answer_is_not_forwarded_for_want_of_redis() -> None:
    """given an answer that was kept and cannot be found, when Redis goes away right then, then 503: the backend may
    take the token for stolen."""
    stage, store = faulty_stage(strict=False)
    async with running(stage.gate):
        token = (await stage.gate.login()).token
        await stage.gate.refresh(token)
        store._answers.clear()
        present, calls = store.present, []

        async def once(*arguments: object, **options: object) -> object:
            calls.append(options.get("again"))
            if len(calls) > 1:
                store.failing = AWAY
                await store.present()  # type: ignore[call-arg]
            return await present(*arguments, **options)  # type: ignore[arg-type]

        store.present = once  # type: ignore[method-assign,assignment]
        assert (await stage.gate.refresh(token)).code == "redis-required"
        assert calls == [False, True]
    assert stage.backend.refreshes == [token]


class Desk:
    """A store in memory and what is owed to it."""

    def __init__(self) -> None:
        self.clock = SetClock()
        store, self.ledger = memory_store(self.clock)
        self.steps = GuardSteps(store)
        self.told: list[Owed] = []
        self.arrears = Arrears(self.steps, self._look, self._told, lambda lineage: None, self.clock)

    async def _look(self, names: tuple[str, ...]) -> tuple[object, str]:
        return await self.steps.look(names[0]), names[0]

    def _told(self, owed: Owed, lineage: Lineage, turned: object) -> None:
        self.told.append(owed)

    def owed(self, name: str, *successors: str, answer: bytes = b"sealed") -> Owed:
        deal = Deal(name, "owner", Lineage("ann", "f" * 24, 0), successors, None)
        return Owed((name,), deal, self.clock.now, Client("", ""), "", {name: answer})


async def test_of_a_token_traded_twice_every_successor_counts() -> None:
    """given two trades of one token that are owed, then they are one, and both successors join the family."""
    desk = Desk()
    desk.arrears.owe(desk.owed("a", "b"))
    desk.arrears.owe(desk.owed("a", "c", answer=b"later"))
    assert (len(desk.arrears), desk.arrears.answer("a")) == (1, b"later")
    await desk.arrears.settle(("c",))
    assert len(desk.arrears) == 0
    families = {(await desk.steps.look(name)).lineage for name in "bc"}
    assert families == {Lineage("ann", "f" * 24, int(desk.clock.now), 2)}


async def test_only_what_concerns_a_token_is_written_before_it() -> None:
    """A decision waits for its own past, not for everybody's."""
    desk = Desk()
    for name, successor in ("ab", "bc", "xy"):
        desk.arrears.owe(desk.owed(name, successor))
    await desk.arrears.settle(("c",))
    assert [owed.key for owed in desk.told] == ["a", "b"]
    await desk.arrears.settle(("y",))
    assert len(desk.arrears) == 0


async def test_tokens_in_a_circle_are_written_once() -> None:
    """given a backend that gives an old token again, then nobody goes round in circles."""
    desk = Desk()
    for name, successor in ("ab", "ba"):
        desk.arrears.owe(desk.owed(name, successor))
    await desk.arrears.settle(("a",))
    assert [owed.key for owed in desk.told] == ["a", "b"]


async def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest trades go first, and answers beyond the limit are not kept."""
    monkeypatch.setattr(guard_arrears, "MAX_OWED", 3)
    monkeypatch.setattr(guard_arrears, "MAX_BYTES", 25)
    desk = Desk()
    for name in "abcd":
        desk.arrears.owe(desk.owed(name, name * 2, answer=b"x" * 10))
    assert len(desk.arrears) == 3
    assert [desk.arrears.answer(name) for name in "abcd"] == [None, b"x" * 10, None, None]
    desk.arrears.owe(desk.owed("b", "bbb", answer=b"y" * 25))
    assert desk.arrears.answer("b") == b"y" * 25


async def test_a_login_that_another_replica_met_is_not_begun_again() -> None:
    """given a login that is owed, when its token was learned elsewhere meanwhile, then that family counts."""
    desk = Desk()
    login = desk.owed("", "a")
    desk.arrears.owe(replace(login, names=(), answers={}))
    assert isinstance(await desk.steps.open("ann", "1" * 24, ("a",), ""), Turned)
    await desk.arrears.settle(("a",))
    assert (len(desk.arrears), desk.told) == (0, [])
    assert list(desk.ledger.users["ann"].live()) == ["1" * 24]


async def test_through_a_real_outage(valkey: ValkeyServer) -> None:
    """given a server that stands still for a while, then what was granted meanwhile is written by itself: the presented
    token is spent, and revoke-all on another gateway ends the successor."""
    backend = Minting()
    async with replicas(valkey, backend, 2, timeout=0.3) as (near, far):
        first = (await near.login()).token
        valkey.pause()
        try:
            second = (await near.refresh(first)).token
        finally:
            valkey.resume()
        async with asyncio.timeout(10):
            while len(near.layer._desk.arrears):
                await asyncio.sleep(0.02)
        assert (await far.refresh(first)).token == second
        await far.ledger.close_all("42", "revoked")
        assert (await far.refresh(second)).code == "invalid-token"
        assert (await far.refresh(first)).code == "invalid-token"
    assert near.results() == ["degraded"]
    assert backend.refreshes == [first]
