"""The simulation: it decides as the gateway does, keeps the limits, and ends."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from aiolimiter import AsyncLimiter
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.errors import GatewayError
from gateway.throttle.arrivals import Arrival, Draw
from gateway.throttle.line import Priority
from gateway.throttle.settings import PaceSettings, PolicySettings
from gateway.throttle.simulate import Bucket, simulate
from gateway.throttle.tally import Tally
from gateway.throttle.throttler import Throttle
from tests.support.virtual import LoopClock, VirtualLoop, virtual
from tests.throttle.fleet_support import Gateway, Store
from tests.throttle.samples import Recorder, Vendor, now, policy

LANES = [
    {"name": "long", "match": [{"path": "/long"}], "concurrency": 3, "timeout": "2s"},
    {"name": "default", "concurrency": 4, "timeout": "20s"},
]
ORDER: tuple[Priority, ...] = ("normal", "high", "low", "normal")
RATE = {"cap": 20, "per": "4s", "guard": "62.5ms"}


def simulated(limits: PolicySettings, arrivals: list[Arrival], away: tuple[float, float] | None = None) -> Tally:
    tally = Tally(lane.name for lane in limits.lanes)
    simulate(limits, arrivals, tally, away)
    return tally


def trace(seed: int, rate: float, seconds: float) -> list[Arrival]:
    """Calls at random, over lanes, tenants and priorities in turn."""
    return [
        call._replace(lane=LANES[place % 3 > 0]["name"], tenant="abc"[place % 5 % 3], priority=ORDER[place % 4])
        for place, call in enumerate(Draw(seed, 0.4).poisson(rate, seconds, ""))
    ]


def on_a_grid(arrivals: list[Arrival]) -> list[Arrival]:
    """The same with times that are multiples of 1/64 s, whose sums are exact: in virtual time aiolimiter would else set
    a timer for now, again and again, when a drop is due but for a rounding."""
    return [
        each._replace(time=round(each.time * 64) / 64, duration=round(each.duration * 64) / 64) for each in arrivals
    ]


def waits(tally: Tally) -> list[float]:
    return sorted(wait for lane in tally._lanes.values() for wait in lane.waits)


async def performed(limits: PolicySettings, arrivals: list[Arrival], recorder: Recorder) -> None:
    """Make the same calls through the real throttle, on the running loop."""
    throttle, began = Throttle(limits, emit=recorder, clock=LoopClock()), now()
    timeouts = {lane.name: lane.timeout for lane in limits.lanes}

    async def call(arrival: Arrival) -> None:
        await asyncio.sleep(began + arrival.time - now())
        try:
            permit = await throttle.enter(arrival.lane, tenant=arrival.tenant, priority=arrival.priority)
            await throttle.dispatch(permit)
        except GatewayError:
            return
        await asyncio.sleep(min(arrival.duration, timeouts[arrival.lane]))
        throttle.leave(permit, "ok")

    runner = asyncio.get_running_loop().create_task(throttle.run())
    await asyncio.gather(*(call(arrival) for arrival in arrivals))
    runner.cancel()
    await asyncio.wait([runner])


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(
    "changes",
    [
        {"rate": RATE},
        {"rate": RATE, "queue": {"max_depth": 15, "max_wait": "30s"}},
        {"rate": RATE, "queue": {"max_depth": 1000, "max_wait": "3s", "fair_by": "X-Gateway-Tenant"}},
        {"rate": {"cap": 1000, "per": "4s"}},
        {"rate": {"cap": 1000, "per": "4s"}, "long_calls": {"limit": 3, "after": "500ms"}},
    ],
)
def test_it_decides_as_the_throttle_does(seed: int, changes: dict[str, Any]) -> None:
    """given a trace, when the gateway's own throttle serves it in virtual time, then the same calls are refused, and
    every wait is that of the simulation but for the loop's shortest timer."""
    limits, arrivals = policy(lanes=LANES, scope="pod", **changes), trace(seed, 8.0, 40.0)
    if limits.queue.fair_by is None:
        arrivals = [arrival._replace(tenant="") for arrival in arrivals]
    recorder = Recorder()
    virtual(performed)(limits, arrivals, recorder)
    tally = simulated(limits, arrivals)
    told = {reason.replace("-", "_"): count for reason, count in tally.total().refused.items()}
    assert {each: recorder.outcomes.count(each) for each in set(recorder.outcomes) - {"ok"}} == told
    assert waits(tally) == pytest.approx(sorted(recorder.waits), abs=0.005)


