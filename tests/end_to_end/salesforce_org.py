"""A simulated Salesforce behind a gateway, and what must not be told of it."""

from __future__ import annotations

import json
from typing import Any

import aiohttp

from gateway.demo.accounts import SALESFORCE
from gateway.demo.salesforce import Salesforce
from gateway.demo.services import Services
from tests.support import leaks
from tests.support.process import GatewayProcess


def organisation(**behaviour: Any) -> Services:
    """Return a simulated Salesforce that is as quick as it can be."""
    quick = {"latency": 0, "long_latency": 0, "login_latency": 0, "job_seconds": 0}
    return Services(only=("salesforce",), salesforce=Salesforce(**(quick | behaviour)))


def policy(org: Services, **changes: Any) -> dict[str, Any]:
    """Return a policy for it whose limits nobody meets, and a login of the gateway's own."""
    url = org.addresses["salesforce"]
    return {
        "base_url": url,
        "rate": {"cap": 10_000},
        "lanes": [{"name": "default", "concurrency": 50, "timeout": "30s"}],
        "auth": {
            "type": "salesforce_password",
            "token_url": f"{url}/services/oauth2/token",
            "client_id": SALESFORCE.client_id,
            "client_secret": SALESFORCE.client_secret,
            "username": SALESFORCE.username,
            "password": SALESFORCE.password,
        },
        **changes,
    }


async def metrics(client: aiohttp.ClientSession, gateway: GatewayProcess) -> dict[str, float]:
    """Return every sample by its name with its labels."""
    async with client.get(gateway.url("admin") + "/metrics") as response:
        lines = [line.rpartition(" ") for line in (await response.text()).splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in lines}


async def everything_told(client: aiohttp.ClientSession, gateway: GatewayProcess) -> str:
    """Return all that the gateway has said of itself: log lines and traces, metrics, probes, the status."""
    told: list[Any] = [gateway.lines]
    for path in ("/metrics", "/readyz", "/healthz", "/startupz", "/status"):
        async with client.get(gateway.url("admin") + path) as response:
            told.append(await response.text())
    return json.dumps(told)


async def tells_no_secret(client: aiohttp.ClientSession, gateway: GatewayProcess) -> bool:
    """Whether there is no credential in any of it; the simulator's and the tests' own begin with `hush-`."""
    return leaks.SECRET.search(await everything_told(client, gateway)) is None
