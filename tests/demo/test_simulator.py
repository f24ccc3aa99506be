"""What both simulators share, seen through real sockets."""

from __future__ import annotations

import asyncio
import time

import pytest
from aiohttp import ClientSession

from gateway.demo.services import Services
from gateway.demo.simulator import LoopLag
from gateway.demo.whmcs import ENDPOINT


async def test_every_arrival_is_reported(services: Services, client: ClientSession) -> None:
    """Calls are counted whatever they are answered, and the report is not a call."""
    base = services.addresses["whmcs"]
    for path in (ENDPOINT, "/nowhere"):
        async with client.post(base + path) as response:
            assert response.status in (403, 404)
    async with client.get(f"{base}/_simulator/report?window=5") as response:
        report = await response.json()
    assert (report["calls"], report["window_seconds"], report["busiest_window"]) == (2, 5, 2)
    assert report["classes"] == {"default": {"calls": 2, "in_flight": 0, "in_flight_peak": 1}}
    assert report["first_to_last_seconds"] > 0
    assert report["largest_loop_lag_seconds"] >= 0


async def call(client: ClientSession, base: str) -> None:
    async with client.post(base + ENDPOINT):
        pass


async def test_calls_in_flight_are_counted_until_answered(services: Services, client: ClientSession) -> None:
    """The peak is what was answered at the same time; a caller that leaves is in flight no longer."""
    base = services.addresses["whmcs"]
    services.whmcs.behaviour.latency = 60

    async with asyncio.TaskGroup() as group:
        calls = [group.create_task(call(client, base)) for _ in range(7)]
        while services.whmcs.report(1)["classes"].get("default", {}).get("in_flight") != 7:
            await asyncio.sleep(0.001)
        for waiting in calls:
            waiting.cancel()
    while services.whmcs.report(1)["classes"]["default"]["in_flight"]:
        await asyncio.sleep(0.001)
    assert services.whmcs.report(1)["classes"]["default"]["in_flight_peak"] == 7


async def test_a_reset_counts_from_zero(services: Services, client: ClientSession) -> None:
    """After a reset only what arrives later is reported."""
    base = services.addresses["salesforce"]
    async with client.get(f"{base}/services/data/v62.0/query"):
        pass
    async with client.post(f"{base}/_simulator/reset") as response:
        assert response.status == 204
    async with client.get(f"{base}/_simulator/report") as response:
        report = await response.json()
    assert (report["calls"], report["busiest_window"], report["window_seconds"]) == (0, 0, 60)
    assert report["classes"]["default"]["in_flight_peak"] == 0


@pytest.mark.parametrize("window", ["0", "-1", "nan", "soon"])
async def test_a_window_that_is_none_is_refused(services: Services, client: ClientSession, window: str) -> None:
    """The report asks for a length in seconds."""
    async with client.get(f"{services.addresses['whmcs']}/_simulator/report?window={window}") as response:
        assert response.status == 400


async def test_behaviour_changes_while_it_runs(services: Services, client: ClientSession) -> None:
    """A named behaviour takes its new value; everything else stays."""
    url = f"{services.addresses['salesforce']}/_simulator/behaviour"
    async with client.put(url, json={"job_seconds": 7}) as response:
        assert (await response.json())["job_seconds"] == 7
    assert services.salesforce.behaviour.latency == 0


@pytest.mark.parametrize("changes", [{"mood": 1}, {"latency": -1}, {"latency": "long"}, [1]])
async def test_unknown_behaviour_is_refused(services: Services, client: ClientSession, changes: object) -> None:
    """What cannot be changed is named, and nothing changes."""
    before = services.whmcs.behaviour.model_copy()
    async with client.put(f"{services.addresses['whmcs']}/_simulator/behaviour", json=changes) as response:
        assert response.status == 400
        assert "latency" in await response.text()
    assert services.whmcs.behaviour == before


async def test_a_blocked_loop_is_told() -> None:
    """The lag is at least what the loop was held up for, less the time between two looks."""
    lag = LoopLag()
    lag.start()
    await asyncio.sleep(0)
    time.sleep(0.2)
    await asyncio.sleep(0.01)
    lag.stop()
    assert lag.largest >= 0.1