@pytest.mark.parametrize("seed", range(4))
def test_it_paces_as_the_throttle_does(seed: int) -> None:
    """given a policy with `pace`, then the waits behind the real leaky bucket are those of the simulation's."""
    limits = policy(lanes=LANES, scope="pod", rate=RATE, pace={"cap": 4, "per": "500ms"})
    arrivals, recorder = on_a_grid(trace(seed, 6.0, 40.0)), Recorder()
    virtual(performed)(limits, arrivals, recorder)
    real, found = sorted(recorder.waits), waits(simulated(limits, arrivals))
    # On the grid many things happen at the same moment, in an order that nobody has promised.
    assert len(found) == len(real) == len(arrivals)
    assert sum(found) == pytest.approx(sum(real), rel=0.02)


@virtual
async def test_the_bucket_is_that_of_aiolimiter() -> None:
    """Drops asked for one after the other, with pauses between them, come at the moments at which aiolimiter's come."""
    for cap, per in ((4.0, 0.5), (1.0, 0.25), (2.5, 1.25)):
        limiter, bucket = AsyncLimiter(cap, per), Bucket(PaceSettings(cap=cap, per=per))
        for pause in (0.0, 0.0, 0.0, 0.0, 0.125, 0.5, 0.0, 5.0, 0.0, 0.0, 0.0, 0.25):
            await asyncio.sleep(pause)
            bucket.draw(now())
            expected = bucket.drips_at
            bucket.drip()
            await limiter.acquire()
            assert now() == pytest.approx(expected, abs=1e-4)


@settings(max_examples=150, deadline=None)
@given(
    calls=st.lists(
        st.tuples(st.floats(0, 30), st.sampled_from(["long", "default"]), st.floats(0, 5)), min_size=1, max_size=60
    ),
    cap=st.integers(1, 6),
    depth=st.integers(0, 20),
    replicas=st.integers(1, 3),
    scope=st.sampled_from(["pod", "fleet"]),
    away=st.none() | st.tuples(st.floats(0.5, 10), st.floats(11, 20)),
)
def test_no_window_is_over_the_cap_and_no_call_is_lost(
    calls: list[tuple[float, str, float]],
    cap: int,
    depth: int,
    replicas: int,
    scope: str,
    away: tuple[float, float] | None,
) -> None:
    """Whatever comes, the cap is kept by each replica or by the fleet, every call is served or refused, and none waits
    past `max_wait`."""
    queue = {"max_depth": depth, "max_wait": "5s"}
    limits = policy(lanes=LANES, rate={"cap": cap, "per": "2s"}, queue=queue, scope=scope, replicas=replicas)
    tally = simulated(limits, [Arrival(*call) for call in sorted(calls)], away)
    use = tally.use(cap * replicas if scope == "pod" else cap, 2.0, 2.05)
    total = tally.total()
    assert use.busiest <= use.allowed
    assert 0 <= use.share <= 1 + 1e-9
    assert total.calls == len(calls) == total.served + sum(total.refused.values())
    assert total.longest is None or total.longest <= 5.0


@pytest.mark.parametrize(
    ("queue", "refused"),
    [({"max_depth": 1, "max_wait": "10m"}, "queue-full"), ({"max_depth": 100, "max_wait": "150s"}, "queue-timeout")],
)
def test_refusals_are_told_by_their_kind(queue: dict[str, Any], refused: str) -> None:
    """Of ten at once against one a minute one goes, one is next and one waits; there is no room or time for more."""
    limits = policy(lanes=LANES[1:], scope="pod", rate={"cap": 1, "per": "60s"}, queue=queue)
    found = simulated(limits, [Arrival(0.0, "default", 0.1)] * 10).total()
    assert (found.served, found.refused) == (3, {refused: 7})
    assert found.longest == pytest.approx(120.1)


def test_a_call_longer_than_its_lanes_timeout_ends_there() -> None:
    """Its permit is free again after the timeout, and it is counted."""
    limits = policy(lanes=[{"name": "default", "concurrency": 1, "timeout": "2s"}])
    found = simulated(limits, [Arrival(0.0, "default", 9.0), Arrival(0.0, "default", 2.0)]).total()
    assert (found.timed_out, found.longest) == (1, 2.0)


