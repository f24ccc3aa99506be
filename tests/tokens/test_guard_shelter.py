"""Work that outlives its client."""

from __future__ import annotations

import asyncio

import pytest

from gateway.errors import GatewayError
from gateway.tokens.guard_shelter import Shelter, outcome


async def test_work_goes_on_when_the_one_who_waits_is_gone() -> None:
    """given a request that is cancelled, then its work ends all the same."""
    shelter, go = Shelter(), asyncio.Event()

    async def work() -> str:
        await go.wait()
        return "done"

    home = asyncio.create_task(shelter.run())
    await asyncio.sleep(0)
    task = shelter.start(work())
    client = asyncio.create_task(outcome(task))
    await asyncio.sleep(0)
    client.cancel()
    await asyncio.wait((client,))
    go.set()
    assert await outcome(task) == "done"
    home.cancel()
    await asyncio.wait((home,))


async def test_the_end_of_the_gateway_is_told() -> None:
    """given work under way when the gateway ends, then whoever waits hears of it, and nothing new begins."""
    shelter = Shelter()

    async def work() -> None:
        await asyncio.get_running_loop().create_future()

    home = asyncio.create_task(shelter.run())
    await asyncio.sleep(0)
    client = asyncio.create_task(outcome(shelter.start(work())))
    await asyncio.sleep(0)
    home.cancel()
    await asyncio.wait((home,))
    with pytest.raises(GatewayError, match="shutting-down"):
        await client
    with pytest.raises(GatewayError, match="shutting-down"):
        shelter.start(work())
