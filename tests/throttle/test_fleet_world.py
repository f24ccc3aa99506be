"""A fleet in virtual time: the vendor's limits hold, whatever happens to the books, and calls go on being served."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.virtual import VirtualLoop, virtual
from tests.throttle.fleet_support import Gateway, Store
from tests.throttle.samples import Vendor, busiest, now

CAP, PER, GUARD = 20, 2.0, 0.05
LANES = [
    {"name": "long_running", "concurrency": 3, "timeout": "4s", "match": [{"path": "/long_running"}]},
    {"name": "default", "concurrency": 6, "timeout": "3s"},
]


class Counting(Vendor):
    """A vendor that knows its calls in flight by lane."""

    def __init__(self, answer: float) -> None:
        super().__init__(0.01, answer)
        self.flying: Counter[str] = Counter()
        self.peak: Counter[str] = Counter()

    async def __call__(self, exchange: Any) -> Any:
        assert exchange.before_send is not None
        before, lane = exchange.before_send, exchange.target.rpartition(b"/")[2].decode()
        flying = False

        async def send() -> None:
            nonlocal flying
            await before()
            if not flying:
                flying = True
                self.flying[lane] += 1
                self.peak[lane] = max(self.peak[lane], self.flying[lane])

        exchange.before_send = send
        try:
            return await super().__call__(exchange)
        finally:
            if flying:
                self.flying[lane] -= 1


def fleet(store: Store, vendor: Vendor, count: int, **changes: Any) -> list[Gateway]:
    """So many gateways that share the limits; started."""
    values = {
        "cap": CAP, "per": f"{PER:g}s", "lanes": LANES, "replicas": count, "scope": "fleet",
        "queue": {"max_depth": 60, "max_wait": "30s"},
    } | changes  # fmt: skip
    gateways = [Gateway(store, vendor, **values) for _ in range(count)]
    for gateway in gateways:
        gateway.start()
    return gateways


async def offer(gateways: list[Gateway], seconds: float, times: float = 5.0) -> list[object]:
    """Offer so many times the cap, in turn, one in five long; return what became of the calls."""
    calls: list[asyncio.Task[object]] = []
    pause, number, until = PER / CAP / times, 0, now() + seconds
    while now() < until:
        gateway = gateways[number % len(gateways)]
        calls.append(
            asyncio.get_running_loop().create_task(gateway.call("long_running" if number % 5 == 0 else "default"))
        )
        number += 1
        await asyncio.sleep(pause)
    return list(await asyncio.gather(*calls))


def held(vendor: Counting, cap: int = CAP) -> None:
    """Assert that no limit was passed."""
    assert busiest(vendor.writes, PER) <= cap
    assert vendor.peak["default"] <= 6
    assert vendor.peak["long_running"] <= 3


async def stop(gateways: list[Gateway]) -> None:
    for gateway in gateways:
        await gateway.stop()


@pytest.mark.parametrize("count", [1, 2, 4])
def test_case_13_saturated_gateways_share_the_cap_and_use_it(count: int) -> None:
    """Given gateways offered five times the cap in mixed lanes for 30 s, then no window is over the cap, no lane over
    its concurrency, and at least 95 % of what the guard allows is used, by all of them alike."""

    @virtual
    async def scenario() -> None:
        store, vendor = Store(), Counting(0.2)
        gateways = fleet(store, vendor, count)
        began = now()
        await offer(gateways, 30.0)
        elapsed = vendor.writes[-1] - began
        held(vendor)
        assert len(vendor.writes) >= 0.95 * CAP * elapsed / (PER + GUARD)
        served = [gateway.recorder.outcomes.count("ok") for gateway in gateways]
        assert min(served) >= 0.8 * max(served)
        await stop(gateways)

    scenario()


Event = Callable[[Store], Awaitable[None]]


async def _away(store: Store) -> None:
    store.cut()
    await asyncio.sleep(3.0)
    store.back()


async def _empty(store: Store) -> None:
    store.cut()
    await asyncio.sleep(0.5)
    store.back(empty=True)


async def _older(store: Store) -> None:
    store.save()
    await asyncio.sleep(0.7)
    store.cut()
    await asyncio.sleep(0.3)
    store.back(older=True)


async def _ahead(store: Store) -> None:
    store.ahead += 3600.0


async def _behind(store: Store) -> None:
    store.ahead -= 3600.0


async def _silent(store: Store) -> None:
    store.away = True
    await asyncio.sleep(1.2)
    store.away = False


EVENTS: dict[str, Event] = {
    "away": _away, "empty": _empty, "older": _older, "ahead": _ahead, "behind": _behind, "silent": _silent,
}  # fmt: skip


@pytest.mark.parametrize("name", EVENTS)
@pytest.mark.parametrize("count", [1, 3])
def test_cases_15_to_18_the_limits_hold_whatever_happens_to_the_books(name: str, count: int) -> None:
    """Given saturated gateways, when the books go away, come back whole, empty or older, fall silent, or their clock is
    set, then no limit is ever passed, calls are served all the while, and in the end the cap is used again."""

    @virtual
    async def scenario() -> None:
        store, vendor = Store(), Counting(0.2)
        gateways = fleet(store, vendor, count)
        async with asyncio.TaskGroup() as group:
            group.create_task(offer(gateways, 40.0))
            for moment in (7.3, 15.1):
                await asyncio.sleep(moment + 1000.0 - now())
                await EVENTS[name](store)
        held(vendor)
        assert not any(gateway.throttle.snapshot().degraded for gateway in gateways)
        for gateway in gateways:  # told each time, once as it begins and once as it is over
            told = gateway.recorder.degraded
            assert told == [True, False] * (len(told) // 2)
            assert len(told) >= 4
        for second in range(0, 38, 4):  # a share of a third, rounded down, and one window of patience
            assert sum(second <= at - 1000.0 < second + 4 for at in vendor.writes) >= 3, second
        late = [at for at in vendor.writes if 25.0 <= at - 1000.0 < 38.0]
        assert len(late) >= 0.95 * CAP * 13.0 / (PER + GUARD)
        await stop(gateways)

    scenario()


@virtual
async def test_case_17_the_clocks_of_pods_take_no_part() -> None:
    """Given three pods whose clocks are 5 s apart, and a Redis that goes and comes back, when all are saturated, then
    no limit is passed, and the cap is used: the store's clock decides."""
    store, vendor = Store(), Counting(0.2)
    settings = {
        "cap": CAP, "per": f"{PER:g}s", "lanes": LANES, "replicas": 3, "scope": "fleet",
        "queue": {"max_depth": 60, "max_wait": "30s"},
    }  # fmt: skip
    gateways = [Gateway(store, vendor, ahead=ahead, **settings) for ahead in (-5.0, 0.0, 5.0)]
    for gateway in gateways:
        gateway.start()
    async with asyncio.TaskGroup() as group:
        group.create_task(offer(gateways, 30.0))
        await asyncio.sleep(8.0)
        await _away(store)
    held(vendor)
    late = [at for at in vendor.writes if 16.0 <= at - 1000.0 < 29.0]
    assert len(late) >= 0.95 * CAP * 13.0 / (PER + GUARD)
    await stop(gateways)


