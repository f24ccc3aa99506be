"""What `policies simulate` foretells, and what the gateway then does: the same trace through both.

The waits are seconds long, because the window decides them; so milliseconds of a busy machine do not matter. A run in
which a witness was late by more than the guard proves nothing and is made again.
"""

from __future__ import annotations

import asyncio
import csv
import json
import time
from collections.abc import Sequence
from math import ceil
from pathlib import Path

import aiohttp
import pytest
import yaml
from typer.testing import CliRunner

from gateway.cli import app
from gateway.demo.simulator import LoopLag
from gateway.throttle.arrivals import Draw
from tests.end_to_end.conftest import StartGateway
from tests.end_to_end.test_throttle import ATTEMPTS, FORM, GUARD, whmcs

__all__ = ["whmcs"]

SERVICE = 0.1
POLICY = {
    "scope": "pod",
    "rate": {"cap": 30, "per": "2s", "guard": f"{GUARD * 1000:g}ms"},
    "lanes": [{"name": "default", "concurrency": 15, "timeout": "30s"}],
    "queue": {"max_depth": 200, "max_wait": "60s"},
}


async def called(client: aiohttp.ClientSession, url: str, times: Sequence[float]) -> list[float]:
    """Make the calls at these times (seconds from now); return how long each waited."""
    began = time.monotonic()

    async def call(at: float) -> float:
        await asyncio.sleep(began + at - time.monotonic())
        async with client.post(url + "/includes/api.php", data=FORM) as response:
            await response.read()
            assert response.status == 200
        return time.monotonic() - began - at - SERVICE

    return await asyncio.gather(*(call(at) for at in times))


async def largest_lag(client: aiohttp.ClientSession, vendor: str, own: LoopLag) -> float:
    """The larger lag of the two witnesses, the vendor and this test."""
    async with client.get(f"{vendor}/_simulator/report") as response:
        return max(own.largest, (await response.json())["largest_loop_lag_seconds"])


def foretold(folder: Path, times: Sequence[float]) -> float:
    """The 95th percentile of the waits, from the command line."""
    policy, trace = folder / "whmcs.yaml", folder / "calls.csv"
    policy.write_text(yaml.safe_dump({"upstream": "whmcs", "listen": "127.0.0.1:0", **POLICY}))
    with trace.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["time", "duration"])
        writer.writerows((at, SERVICE) for at in times)
    ran = CliRunner().invoke(app, ["policies", "simulate", str(policy), "--trace", str(trace), "-o", "json"])
    found = json.loads(ran.stdout)
    assert found["all"]["served"] == len(times)
    p95: float = found["all"]["p95"]
    return p95


async def test_a_simulated_run_and_a_real_one_agree(
    start_gateway: StartGateway, client: aiohttp.ClientSession, whmcs: str, tmp_path: Path
) -> None:
    """Given 150 calls at 1.7 times the rate, then the 95th percentile of the waits is within 5 % of the foretold."""
    drawn = [call.time for call in Draw(4, SERVICE).poisson(25.0, 6.0, "default")]
    times = [at - drawn[0] for at in drawn]
    expected = foretold(tmp_path, times)
    assert expected > 2.0  # far more than anything but the window can cost
    async with client.put(f"{whmcs}/_simulator/behaviour", json={"latency": SERVICE}):
        pass
    for _ in range(ATTEMPTS):
        gateway = await start_gateway(policies={"whmcs": {"base_url": whmcs, **POLICY}})
        async with client.post(f"{whmcs}/_simulator/reset"):
            pass
        lag = LoopLag()
        lag.start()
        waits = sorted(await called(client, gateway.url("whmcs"), times))
        lag.stop()
        if await largest_lag(client, whmcs, lag) <= GUARD:
            break
    else:
        pytest.skip(f"a witness lagged more than {GUARD} s {ATTEMPTS} times: nothing can be concluded")
    assert waits[ceil(0.95 * len(waits)) - 1] == pytest.approx(expected, rel=0.05)
