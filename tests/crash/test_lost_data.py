"""Failovers that lose acknowledged writes, and restarts with nothing: nobody is logged out, and theft is still seen."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.crash.checker import Checker
from tests.crash.customer import FATE, Habits
from tests.crash.fleet import Fleet
from tests.crash.history import History
from tests.crash.pair import Pair
from tests.crash.portal import ISSUE
from tests.crash.sleepers import an_hour_ago
from tests.crash.storm import storm
from tests.support.soak import short_or_long, tell

SCENE = replace(ISSUE, habits=Habits(drop=0.005, thief=0.01, rest=0.1))
"""Few answers are lost besides, so that most clients are rotating when the store loses what they did."""
SLEEPERS = 10
HEALED = 8
"""Refreshes at least that found a client ahead of the store."""
MOST_DOUBTFUL = 3
"""Refusals that the checker can only suppose to be right."""


@pytest.fixture
async def pair() -> AsyncIterator[Pair]:
    """A master and a replica behind one address."""
    async with Pair() as pair:
        yield pair


class Losses:
    """Loses the last writes in a failover, then everything in a restart, in turn; a gateway is killed after each."""

    def __init__(self, pair: Pair) -> None:
        self._pair = pair

    async def __call__(self, fleet: Fleet, history: History, rng: random.Random, over: asyncio.Event) -> None:
        while not over.is_set():
            await asyncio.sleep(_at_work(rng))
            history.losses.append(await self._pair.fail_over(behind=rng.uniform(0.3, 0.8)))
            await fleet.kill_one(rng)
            await asyncio.sleep(_at_work(rng))
            history.losses.append(await self._pair.lose_all(away=rng.uniform(0, 0.5)))
            await fleet.kill_one(rng)


def _at_work(rng: random.Random) -> float:
    """Return seconds after which clients have settled what was open and rotate again, so that there is much to lose."""
    return FATE + rng.uniform(0, 0.7)


async def test_lost_data_logs_nobody_out(tmp_path: Path, pair: Pair) -> None:
    """given 50 clients on three gateways, and some that sleep / when a failover loses acknowledged writes and a restart
    loses everything / then nobody is logged out, whether ahead of the store or older than it, every replay of a token
    whose spending survived ends its family, and who ends all ends also what the store has lost."""
    sleepers = an_hour_ago(pair.command, SCENE.tokens, SLEEPERS)
    seconds = short_or_long(4.5, 30.0)
    history = await storm(tmp_path, pair.url, Losses(pair), seconds=seconds, scene=SCENE, asleep=sleepers)
    checker = Checker(history.losses, FATE)
    doubtful, caught = checker.doubtful(history.events), checker.caught(history.events)
    tell(f"losses: {len(history.losses)}; {dict(history.counted())}; {dict(history.audited)}")
    tell(f"doubtful: {len(doubtful)}; thieves caught: {len(caught)}")
    assert len(history.losses) >= 2
    assert history.counted()["refresh 200"] > 250
    assert history.audited["refresh healed"] >= HEALED
    assert history.audited["refresh adopted"] >= SCENE.clients / 2 + SLEEPERS / 2
    assert len(doubtful) <= MOST_DOUBTFUL
    assert caught
    last = max(loss.until for loss in history.losses)
    assert any(event.operation == "refresh" and event.status == 200 and event.sent > last for event in history.events)