@virtual
async def test_case_14_a_killed_gateways_permits_are_back_within_the_lease() -> None:
    """Given a gateway that is killed while it holds all permits of a lane, then another has them within 15 s."""
    store, vendor = Store(), Counting(1000.0)
    gateways = fleet(store, vendor, 2)
    stuck = [asyncio.get_running_loop().create_task(gateways[0].call("long_running")) for _ in range(3)]
    await asyncio.sleep(1.0)
    assert vendor.flying["long_running"] == 3
    for task in stuck:  # its process ends, and with it its connections, but the books are not told
        task.cancel()
    gateways[0].throttle.close()
    await gateways[0].kill()
    killed = now()
    vendor.answer = 0.1
    assert await gateways[1].call("long_running") == b"answer"
    assert 10.0 < now() - killed <= 15.5
    await gateways[1].stop()


@virtual
async def test_a_gateway_that_ends_leaves_its_permits_at_once() -> None:
    """Given a gateway that is told to end while calls hold permits, then another has them when it has parted."""
    store, vendor = Store(), Counting(1000.0)
    gateways = fleet(store, vendor, 2)
    stuck = [asyncio.get_running_loop().create_task(gateways[0].call("long_running")) for _ in range(3)]
    await asyncio.sleep(1.0)
    for task in stuck:
        task.cancel()
    await gateways[0].stop()
    vendor.answer = 0.1
    began = now()
    assert await gateways[1].call("long_running") == b"answer"
    assert now() - began < 0.5
    await gateways[1].stop()


@virtual
async def test_freed_permits_wake_the_others() -> None:
    """Given a lane that one gateway fills, when a call of it ends, then the call that waits at the other gateway goes
    at once, before the next call of the first."""
    store, vendor = Store(), Counting(5.0)
    gateways = fleet(store, vendor, 2)
    loop = asyncio.get_running_loop()
    first = [loop.create_task(gateways[0].call("long_running")) for _ in range(6)]
    await asyncio.sleep(1.0)
    other = loop.create_task(gateways[1].call("long_running"))
    await asyncio.sleep(4.1)
    await other
    assert sum(task.done() for task in first) <= 3 + 3
    assert now() - 1000.0 < 10.5
    await asyncio.gather(*first)
    held(vendor)
    await stop(gateways)


