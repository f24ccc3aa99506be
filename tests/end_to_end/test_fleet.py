"""Four gateways, one Valkey, one vendor that counts: the limits hold across them, whatever happens to Valkey.

The runs are short here and 30 s under `make soak`.
"""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable

import aiohttp
import pytest

from tests.end_to_end.conftest import StartGateway
from tests.end_to_end.fleet_run import CAP, GUARD, LONG, LONG_CALL, PER, REPLICAS, Offer, held, policy, witness
from tests.support.process import GatewayProcess
from tests.support.soak import short_or_long, soak_only, tell
from tests.support.valkey import ValkeyServer

ATTEMPTS = 3
"""A run whose witness was late shows nothing; so many may be tried."""
Events = Callable[[Offer, ValkeyServer], Awaitable[None]]


@pytest.fixture
async def vendor() -> AsyncIterator[str]:
    async with witness() as url:
        yield url


@pytest.fixture
async def valkey() -> AsyncIterator[ValkeyServer]:
    server = ValkeyServer(persist=True)
    await server.start()
    yield server
    await server.stop()


async def _run(
    start_gateway: StartGateway,
    client: aiohttp.ClientSession,
    vendor: str,
    valkey: ValkeyServer,
    seconds: float,
    events: Events | None = None,
) -> Offer:
    for _ in range(ATTEMPTS):
        gateways = await _fleet(start_gateway, vendor, valkey)
        offer = Offer(client, gateways, vendor)
        await offer.log_in()
        async with asyncio.TaskGroup() as group:
            group.create_task(offer.run(seconds))
            if events is not None:
                group.create_task(events(offer, valkey))
        report = await offer.report()
        for gateway in gateways:
            await gateway.stop()
        if held(report):
            tell(f"fleet: {report['calls']} calls, {offer.saturated['calls']} in {seconds:g} s; {dict(offer.answers)}")
            return offer
    pytest.skip(f"the simulator lagged more than {GUARD} s {ATTEMPTS} times: nothing can be concluded")


async def _fleet(start_gateway: StartGateway, vendor: str, valkey: ValkeyServer) -> list[GatewayProcess]:
    return list(
        await asyncio.gather(
            *(
                start_gateway(policies={"salesforce": policy(vendor)}, redis={"url": valkey.url})
                for _ in range(REPLICAS)
            )
        )
    )


async def test_case_13_saturated_gateways_share_the_cap_and_use_it(
    start_gateway: StartGateway, client: aiohttp.ClientSession, vendor: str, valkey: ValkeyServer
) -> None:
    """Given four gateways offered five times the cap in mixed lanes, then the vendor's own clock sees no window over
    the cap and no lane over its concurrency, and at least 95 % of what the guard allows is used."""
    offer = await _run(start_gateway, client, vendor, valkey, short_or_long(7.0, 30.0))
    assert set(offer.answers) <= {200, 404, 405, 503}
    assert offer.saturated["calls"] >= 0.95 * CAP * offer.saturated["first_to_last_seconds"] / (PER + GUARD)


async def test_cases_15_and_16_a_valkey_that_goes_and_comes_back_empty_lets_no_call_too_many_through(
    start_gateway: StartGateway, client: aiohttp.ClientSession, vendor: str, valkey: ValkeyServer
) -> None:
    """Given the same, when Valkey is killed, frozen and restarted without data in the middle, then no limit is passed
    at any time, and calls go on being served throughout."""
    part = short_or_long(2.5, 6.0)
    marks: list[float] = []

    async def events(offer: Offer, valkey: ValkeyServer) -> None:
        await asyncio.sleep(part)
        valkey.kill()
        marks[:] = [time.monotonic()]
        await asyncio.sleep(part)
        await valkey.restart(empty=False)
        await asyncio.sleep(part)
        valkey.pause()
        await asyncio.sleep(part / 2)
        valkey.resume()
        await asyncio.sleep(part / 2)
        valkey.kill()
        await valkey.restart(empty=True)

    offer = await _run(start_gateway, client, vendor, valkey, 5 * part, events)
    served = sum(marks[0] <= at <= marks[0] + part for at in offer.served_at)
    assert served > 0.2 * CAP * part / PER
    assert set(offer.answers) <= {200, 404, 405, 503}


@soak_only
async def test_case_14_a_killed_gateways_permits_are_back_within_the_lease(
    start_gateway: StartGateway, client: aiohttp.ClientSession, vendor: str, valkey: ValkeyServer
) -> None:
    """Given a gateway that is killed while it holds every permit of a lane, then the others have them within 15 s."""
    gateways = await _fleet(start_gateway, vendor, valkey)
    offer = Offer(client, gateways, vendor)
    await offer.log_in()
    async with client.put(f"{vendor}/_simulator/behaviour", json={"long_latency": 4.5}):
        pass
    async with asyncio.TaskGroup() as group:
        for _ in range(8):
            group.create_task(offer._call(gateways[0], LONG_CALL))
        async with asyncio.timeout(10):
            while (await offer.report())["classes"].get("long_running", {}).get("in_flight", 0) < LONG:
                await asyncio.sleep(0.05)
        killed = time.monotonic()
        await gateways[0].signal(signal.SIGKILL)
        async with client.put(f"{vendor}/_simulator/behaviour", json={"long_latency": 0.1}):
            pass
        await offer._call(gateways[1], LONG_CALL)
        took = time.monotonic() - killed
    tell(f"fleet: a killed gateway's permits were back after {took:.1f} s")
    assert 5.0 < took <= 15.0 + 2.0
