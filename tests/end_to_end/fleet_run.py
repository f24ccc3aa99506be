"""Gateways that share one vendor's limits through one Valkey, and an offer of several times the cap.

The one idea: the vendor's simulator is the witness. It runs in a process of its own, counts by its own clock, and tells
how late that process itself was; a run in which it was later than `guard` shows nothing and is not counted.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import aiohttp

from gateway.demo.accounts import SALESFORCE
from tests.support.process import GatewayProcess

CAP: Final = 80
PER: Final = 2.0
GUARD: Final = 0.05
DEFAULT: Final = 10
LONG: Final = 4
"""Concurrency of the lanes."""
REPLICAS: Final = 4
OFFERED: Final = 5.0
"""Times the cap."""
SHORT_CALL: Final = "/services/data/v62.0/query?q=SELECT+Id+FROM+Contact"
LONG_CALL: Final = "/services/data/v62.0/jobs/query"


def policy(base_url: str) -> dict[str, Any]:
    """The policy of every replica."""
    return {
        "base_url": base_url,
        "scope": "fleet",
        "replicas": REPLICAS,
        "rate": {"cap": CAP, "per": f"{PER:g}s", "guard": f"{GUARD * 1000:g}ms"},
        "lanes": [
            {
                "name": "long_running",
                "match": [{"path": "/services/data/*/jobs/**"}],
                "concurrency": LONG,
                "timeout": "5s",
            },
            {"name": "default", "concurrency": DEFAULT, "timeout": "3s"},
        ],
        "queue": {"max_depth": 40, "max_wait": "20s"},
    }


@asynccontextmanager
async def witness() -> AsyncIterator[str]:
    """A Salesforce simulator in a process of its own; its base URL."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "gateway.demo.services", "--only", "salesforce",
        stdout=asyncio.subprocess.PIPE, env={"PATH": os.environ["PATH"], "PYTHONUNBUFFERED": "1"},
    )  # fmt: skip
    assert process.stdout is not None
    try:
        async with asyncio.timeout(20):
            yield (await process.stdout.readline()).decode().strip()
    finally:
        process.terminate()
        await process.communicate()


@dataclass(slots=True)
class Offer:
    """Calls at `OFFERED` times the cap, to the gateways in turn, one in five of them long."""

    client: aiohttp.ClientSession
    gateways: list[GatewayProcess]
    witness: str
    answers: Counter[int] = field(default_factory=Counter)
    """Statuses; 0 for a connection that broke."""
    served_at: list[float] = field(default_factory=list)
    """When the vendor's answers came (monotonic s)."""
    dead: set[int] = field(default_factory=set)
    """Places of gateways that are called no more."""
    saturated: dict[str, Any] = field(default_factory=dict)
    """What the vendor had seen when the offer ended: until then there was more to do than the limits allow."""
    _token: str = ""

    async def log_in(self) -> None:
        """Open a session at the vendor, before anything is counted."""
        form = {
            "grant_type": "client_credentials",
            "client_id": SALESFORCE.client_id,
            "client_secret": SALESFORCE.client_secret,
        }
        async with self.client.post(self.witness + "/services/oauth2/token", data=form) as response:
            self._token = (await response.json())["access_token"]
        async with self.client.put(
            self.witness + "/_simulator/behaviour", json={"latency": 0.08, "long_latency": 0.25}
        ) as response:
            assert response.status == 200
        async with self.client.post(self.witness + "/_simulator/reset"):
            pass

    async def run(self, seconds: float) -> None:
        """Make the offer for so long, and wait for what still waits."""
        began = time.monotonic()
        pause, number = PER / CAP / OFFERED, 0
        async with asyncio.TaskGroup() as calls:
            while (due := began + number * pause) < began + seconds:
                await asyncio.sleep(max(0.0, due - time.monotonic()))
                place = number % len(self.gateways)
                if place not in self.dead:
                    calls.create_task(self._call(self.gateways[place], LONG_CALL if number % 5 == 0 else SHORT_CALL))
                number += 1
            self.saturated = await self.report()

    async def report(self) -> dict[str, Any]:
        """Return what the vendor saw."""
        async with self.client.get(f"{self.witness}/_simulator/report?window={PER:g}") as response:
            report: dict[str, Any] = await response.json()
            return report

    async def _call(self, gateway: GatewayProcess, target: str) -> None:
        headers = {"Authorization": f"Bearer {self._token}"}
        try:
            async with self.client.get(gateway.url("salesforce") + target, headers=headers) as response:
                await response.read()
                self.answers[response.status] += 1
                if response.status != 503:
                    self.served_at.append(time.monotonic())
        except (aiohttp.ClientError, OSError):
            self.answers[0] += 1


def held(report: dict[str, Any]) -> bool:
    """Assert that no limit was passed; False for a run whose witness was too late to tell."""
    if report["largest_loop_lag_seconds"] > GUARD:
        return False
    assert report["busiest_window"] <= CAP
    assert report["classes"]["default"]["in_flight_peak"] <= DEFAULT
    assert report["classes"]["long_running"]["in_flight_peak"] <= LONG
    return True
