"""A failover by Sentinels that loses acknowledged writes: nobody is logged out, and theft is still seen."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from tests.crash.checker import Checker
from tests.crash.customer import FATE, Habits
from tests.crash.fleet import Fleet
from tests.crash.history import Event, History, Loss
from tests.crash.portal import ISSUE
from tests.crash.storm import storm
from tests.support.sentinel import FAILOVER_TIMEOUT_MS, Watched
from tests.support.soak import short_or_long, tell

SCENE = replace(ISSUE, habits=Habits(drop=0.005, rest=0.05))
"""Few answers are lost besides, so that most clients are rotating when the store loses what they did."""
MOST_DOUBTFUL = 3
"""Refusals that the checker can only suppose to be right."""


@pytest.fixture
async def watched() -> AsyncIterator[Watched]:
    """A master, its replica and three Sentinels."""
    watched = Watched()
    await watched.start()
    yield watched
    await watched.stop()


class Failovers:
    """Cuts the replica off, lets the master go on for a while, and kills it; the Sentinels do the rest."""

    def __init__(self, watched: Watched) -> None:
        self._watched = watched

    async def __call__(self, fleet: Fleet, history: History, rng: random.Random, over: asyncio.Event) -> None:
        await asyncio.sleep(rng.uniform(1.2, 1.7))
        await self._fail_over(history, rng)
        while not over.is_set():
            await self._watched.rejoin()
            await asyncio.sleep(2 * FAILOVER_TIMEOUT_MS / 1000)
            await self._fail_over(history, rng)

    async def _fail_over(self, history: History, rng: random.Random) -> None:
        since = time.monotonic()  # what was acknowledged until now, the replica has when it is cut off
        await self._watched.cut_off()
        await asyncio.sleep(rng.uniform(0.3, 0.8))
        history.losses.append(Loss(since, time.monotonic()))
        self._watched.kill_master()  # nothing of this process runs until it is dead: no request is sent in between
        await self._watched.failed_over()


async def test_a_failover_logs_nobody_out(tmp_path: Path, watched: Watched) -> None:
    """given 50 clients on three gateways that find Redis through Sentinels / when the master dies and its replica has
    not all of its writes / then nobody is logged out, clients ahead of the store are healed, and every replay of a
    token whose spending survived ends its family."""
    history = await storm(tmp_path, watched.url, Failovers(watched), seconds=short_or_long(2.0, 30.0), scene=SCENE)
    checker = Checker(history.losses, FATE)
    doubtful, caught = checker.doubtful(history.events), checker.caught(history.events)
    before = _spent_before(history.losses, caught, history.events)
    tell(f"failovers: {len(history.losses)}; {dict(history.counted())}; {dict(history.audited)}")
    tell(f"doubtful: {len(doubtful)}; thieves caught: {len(caught)}, with tokens of before the loss: {len(before)}")
    assert history.audited["refresh healed"] >= SCENE.clients / 5
    assert len(doubtful) <= MOST_DOUBTFUL
    assert len(before) >= SCENE.clients / 5


def _spent_before(losses: Sequence[Loss], caught: Sequence[Event], events: Sequence[Event]) -> list[Event]:
    """Return the thieves that were caught after a loss with a token that had been spent for good before it."""
    given: dict[tuple[str, int], float] = {}
    for event in sorted(events, key=lambda event: -event.answered):
        given[event.family, event.generation] = event.answered
    spent_at = {id(event): given.get((event.family, event.presented + 2), float("inf")) for event in caught}
    return [event for event in caught if any(spent_at[id(event)] < loss.since < event.sent for loss in losses)]
