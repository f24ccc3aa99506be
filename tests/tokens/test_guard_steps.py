"""The order of the writes: a gateway that is killed, or loses Redis, between any two of them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from gateway.errors import StoreUnavailable
from gateway.tokens.guard import Claimed, Kept, Lineage, Spent, Turned
from gateway.tokens.guard_redis import RedisGuard
from gateway.tokens.guard_steps import Deal, GuardSteps
from gateway.tokens.guard_store import MemoryGuard, Terms
from gateway.tokens.rotation import Ended
from tests.support.valkey import ValkeyServer
from tests.tokens.guard_support import CLAIM_MS, Crash, GuardClient, fail, guard_settings, memory_store, timed_store
from tests.tokens.support import START, SetClock

OLD, NEW = "a" * 32, "b" * 32
FAMILY = "f" * 24
ANN = Lineage("ann", FAMILY, int(START))


class Stage:
    """A store on a real server by the test's time, and the steps on it."""

    def __init__(self, server: ValkeyServer) -> None:
        self.clock = SetClock()
        self.store, self.client = timed_store(server, self.clock)
        self.steps = GuardSteps(self.store)

    async def begin(self) -> None:
        """Log in, and claim the token for a refresh."""
        assert await self.steps.open("ann", FAMILY, (OLD,), "phone") == Turned(int(START), 1)
        assert (await self.steps.claim(OLD, "first")).verdict == Claimed(ANN)

    def deal(self, owner: str = "first", *successors: str) -> Deal:
        return Deal(OLD, owner, ANN, successors or (NEW,), b"sealed")

    async def verdict(self, name: str) -> object:
        return (await self.steps.look(name)).verdict


@pytest.fixture
def stage(shared_valkey: ValkeyServer) -> Iterator[Stage]:
    """Give a stage on the session's server."""
    stage = Stage(shared_valkey)
    yield stage
    stage.client.close()


def grown() -> Lineage:
    """Return what a successor is known by."""
    return Lineage("ann", FAMILY, int(START), 2)


async def test_a_commit_spends_the_token_and_knows_the_successor(stage: Stage) -> None:
    """After it the presented token gets the kept answer in grace, the successor is good, and later use is reuse."""
    await stage.begin()
    assert await stage.steps.commit(stage.deal()) == Turned(int(START), 1)
    assert await stage.verdict(OLD) == Kept(ANN)
    assert await stage.steps.recall(ANN) == b"sealed"
    assert await stage.verdict(NEW) == Claimed(grown())
    stage.clock.advance(30.001)
    assert await stage.verdict(OLD) == Spent(ANN)


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("step", ["guard_keep", "guard_turn", "guard_learn", "guard_trade"])
async def test_a_gateway_killed_during_a_commit_costs_nothing(stage: Stage, step: str, when: str) -> None:
    """given a kill at any write, then the token is claimed again when the claim has run out, and no alarm; from the
    first write on its answer is there to finish with, and a backend that rotates need not be asked a second time."""
    await stage.begin()
    setattr(stage.client, when, fail(Crash(), step))
    with pytest.raises(Crash):
        await stage.steps.commit(stage.deal())
    setattr(stage.client, when, lambda name: None)
    if (step, when) == ("guard_trade", "after"):
        assert await stage.verdict(OLD) == Kept(ANN)
        return
    stage.clock.advance(CLAIM_MS / 1000)
    assert (await stage.steps.claim(OLD, "second")).verdict == Claimed(ANN)
    assert await stage.steps.recall(ANN) == (None if (step, when) == ("guard_keep", "before") else b"sealed")
    assert await stage.steps.commit(stage.deal("second")) == Turned(int(START), 1)
    assert await stage.verdict(OLD) == Kept(ANN)
    assert await stage.verdict(NEW) == Claimed(grown())