def test_replicas_take_turns_and_each_has_its_own_limits() -> None:
    """With `scope: pod` three replicas let three times the cap through."""
    limits = policy(lanes=LANES[1:], rate={"cap": 2, "per": "60s"}, scope="pod", replicas=3)
    tally = simulated(limits, [Arrival(0.0, "default", 0.0)] * 9)
    assert tally.use(6, 60.0, 60.05).busiest == 6
    assert tally.total().longest == pytest.approx(60.05)


def test_a_fleet_shares_one_cap_and_uses_it() -> None:
    """With `scope: fleet` three replicas together let the cap through and no more, and hardly less than one would."""
    arrivals = trace(1, 8.0, 60.0)
    one, three = (simulated(policy(lanes=LANES, rate=RATE, replicas=count), arrivals) for count in (1, 3))
    assert three.use(20, 4.0, 4.0625).busiest == 20
    assert three.use(20, 4.0, 4.0625).share >= 0.95
    assert three.total().p95 == pytest.approx(one.total().p95, rel=0.1)


@pytest.mark.parametrize("away", [None, (10.0, 20.0)])
def test_a_fleet_waits_as_the_gateways_do(away: tuple[float, float] | None) -> None:
    """given three gateways that share their limits, in virtual time, when Redis answers, or goes and comes back, then
    they wait as long on the mean as in the simulation."""
    # With a timeout so short it matters little who happened to hold a permit when Redis went.
    changes: dict[str, Any] = {"rate": RATE, "replicas": 3, "timeout": "400ms"}
    arrivals = [call._replace(duration=0.3) for call in Draw(5, 0.3).poisson(7.0, 30.0, "default")]

    async def real() -> list[float]:
        store, vendor, began = Store(), Vendor(0.0, 0.3), now()
        gateways = [Gateway(store, vendor, **changes) for _ in range(3)]
        for gateway in gateways:
            gateway.start()
        if away is not None:
            loop = asyncio.get_running_loop()
            loop.call_at(began + away[0], store.cut)
            loop.call_at(began + away[1], store.back)

        async def call(at: float, gateway: Gateway) -> None:
            await asyncio.sleep(began + at - now())
            assert await gateway.call() == b"answer"

        await asyncio.gather(*(call(each.time, gateways[place % 3]) for place, each in enumerate(arrivals)))
        for gateway in gateways:
            await gateway.stop()
        return sorted(wait for gateway in gateways for wait in gateway.recorder.waits)

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        found = runner.run(real())
    foretold = waits(simulated(policy(**changes), arrivals, away))
    # Which replica has a slot first hangs on who asks a millisecond earlier; how many have one does not.
    assert len(found) == len(arrivals) == len(foretold)
    assert sum(found) == pytest.approx(sum(foretold), rel=0.05)


def test_a_fleet_without_redis_goes_on_by_its_shares() -> None:
    """Given Redis away in the middle of saturation, then the cap holds, and calls are served all the while."""
    limits = policy(lanes=LANES, rate=RATE, replicas=3, queue={"max_depth": 50, "max_wait": "30s"})
    tally = simulated(limits, trace(1, 12.0, 60.0), away=(20.0, 40.0))
    assert tally.use(20, 4.0, 4.0625).busiest <= 20
    assert all(each.calls > each.refused for each in tally.slices(6))


def test_a_fleet_of_one_decides_the_same_with_the_books_and_without() -> None:
    """What leaves the books out for one replica alone changes nothing but a round trip."""
    limits = policy(lanes=LANES, rate=RATE)
    with_books, without = (simulated(limits, trace(2, 6.0, 60.0), away).total() for away in ((900.0, 901.0), None))
    assert with_books.served == without.served
    assert with_books.p95 == pytest.approx(without.p95, abs=0.05)


def test_the_same_seed_gives_the_same_run() -> None:
    """Two runs of one seed are alike to the last figure; another seed gives another run."""
    limits = policy(20, "4s")
    runs = [simulated(limits, list(Draw(seed, 0.3).poisson(6.0, 60.0, "default"))) for seed in (7, 7, 8)]
    figures = [run.total() for run in runs]
    assert figures[0] == figures[1] != figures[2]
    assert runs[0].slices(10) == runs[1].slices(10)
