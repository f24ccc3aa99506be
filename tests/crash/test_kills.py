"""Gateways and Valkey killed at random under traffic: nobody is logged out, and no generation is minted twice."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.crash.checker import Checker
from tests.crash.customer import FATE
from tests.crash.fleet import Fleet
from tests.crash.history import History
from tests.crash.portal import ISSUE
from tests.crash.storm import storm
from tests.support.soak import short_or_long, soak_only, tell
from tests.support.valkey import ValkeyServer

MOST_DOUBTFUL = 3
"""Refusals that the checker can only suppose to be right, such as after an end of all whose answer was lost."""


@pytest.fixture
async def durable() -> AsyncIterator[ValkeyServer]:
    """A server that keeps every acknowledged write in its append-only file."""
    server = ValkeyServer(persist=True)
    await server.start()
    yield server
    await server.stop()


class Kills:
    """Kills gateways and the server, each for itself, after pauses (s) between a shortest and a longest."""

    def __init__(
        self,
        valkey: ValkeyServer,
        gateways: tuple[float, float] = (0.3, 1.5),
        server: tuple[float, float] = (1.5, 3.0),
    ) -> None:
        self._valkey = valkey
        self._pauses = (gateways, server)
        self.of_valkey = 0
        self.of_gateways = 0

    async def __call__(self, fleet: Fleet, history: History, rng: random.Random, over: asyncio.Event) -> None:
        gateways, server = self._pauses
        async with asyncio.TaskGroup() as group:
            group.create_task(fleet.keep_killing(rng, over, *gateways))
            group.create_task(self._server(rng, over, *server))
        self.of_gateways = fleet.kills

    async def _server(self, rng: random.Random, over: asyncio.Event, shortest: float, longest: float) -> None:
        while not over.is_set():
            await asyncio.sleep(rng.uniform(shortest, longest))
            self._valkey.kill()
            self.of_valkey += 1
            await asyncio.sleep(rng.uniform(0, 0.5))
            await self._valkey.restart(empty=False)


async def _run(tmp_path: Path, valkey: ValkeyServer, *, strict: bool) -> None:
    kills = Kills(valkey)
    history = await storm(tmp_path, valkey.url, kills, seconds=short_or_long(4.5, 30.0), strict=strict)
    happened = history.counted()
    tell(f"kills: {kills.of_gateways} of gateways, {kills.of_valkey} of valkey; {dict(happened)}")
    checker = Checker(fate=FATE, strict=strict)
    doubtful, caught = checker.doubtful(history.events), checker.caught(history.events)
    tell(f"doubtful: {len(doubtful)}; thieves caught: {len(caught)}")
    assert len(doubtful) <= MOST_DOUBTFUL
    assert len(caught) > ISSUE.clients / 2
    assert kills.of_valkey >= 2
    assert kills.of_gateways >= 2
    assert happened["refresh 200"] > 250
    assert happened["refresh None"] > 0


async def test_kills_log_nobody_out(tmp_path: Path, durable: ValkeyServer) -> None:
    """given strict mode and 50 clients on three gateways / when gateways and Valkey are killed and answers are lost /
    then nobody is logged out, no generation is two tokens, and nothing that was ended is alive."""
    await _run(tmp_path, durable, strict=True)


@soak_only
async def test_kills_log_nobody_out_where_redis_is_not_required(tmp_path: Path, durable: ValkeyServer) -> None:
    """given a mode that is not strict / when the same happens / then the same holds: what was given back is kept."""
    await _run(tmp_path, durable, strict=False)