async def test_a_login_cut_short_leaves_a_family_that_no_token_leads_to(stage: Stage) -> None:
    """given a kill between the two writes of a login, then the family is listed, and its token is an unknown one."""
    stage.client.before = fail(Crash(), "guard_learn")
    with pytest.raises(Crash):
        await stage.steps.open("ann", FAMILY, (OLD,), "phone")
    stage.client.before = lambda name: None
    assert await stage.store.standing(ANN) is None
    assert FAMILY.encode() in stage.client.redis.hgetall("gw:t:{ann}")  # type: ignore[operator]
    assert await stage.verdict(OLD) == Claimed(None)


async def test_revoke_all_wins_over_a_refresh_in_flight(stage: Stage) -> None:
    """given a family that is ended between claim and commit, then it stays ended, and so is the successor's."""
    await stage.begin()
    await ledger_of(stage).close_all("ann", "revoked")
    assert await stage.steps.commit(stage.deal()) == Ended("revoked")
    assert await stage.verdict(NEW) == Ended("revoked")
    assert await stage.verdict(OLD) == Ended("revoked")


async def test_revoke_all_wins_over_a_first_refresh_in_flight(stage: Stage) -> None:
    """given a token from before the gateway, when all of its user's are ended meanwhile, then it begins no family."""
    met = await stage.steps.claim(OLD, "first")
    assert met.verdict == Claimed(None)
    await ledger_of(stage).close_all("ann", "revoked")
    learned = Lineage("ann", FAMILY, met.now // 1000)
    assert await stage.steps.commit(Deal(OLD, "first", learned, (NEW,), b"sealed")) == Ended("revoked")
    assert await stage.verdict(NEW) == Ended("revoked")
    stage.clock.advance(2)
    assert isinstance(await stage.steps.open("ann", "1" * 24, ("c" * 32,), ""), Turned)


@pytest.mark.parametrize("everything", [False, True])
async def test_an_ended_family_stays_ended_as_long_as_a_successor_in_flight(stage: Stage, everything: bool) -> None:
    """given a family whose last turn is long ago, when it is ended during a refresh, by itself or by the user's floor,
    then what refuses the successor lasts as long as that is remembered."""
    key, lineage = "gw:t:{ann}", Lineage("ann", "1" * 24, int(START)) if everything else ANN
    await stage.begin()
    stage.clock.advance(600_000)
    if everything:
        await ledger_of(stage).close_all("ann", "revoked")
    else:
        await stage.steps.end(ANN, "revoked", int(stage.clock.now * 1000))
    stage.client.redis.pexpire(key, 4_800_000)  # the server's own time did not advance
    assert await stage.steps.commit(Deal(OLD, "first", lineage, (NEW,), b"sealed")) == Ended("revoked")
    assert await stage.verdict(NEW) == Ended("revoked")
    assert stage.client.redis.pttl(key) > 604_000_000  # type: ignore[operator]
    if not everything:
        until = int(START) + 600_000 + 604_800
        assert stage.client.redis.hget(key, FAMILY) == f"T:revoked:{until}:{int(START)}".encode()


async def test_an_answer_lies_as_long_as_grace_may_stand_still() -> None:
    """given a pause of nearly a day right after the trade, when the client tries again, then it gets the kept answer,
    and a grace after the pause it is reuse."""
    clock, pauses = SetClock(), [(0, 86_000_000)]
    _, ledger = memory_store(clock)
    steps = GuardSteps(MemoryGuard(ledger, Terms(guard_settings().policy, CLAIM_MS, lambda: tuple(pauses)), clock))
    await steps.open("ann", FAMILY, (OLD,), "phone")
    await steps.claim(OLD, "first")
    await steps.commit(Deal(OLD, "first", ANN, (NEW,), b"sealed"))
    clock.advance(86_000 + 29.999)
    pauses[:] = [(29_999, 86_000_000)]
    assert (await steps.look(OLD)).verdict == Kept(ANN)
    assert await steps.recall(ANN) == b"sealed"
    clock.advance(0.002)
    pauses[:] = [(30_001, 86_000_000)]
    assert (await steps.look(OLD)).verdict == Spent(ANN)


async def test_only_the_parent_of_the_current_token_is_answered(stage: Stage) -> None:
    """Cases 5 and 6: given R1, R2, R3 in grace, then R2 gets its answer again, and R1 is reuse, which leaves no claim
    behind, its answer kept or not."""
    third, family = "c" * 32, grown()
    await stage.begin()
    await stage.steps.commit(stage.deal())
    assert (await stage.steps.claim(NEW, "second")).verdict == Claimed(family)
    assert await stage.verdict(OLD) == Kept(ANN)
    await stage.steps.commit(Deal(NEW, "second", family, (third,), b"sealed too"))
    assert await stage.verdict(NEW) == Kept(family)
    assert (await stage.steps.claim(OLD, "thief")).verdict == Spent(ANN)
    assert (await stage.steps.claim(OLD, "thief", again=True)).verdict == Spent(ANN)
    stored = stage.client.redis.get(stage.store.key(OLD))
    assert b"thief" not in stored  # type: ignore[operator]


async def test_a_token_whose_commit_broke_off_is_not_taken_for_stolen(stage: Stage) -> None:
    """given a commit that did not come to spend its token, when the successor is traded too, then the token is the
    backend's to judge."""
    await stage.begin()
    stage.client.before = fail(StoreUnavailable("away"), "guard_trade")
    with pytest.raises(StoreUnavailable):
        await stage.steps.commit(stage.deal())
    stage.client.before = lambda name: None
    stage.clock.advance(CLAIM_MS / 1000)
    await stage.steps.claim(NEW, "second")
    await stage.steps.commit(Deal(NEW, "second", grown(), ("c" * 32,), b"sealed"))
    assert await stage.verdict(OLD) == Claimed(ANN)


async def test_a_revoke_after_the_commit_ends_the_successor(stage: Stage) -> None:
    """The other order: what was committed is ended like anything else."""
    await stage.begin()
    await stage.steps.commit(stage.deal())
    assert await stage.steps.end(ANN, "revoked", int(START * 1000))
    assert not await stage.steps.end(ANN, "revoked", int(START * 1000))
    assert await stage.verdict(NEW) == Ended("revoked")
    assert await stage.verdict(OLD) == Ended("revoked")


async def test_an_ended_family_keeps_no_claim(stage: Stage) -> None:
    """given an ended family, when its token is claimed, then no claim stays behind."""
    await stage.begin()
    await stage.steps.release(OLD, "first")
    await stage.steps.end(ANN, "revoked", int(START * 1000))
    assert (await stage.steps.claim(OLD, "second")).verdict == Ended("revoked")
    stored = stage.client.redis.get(stage.store.key(OLD))
    assert b"second" not in stored  # type: ignore[operator]


async def test_every_step_touches_one_key(stage: Stage) -> None:
    """No script reaches two slots of a cluster."""
    await stage.begin()
    await stage.steps.commit(stage.deal())
    assert {len(keys) for _, keys in stage.client.sent} == {1}
    assert {key for _, keys in stage.client.sent for key in keys} == {
        "gw:t:{ann}",
        f"gw:g:{{{OLD}}}",
        f"gw:g:{{{NEW}}}",
        f"gw:g:{{{FAMILY}}}:answer",
    }


async def test_what_is_remembered_goes_with_time(stage: Stage) -> None:
    """A claim goes with its time, a token `refresh_ttl` after its trade, an answer a day after its grace."""
    await stage.steps.claim("c" * 32, "somebody")
    await stage.begin()
    await stage.steps.commit(stage.deal())
    life = {
        key: round(stage.client.redis.pttl(key) / 1000)  # type: ignore[operator]
        for key in (
            stage.store.key("c" * 32),
            stage.store.key(OLD),
            stage.store.key(NEW),
            stage.store.key(FAMILY) + ":answer",
        )
    }
    assert list(life.values()) == [15, 604_800, 604_800, 86_430]


def ledger_of(stage: Stage):  # type: ignore[no-untyped-def]
    """Return the ledger that the families are in."""
    assert isinstance(stage.store, RedisGuard)
    assert isinstance(stage.client, GuardClient)
    return stage.store._ledger
