"""Refreshes in `mode: guard` while something is away: the backend, another gateway, or Redis."""

from __future__ import annotations

import asyncio

import pytest

from tests.support.virtual import LoopClock, virtual
from tests.tokens.guard_support import Gate, Minting, faulty_stage, faulty_store, memory_store, running


@virtual
async def test_a_backend_that_hangs_is_given_up() -> None:
    """given no answer within the forward's limit, then 504 for everybody who waits, and the retry is forwarded."""
    clock = LoopClock()
    store, _ = memory_store(clock)
    backend = Minting()
    gate = Gate(store, backend.handle, clock=clock, seconds=10.0)
    async with running(gate):
        token = (await gate.login()).token
        backend.open = asyncio.Event()
        outcomes = await asyncio.gather(*(gate.refresh(token) for _ in range(5)))
        assert {outcome.code for outcome in outcomes} == {"upstream-timeout"}
        assert backend.refreshes == [token]
        backend.open.set()
        assert (await gate.refresh(token)).status == 200
    assert gate.results() == ["shared"] * 4 + ["unanswered", "rotated"]


@virtual
async def test_a_gateway_killed_between_forward_and_commit() -> None:
    """given a claim whose owner is gone, when the client retries elsewhere, then it waits until the claim has run out
    and is forwarded; the backend's verdict passes without an alarm."""
    clock = LoopClock()
    store, _ = memory_store(clock)
    backend = Minting()
    first, second = Gate(store, backend.handle, clock=clock), Gate(store, backend.handle, clock=clock)
    killed = asyncio.create_task(first.layer.run())
    await asyncio.sleep(0)
    async with running(second):
        token = (await first.login()).token
        backend.open = asyncio.Event()
        lost = asyncio.create_task(first.refresh(token))
        await backend.holding.wait()
        killed.cancel()
        assert (await lost).code == "shutting-down"
        backend.open.set()
        started = clock.monotonic()
        outcome = await second.refresh(token)
        assert outcome.status == 200
        assert 15 <= clock.monotonic() - started <= 15.5
    assert backend.refreshes == [token, token]


@pytest.mark.parametrize("strict", [True, False])
@pytest.mark.parametrize("step", ["turn", "learn", "trade"])
@virtual
async def test_a_commit_that_broke_off_is_finished_by_whoever_comes_next(step: str, strict: bool) -> None:
    """given a backend that takes a token once, and a gateway that is gone with a commit begun, when the client retries
    elsewhere after the claim, then it gets the answer and goes on; later use of the token is reuse."""
    clock, backend = LoopClock(), Minting()
    store, ledger = memory_store(clock)
    cut = faulty_store(ledger, clock)
    cut._tokens, cut._answers = store._tokens, store._answers
    first, second = (Gate(each, backend.handle, clock=clock, require_redis=strict) for each in (cut, store))
    async with running(second):
        dying = asyncio.create_task(first.layer.run())
        await asyncio.sleep(0)
        token = (await first.login()).token
        cut.failing = (step,)
        first.available = lambda: True
        lost = await first.refresh(token)
        assert lost.status == 200
        dying.cancel()
        assert (await second.refresh(token)).content == lost.content
        assert (await second.refresh(token)).content == lost.content
        assert (await second.refresh(lost.token)).status == 200
        await asyncio.sleep(31)
        assert (await second.refresh(token)).code == "invalid-token"
    assert backend.refreshes == [token, lost.token]
    assert second.results() == ["rotated", "replayed", "rotated", "reused"]


async def test_an_answer_to_a_token_that_stays_good_is_not_given_for_ever() -> None:
    """given a backend that gives no new refresh token, when grace is over, then each refresh is forwarded, though an
    answer that was kept before still opens."""
    stage, _ = faulty_stage(strict=True)
    stage.backend.rotates = False
    async with running(stage.gate):
        token = (await stage.gate.login()).token
        for number in (1, 2):
            assert (await stage.gate.refresh(token)).json["n"] == number
            stage.clock.advance(31)
    assert stage.backend.refreshes == [token, token]


@pytest.mark.parametrize(("strict", "status"), [(True, 503), (False, 200)])
async def test_redis_lost_between_claim_and_forward(strict: bool, status: int) -> None:
    """given a claim, when it cannot be told whether an answer is there, then strict mode says 503, forwards nothing and
    holds nobody up; otherwise the backend is asked."""
    stage, store = faulty_stage(strict=strict)
    async with running(stage.gate):
        token = (await stage.gate.login()).token
        store.failing = ("recall",)
        assert (await stage.gate.refresh(token)).status == status
        record = store.token(stage.gate.layer._desk.vault.names(token)[0])
    assert record is not None
    assert record.owner == ""
    assert len(stage.backend.refreshes) == (status == 200)


