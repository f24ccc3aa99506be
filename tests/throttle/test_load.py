"""Throttling under load: the window's bound and its use, in virtual time."""

from __future__ import annotations

import asyncio

import pytest

from gateway.errors import GatewayError
from tests.support.virtual import virtual
from tests.throttle.samples import Recorder, Vendor, busiest, call, idle, layer, now, policy, together


@pytest.mark.parametrize(("connect", "answer"), [(0.0, 0.0), (0.0, 0.2), (0.15, 0.2), (0.03, 0.7)])
def test_case_01_six_hundred_calls_at_once_against_three_hundred_a_minute(connect: float, answer: float) -> None:
    """Given 300 a minute, when 600 calls come at once, then no minute sees more than 300, none is refused, and at least
    95 % of what the window and its guard allow is used, however long connecting and answering take."""

    @virtual
    async def scenario() -> None:
        recorder, vendor, began = Recorder(), Vendor(connect, answer), now()
        through = layer(policy(300, "60s"), recorder)
        assert await together(600, lambda: call(through, vendor)) == [b"answer"] * 600
        assert busiest(vendor.writes, 60.0) <= 300
        assert vendor.most <= 15
        # What concurrency lets through after the window has opened again is not the window's to use.
        batch = 300 * (connect + answer) / 15
        assert now() - began <= 60.05 / 0.95 + batch
        assert recorder.outcomes == ["ok"] * 600
        assert idle(through)

    scenario()


@virtual
async def test_a_steady_surplus_uses_the_window_and_never_passes_it() -> None:
    """Given calls offered at twice the rate for ten windows, when the queue is bounded, then at least 95 % of the slots
    are used and no window anywhere is over the cap."""
    recorder, vendor = Recorder(), Vendor(0.02, 0.1)
    through = layer(policy(20, "2s", queue={"max_depth": 30, "max_wait": "1m"}), recorder)
    began = now()
    async with asyncio.TaskGroup() as tasks:

        async def offer() -> None:
            try:
                await call(through, vendor)
            except GatewayError as error:
                assert error.code == "queue-full"  # noqa: PT017

        for _ in range(400):
            tasks.create_task(offer())
            await asyncio.sleep(0.05)
    elapsed = now() - began
    assert busiest(vendor.writes, 2.0) <= 20
    assert len(vendor.writes) >= 0.95 * 20 * elapsed / 2.05
    assert recorder.outcomes.count("queue_full") + len(vendor.writes) == 400


@virtual
async def test_case_02_the_window_holds_across_a_boundary() -> None:
    """Given 59 idle seconds, when 300 calls come on each side of the full minute, then any 60 s see at most 300."""
    recorder, vendor = Recorder(), Vendor()
    through = layer(policy(300, "60s"), recorder)
    await asyncio.sleep(59.0)
    first = asyncio.get_running_loop().create_task(together(300, lambda: call(through, vendor)))
    await asyncio.sleep(2.0)
    await together(300, lambda: call(through, vendor))
    await first
    assert busiest(vendor.writes, 60.0) == 300
    assert len(vendor.writes) == 600
