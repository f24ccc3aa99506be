"""Tokens that were given back as good in `mode: guard` while Redis was away: the gateway stands by it."""

from __future__ import annotations

import asyncio

import pytest

from gateway.tokens.events import ReuseDetected
from gateway.tokens.guard_promises import PATIENCE
from gateway.tokens.guard_store import Terms
from tests.support.virtual import LoopClock, virtual
from tests.tokens.guard_support import CLAIM_MS, Faulty, Gate, Minting, guard_settings, memory_store, running

LATER = 900.0
"""Seconds until a client comes back: when its access token has ended."""


class Pair:
    """Two gateways in strict mode; the first one's way to the store can be cut."""

    def __init__(self, *, by_cookie: bool = False) -> None:
        self.clock, self.backend = LoopClock(), Minting(by_cookie)
        changes = {"require_redis": True, "carrier": "cookie" if by_cookie else "json"}
        self.store, ledger = memory_store(self.clock)
        self.cut = Faulty(ledger, Terms(guard_settings().policy, CLAIM_MS), self.clock)
        self.cut._tokens, self.cut._answers = self.store._tokens, self.store._answers
        self.first, self.second = (
            Gate(store, self.backend.handle, clock=self.clock, **changes) for store in (self.cut, self.store)
        )


@pytest.mark.parametrize("closed", [True, False])
@virtual
async def test_a_token_given_back_in_its_grace_is_good_whenever_it_comes(closed: bool) -> None:
    """given a lost answer and 503 to the retry, the gate closed or the claim lost, when the client comes back long
    after the grace, to whichever gateway, then it gets the answer again, until it uses the successor."""
    pair = Pair()
    async with running(pair.first, pair.second):
        token = (await pair.first.login()).token
        lost = await pair.first.refresh(token)
        pair.cut.failing = ("present", "release", "promise")
        pair.first.available = lambda: not (closed and pair.cut.failing)
        assert (await pair.first.refresh(token)).code == "redis-required"
        await asyncio.sleep(60)
        pair.cut.failing = ()
        assert (await pair.first.refresh(token)).content == lost.content
        await asyncio.sleep(PATIENCE)
        await asyncio.sleep(LATER)
        assert (await pair.second.refresh(token)).content == lost.content
        assert (await pair.second.refresh(lost.token)).status == 200
        assert (await pair.first.refresh(token)).code == "invalid-token"
    assert pair.backend.refreshes == [token, lost.token]
    assert len(pair.first.reported(ReuseDetected)) == 1


@virtual
async def test_an_outage_saves_no_token_whose_grace_was_over() -> None:
    """given a token that was spent for good, when it comes in an outage and again afterwards, then it is reuse."""
    pair = Pair()
    async with running(pair.first, pair.second):
        token = (await pair.first.login()).token
        await pair.first.refresh(token)
        await asyncio.sleep(31)
        pair.cut.failing = ("present", "release")
        assert (await pair.first.refresh(token)).code == "redis-required"
        await asyncio.sleep(10)
        pair.cut.failing = ()
        assert (await pair.first.refresh(token)).code == "invalid-token"


@virtual
async def test_a_token_that_was_judged_in_time_needs_no_promise() -> None:
    """given a client that came back within its grace, then theft is seen as early as ever."""
    pair = Pair()
    async with running(pair.first, pair.second):
        token = (await pair.first.login()).token
        lost = await pair.first.refresh(token)
        pair.cut.failing = ("present", "release")
        assert (await pair.first.refresh(token)).code == "redis-required"
        pair.cut.failing = ()
        assert (await pair.first.refresh(token)).content == lost.content
        await asyncio.sleep(LATER)
        assert (await pair.first.refresh(token)).code == "invalid-token"


@virtual
async def test_of_several_cookies_each_is_given_back() -> None:
    """given a stale cookie before the client's own, when both come in an outage, then the client's own is promised."""
    pair = Pair(by_cookie=True)
    async with running(pair.first, pair.second):
        token = (await pair.first.login()).token
        lost = await pair.first.refresh(token)
        pair.cut.failing = ("present", "release")
        assert (await pair.first.refresh("hush-stale", token)).code == "redis-required"
        await asyncio.sleep(60)
        pair.cut.failing = ()
        assert (await pair.first.refresh(token)).content == lost.content
