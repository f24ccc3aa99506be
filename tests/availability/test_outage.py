"""Client, probe and gate together against a real server that is killed and comes back."""

from __future__ import annotations

import asyncio
import time

import pytest

from gateway.availability.gate import Gate
from gateway.availability.probe import Probe
from gateway.errors import StoreUnavailable
from gateway.events import ignore
from gateway.redis_client.client import RedisClient
from gateway.redis_client.settings import RedisSettings
from tests.support.valkey import ValkeyServer


@pytest.mark.parametrize("how", ["kill", "pause"])
async def test_an_outage_and_its_end_are_noticed_in_time_without_any_traffic(valkey: ValkeyServer, how: str) -> None:
    """Killed: away within 2 s (frozen: and some), commands then fail at once; back within 3 s with the same client."""
    settings = RedisSettings()
    gate = Gate(settings.probe.failures, settings.probe.successes)
    client = RedisClient.connect(settings, valkey.url, emit=ignore)
    probe = Probe(client.ping, gate, settings.probe, ignore)
    client.available = lambda: gate.available
    client.on_result = probe.command_result

    async def until(available: bool, within: float) -> None:
        deadline = time.monotonic() + within
        while gate.available is not available:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.005)

    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(probe.run())
        await until(True, 1.0)
        await client.call("SET", "k", "v")
        valkey.kill() if how == "kill" else valkey.pause()
        await until(False, 2.0 if how == "kill" else 2.5)
        with pytest.raises(StoreUnavailable, match="away"):
            await client.call("GET", "k")
        if how == "kill":
            await valkey.restart()
        else:
            valkey.resume()
        await until(True, 3.0)
        assert await client.call("GET", "k") == (None if how == "kill" else b"v")
        running.cancel()
    await client.aclose()