@virtual
async def test_nobody_waits_for_ever() -> None:
    """given a token that somebody else claims again and again, then who waits hears 504 after a bounded time."""
    clock = LoopClock()
    store, _ = memory_store(clock)
    gate = Gate(store, Minting().handle, clock=clock)

    async def hog() -> None:
        while True:
            await store.present(name, "hog")
            await asyncio.sleep(5)

    async with running(gate):
        token = (await gate.login()).token
        name = gate.layer._desk.vault.names(token)[0]
        task = asyncio.create_task(hog())
        await asyncio.sleep(0)
        started = clock.monotonic()
        assert (await gate.refresh(token)).code == "upstream-timeout"
        assert clock.monotonic() - started < 17
        task.cancel()
    assert gate.results() == ["busy"]


async def test_strict_and_redis_away() -> None:
    """Case 19: 503 with Retry-After, no Set-Cookie, not forwarded; the token stays good."""
    stage, store = faulty_stage(strict=True)
    async with running(stage.gate):
        token = (await stage.gate.login()).token
        store.failing = ("present", "release")
        refused = await stage.gate.refresh(token)
        assert (refused.status, refused.code, refused.header(b"set-cookie")) == (503, "redis-required", None)
        assert stage.backend.refreshes == []
        store.failing = ()
        assert (await stage.gate.refresh(token)).status == 200
    assert stage.gate.results() == ["redis_required", "rotated"]


async def test_not_strict_and_redis_away() -> None:
    """Case 39: forwarded as it is, once for all who ask this gateway; what came of it is written when Redis is back."""
    stage, store = faulty_stage(strict=False)
    async with running(stage.gate):
        token = (await stage.gate.login()).token
        store.failing = ("present", "release")
        outcomes = await asyncio.gather(*(stage.gate.refresh(token) for _ in range(10)))
        assert len({outcome.token for outcome in outcomes}) == 1
        assert stage.backend.refreshes == [token]
        store.failing = ()
        assert (await stage.gate.refresh(outcomes[0].token)).status == 200
    assert stage.gate.results() == ["shared"] * 9 + ["degraded", "rotated"]


@pytest.mark.parametrize("strict", [True, False])
@pytest.mark.parametrize("step", ["turn", "learn", "keep", "trade"])
async def test_a_good_answer_is_delivered_whatever_becomes_of_the_commit(step: str, strict: bool) -> None:
    """given Redis lost at any step of the commit, then the client has its answer, and the new token is good."""
    stage, store = faulty_stage(strict=strict)
    async with running(stage.gate):
        token = (await stage.gate.login()).token
        store.failing = (step,)
        second = await stage.gate.refresh(token)
        assert second.status == 200
        store.failing = ()
        assert (await stage.gate.refresh(second.token)).status == 200
    assert stage.gate.results()[0] == "uncommitted"


@pytest.mark.parametrize("strict", [True, False])
@pytest.mark.parametrize("step", ["recall", "end"])
async def test_a_spent_token_is_not_forwarded_for_want_of_redis(step: str, strict: bool) -> None:
    """given a token that is known to be spent, when Redis is lost right then, then 503: a backend that sees it again
    may take it for stolen."""
    stage, store = faulty_stage(strict=strict)
    async with running(stage.gate):
        token = (await stage.gate.login()).token
        await stage.gate.refresh(token)
        stage.clock.advance(31 if step == "end" else 0)
        store.failing = (step,)
        assert (await stage.gate.refresh(token)).code == "redis-required"
    assert stage.backend.refreshes == [token]


async def test_no_fault_of_ours_keeps_a_good_answer_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """given a commit that fails for a reason nobody foresaw, then the client has its answer, and the trail tells."""
    stage, _ = faulty_stage(strict=True)
    async with running(stage.gate):
        token = (await stage.gate.login()).token
        monkeypatch.setattr(stage.gate.layer._desk.vault, "seal", None)
        assert (await stage.gate.refresh(token)).status == 200
    assert stage.gate.results() == ["uncommitted"]


async def test_a_claim_whose_family_cannot_be_asked_is_taken_back() -> None:
    """given strict mode and Redis lost between the two keys of a claim, then it does not hold up the next try."""
    stage, store = faulty_stage(strict=True)
    async with running(stage.gate):
        token = (await stage.gate.login()).token
        store.failing = ("standing",)
        assert (await stage.gate.refresh(token)).code == "redis-required"
        store.failing = ()
        record = store.token(stage.gate.layer._desk.vault.names(token)[0])
    assert record is not None
    assert (record.owner, record.claimed_until) == ("", 0)
