"""A fleet comes back to its books one by one, after outages longer than anybody is remembered for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from gateway.errors import StoreUnavailable
from gateway.throttle.fleet import Answer, Statement
from tests.support.virtual import VirtualLoop
from tests.throttle.fleet_support import Gateway, Store
from tests.throttle.samples import busiest
from tests.throttle.test_fleet_world import LANES, Counting, offer

CAP, PER = 60, 60.0


class Door:
    """A replica's own way to the store, which may be shut for longer than the store is away."""

    def __init__(self, store: Store) -> None:
        self.shut = False
        self._store = store

    async def tell(self, statement: Statement) -> Answer:
        if self.shut:
            raise StoreUnavailable("away", "fleet")
        return await self._store.tell(statement)

    async def listen(self, heard: Callable[[bytes], None], lost: Callable[[], None]) -> None:
        await self._store.listen(heard, lost)


def fleet(store: Store, vendor: Counting, count: int) -> tuple[list[Gateway], list[Door]]:
    doors = [Door(store) for _ in range(count)]
    values = {
        "cap": CAP, "per": f"{PER:g}s", "lanes": LANES, "replicas": count, "scope": "fleet",
        "queue": {"max_depth": 600, "max_wait": "10m"},
    }  # fmt: skip
    gateways = [Gateway(door, vendor, **values) for door in doors]  # type: ignore[arg-type]
    for gateway in gateways:
        gateway.start()
    return gateways, doors


@pytest.mark.parametrize("away", [5.0, 20.0, 70.0])
@pytest.mark.parametrize("empty", [True, False])
@pytest.mark.parametrize("one_ends", [True, False])
def test_case_16_whoever_is_back_first_waits_for_the_others(away: float, empty: bool, one_ends: bool) -> None:
    """Given saturated gateways and an outage of any length, when they come back one after the other, or one ends
    meanwhile, then no window is over the cap: the first takes nothing until the others have told or a window passed.
    """

    async def scenario() -> None:
        store, vendor = Store(), Counting(0.2)
        gateways, doors = fleet(store, vendor, 3)
        async with asyncio.TaskGroup() as group:
            group.create_task(offer(gateways, 280.0, 1.5))
            await asyncio.sleep(90.0)
            store.cut()
            for door in doors:
                door.shut = True
            await asyncio.sleep(away)
            if one_ends:
                await gateways[2].stop()
            store.back(empty=empty)
            for door in doors:
                door.shut = False
                await asyncio.sleep(0.9)
        assert busiest(vendor.writes, PER) <= CAP
        late = [at for at in vendor.writes if at > 1000.0 + 90.0 + away + 65.0]
        assert late, "the books are open again after a window"
        for gateway in gateways[: 2 if one_ends else 3]:
            assert not gateway.throttle.snapshot().degraded
            await gateway.stop()

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(scenario())