@virtual
async def test_an_idle_fleet_asks_little() -> None:
    """Given nothing to do, then a replica asks the books no more than twice a second; and with a call that waits for a
    permit, no more than ten times."""
    store, vendor = Store(), Counting(30.0)
    gateways = fleet(store, vendor, 1)
    await asyncio.sleep(1.0)
    store.asked = 0
    await asyncio.sleep(20.0)
    assert store.asked <= 40
    calls = [asyncio.get_running_loop().create_task(gateways[0].call("long_running")) for _ in range(5)]
    await asyncio.sleep(1.0)
    store.asked = 0
    await asyncio.sleep(20.0)
    assert store.asked <= 200
    for task in calls:
        task.cancel()
    await stop(gateways)


@virtual
async def test_the_lowest_live_cap_rules_in_a_rollout() -> None:
    """Given two replicas with different caps, then the lower one rules while both live, and the other afterwards."""
    store, vendor = Store(), Counting(0.1)
    (old,) = fleet(store, vendor, 1, replicas=2)
    (new,) = fleet(store, vendor, 1, replicas=2, cap=8)
    await asyncio.sleep(0.5)
    await offer([old, new], 12.0)
    both = [at for at in vendor.writes if at - 1000.0 < 12.0]
    assert busiest(both, PER) <= 8
    await new.stop()
    await offer([old], 20.0)
    assert busiest(vendor.writes, PER) > 8
    held(vendor)
    await old.stop()


@virtual
async def test_a_lower_limit_of_an_idle_replica_rules_too() -> None:
    """Given a replica that saturates a lane, when another joins with a lower concurrency and sends nothing, then calls
    in flight shrink to the lower limit as they end, and stay there."""
    store, vendor = Store(), Counting(1.0)
    (busy,) = fleet(store, vendor, 1, replicas=2, cap=2000)
    await asyncio.sleep(0.5)
    loop = asyncio.get_running_loop()
    calls = [loop.create_task(busy.call()) for _ in range(50)]
    await asyncio.sleep(1.5)
    assert vendor.flying["default"] == 6
    lower = [LANES[0], LANES[1] | {"concurrency": 2}]
    (idle,) = fleet(store, vendor, 1, replicas=2, cap=2000, lanes=lower)
    await asyncio.sleep(2.5)
    vendor.peak.clear()
    await asyncio.sleep(6.0)
    assert vendor.peak["default"] == 2
    for task in calls:
        task.cancel()
    await stop([busy, idle])


@virtual
async def test_aged_calls_of_one_replica_shrink_the_long_lane_of_another() -> None:
    """Given a budget of four long calls and a replica that saturates the long lane, when three calls of another lane
    have aged at another replica, then the long lane shrinks to one, and grows again when they have ended."""
    store, vendor = Store(), Counting(1.0)
    lanes = [LANES[0] | {"timeout": "20s"}, LANES[1] | {"timeout": "10s"}]
    one, other = fleet(store, vendor, 2, cap=2000, lanes=lanes, long_calls={"limit": 4, "after": "1s"})
    slow = Counting(6.0)
    other.vendor = slow
    await asyncio.sleep(0.5)
    loop = asyncio.get_running_loop()
    calls = [loop.create_task(one.call("long_running")) for _ in range(40)]
    await asyncio.sleep(1.5)
    assert vendor.flying["long_running"] == 3
    aged = [loop.create_task(other.call()) for _ in range(3)]
    await asyncio.sleep(4.0)
    assert vendor.flying["long_running"] == 1
    await asyncio.gather(*aged)
    await asyncio.sleep(2.5)
    assert vendor.flying["long_running"] == 3
    for task in calls:
        task.cancel()
    await stop([one, other])


@settings(max_examples=40, deadline=None)
@given(
    count=st.integers(1, 4),
    delay=st.sampled_from([0.0002, 0.005]),
    answer=st.sampled_from([0.05, 0.4]),
    events=st.lists(st.tuples(st.sampled_from(sorted(EVENTS)), st.floats(0.1, 6.0)), max_size=4),
)
def test_generated_troubles_pass_no_limit(
    count: int, delay: float, answer: float, events: list[tuple[str, float]]
) -> None:
    """Given any sequence of troubles, when gateways are saturated, then no window is over the cap and no lane over its
    concurrency, and in the end calls are served."""

    async def scenario() -> None:
        store, vendor = Store(delay), Counting(answer)
        gateways = fleet(store, vendor, count)
        async with asyncio.TaskGroup() as group:
            group.create_task(offer(gateways, 24.0))
            for name, pause in events:
                await asyncio.sleep(pause)
                await EVENTS[name](store)
        held(vendor)
        before = len(vendor.writes)
        assert await gateways[0].call() == b"answer"
        assert len(vendor.writes) == before + 1
        await stop(gateways)

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(scenario())
