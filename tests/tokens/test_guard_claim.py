"""Claims: while Redis is there, a token is forwarded by one gateway at a time, whatever becomes of single commands."""

from __future__ import annotations

import asyncio
from copy import copy
from typing import Any

from gateway.errors import StoreUnavailable
from gateway.tokens.guard_store import CLAIM_MS, COMMIT_SECONDS, FORWARD_SECONDS, GuardStore, MemoryGuard
from tests.support.virtual import LoopClock, virtual
from tests.tokens.guard_support import Gate, Minting, memory_store, running


def _falters(store: MemoryGuard, seconds: float) -> GuardStore:
    """Return another gateway's way to the store, which loses every answer to a claim for so long."""
    there, until = copy(store), LoopClock().monotonic() + seconds

    async def present(name: str, owner: str, **options: Any) -> Any:
        seen = await store.present(name, owner, **options)
        if options.get("claim", True) and LoopClock().monotonic() < until:
            raise StoreUnavailable("timeout")
        return seen

    there.present = present  # type: ignore[method-assign]
    return there


@virtual
async def test_a_failed_command_does_not_forward_what_another_gateway_forwards() -> None:
    """given a forward under way, when another gateway's command fails once while Redis is there, then it asks again,
    and both give the one answer."""
    clock, backend = LoopClock(), Minting(open=asyncio.Event())
    store, _ = memory_store(clock)
    first, second = (Gate(each, backend.handle, clock=clock) for each in (store, _falters(store, 0.005)))
    async with running(first, second):
        token = (await first.login()).token
        under_way = asyncio.create_task(first.refresh(token))
        await backend.holding.wait()
        retry = asyncio.create_task(second.refresh(token))
        await asyncio.sleep(1)
        assert backend.open is not None
        backend.open.set()
        assert (await retry).content == (await under_way).content
    assert backend.refreshes == [token]


@virtual
async def test_claims_that_fail_for_the_length_of_a_claim_leave_a_gateway_to_itself() -> None:
    """given a Redis that the gate takes for available, though no claim is answered, then the token is forwarded when
    no other gateway can be at it any more; at once when the gate closes."""
    clock, backend = LoopClock(), Minting()
    for closes, waited in ((False, CLAIM_MS / 1000), (True, 2.0)):
        store, _ = memory_store(clock)
        gate = Gate(_falters(store, 3600), backend.handle, clock=clock)
        async with running(gate):
            token, started = (await gate.login()).token, clock.monotonic()
            refresh = asyncio.create_task(gate.refresh(token))
            await asyncio.sleep(2)
            if closes:
                gate.available = lambda: False
            assert (await refresh).status == 200
            assert waited <= clock.monotonic() - started <= waited + 0.5
        assert gate.results() == ["degraded"]


@virtual
async def test_a_claim_that_was_written_unheard_is_the_asking_gateways() -> None:
    """given a claim whose answer was lost, when it is asked for again, then nobody waits for it to run out."""
    clock, backend = LoopClock(), Minting()
    store, _ = memory_store(clock)
    gate = Gate(_falters(store, 1), backend.handle, clock=clock)
    async with running(gate):
        token, started = (await gate.login()).token, clock.monotonic()
        assert (await gate.refresh(token)).status == 200
        assert clock.monotonic() - started < 1.5
    assert gate.results() == ["rotated"]


@virtual
async def test_a_backend_that_refuses_in_an_outage_leaves_no_claim() -> None:
    """given a claim that may have been written, when the backend then refuses the token, then the next try is not held
    up by it."""
    clock, backend = LoopClock(), Minting()
    store, _ = memory_store(clock)
    first, second = (Gate(each, backend.handle, clock=clock) for each in (_falters(store, 60), store))
    async with running(first, second):
        first.available = lambda: False
        assert (await first.refresh("hush-unknown")).status == 401
        started = clock.monotonic()
        assert (await second.refresh("hush-unknown")).status == 401
        assert clock.monotonic() - started < 1


@virtual
async def test_a_claim_outlives_the_forwards_deadline() -> None:
    """given a backend that answers just before its deadline, when the client retries with another gateway meanwhile,
    then that waits, forwards nothing, and gives the same answer."""
    clock, backend = LoopClock(), Minting(open=asyncio.Event())
    store, _ = memory_store(clock)
    first, second = Gate(store, backend.handle, clock=clock), Gate(store, backend.handle, clock=clock)
    async with running(first, second):
        token = (await first.login()).token
        slow = asyncio.create_task(first.refresh(token))
        await backend.holding.wait()
        retry = asyncio.create_task(second.refresh(token))
        await asyncio.sleep(FORWARD_SECONDS - 0.01)
        assert backend.open is not None
        backend.open.set()
        assert (await slow).content == (await retry).content
    assert backend.refreshes == [token]


def test_a_claim_is_longer_than_a_forward() -> None:
    """By the time that a commit is given."""
    assert CLAIM_MS >= 1000 * (FORWARD_SECONDS + COMMIT_SECONDS)
    assert COMMIT_SECONDS >= 1
