"""Failovers that lose acknowledged writes, and restarts with nothing: nobody is logged out, and theft is still seen."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.crash.customer import Habits
from tests.crash.fleet import Fleet
from tests.crash.history import History
from tests.crash.pair import Pair
from tests.crash.storm import storm
from tests.support.soak import short_or_long, tell

MANY_THIEVES = Habits(thief=0.02)


@pytest.fixture
async def pair() -> AsyncIterator[Pair]:
    """A master and a replica behind one address."""
    async with Pair() as pair:
        yield pair


class Losses:
    """Loses the last writes in a failover, then everything in a restart, in turn; gateways are killed besides."""

    def __init__(self, pair: Pair) -> None:
        self._pair = pair

    async def __call__(self, fleet: Fleet, history: History, rng: random.Random, over: asyncio.Event) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(fleet.keep_killing(rng, over, 1.0, 3.0))
            while not over.is_set():
                await asyncio.sleep(rng.uniform(0.8, 1.5))
                history.losses.append(await self._pair.fail_over(behind=rng.uniform(0.3, 0.8)))
                await asyncio.sleep(rng.uniform(0.8, 1.5))
                history.losses.append(await self._pair.lose_all(away=rng.uniform(0, 0.5)))


async def test_lost_data_logs_nobody_out(tmp_path: Path, pair: Pair) -> None:
    """given 50 clients on three gateways / when a failover loses acknowledged writes and a restart loses everything /
    then nobody is logged out, and every replay of a token whose spending survived ends its family."""
    history = await storm(tmp_path, pair.url, Losses(pair), seconds=short_or_long(4.5, 30.0), habits=MANY_THIEVES)
    tell(f"losses: {len(history.losses)}; {dict(history.counted())}")
    assert len(history.losses) >= 2
    assert history.counted()["refresh 200"] > 500
    last = max(loss.until for loss in history.losses)
    assert any(event.operation == "replay" and event.status == 401 for event in history.events)
    assert any(event.operation == "refresh" and event.status == 200 and event.sent > last for event in history.events)
