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
from gateway.throttle.settings import PaceSettings, PolicySettings
from gateway.throttle.simulate import Bucket, PodReplica, simulate
from gateway.throttle.tally import Tally
from gateway.throttle.throttler import Throttle
from tests.support.virtual import LoopClock, virtual
from tests.throttle.samples import Recorder, now, policy

LANES = [
    {"name": "long", "match": [{"path": "/long"}], "concurrency": 3, "timeout": "2s"},
    {"name": "default", "concurrency": 4, "timeout": "20s"},
]


def simulated(limits: PolicySettings, arrivals: list[Arrival], replicas: int = 1) -> Tally:
    tally = Tally(lane.name for lane in limits.lanes)
    simulate(arrivals, [PodReplica(limits, tally) for _ in range(replicas)])
    return tally


def trace(seed: int, rate: float, seconds: float, *lanes: str) -> list[Arrival]:
    """Calls at random, over the lanes in turn."""
    calls = Draw(seed, 0.4).poisson(rate, seconds, "")
    return [call._replace(lane=lanes[place % len(lanes)]) for place, call in enumerate(calls)]


async def performed(limits: PolicySettings, arrivals: list[Arrival], recorder: Recorder) -> None:
    """Make the same calls through the real throttle, on the running loop."""
    throttle, began = Throttle(limits, emit=recorder, clock=LoopClock()), now()
    timeouts = {lane.name: lane.timeout for lane in limits.lanes}

    async def call(arrival: Arrival) -> None:
        await asyncio.sleep(began + arrival.time - now())
        try:
            permit = await throttle.enter(arrival.lane)
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
        {"rate": {"cap": 20, "per": "4s"}},
        {"rate": {"cap": 20, "per": "4s"}, "queue": {"max_depth": 15, "max_wait": "30s"}},
        {"rate": {"cap": 20, "per": "4s"}, "queue": {"max_depth": 1000, "max_wait": "3s"}},
        {"rate": {"cap": 1000, "per": "4s"}},
        {"rate": {"cap": 20, "per": "4s"}, "pace": {"cap": 3, "per": "700ms"}},
    ],
)
def test_it_decides_as_the_throttle_does(seed: int, changes: dict[str, Any]) -> None:
    """given a trace, when the gateway's own throttle serves it in virtual time, then the same calls are refused, and the
    waits are those of the simulation but for the loop's shortest timer."""
    limits = policy(lanes=LANES, **changes)
    arrivals = trace(seed, 8.0, 40.0, "long", "default", "default")
    recorder = Recorder()
    virtual(performed)(limits, arrivals, recorder)
    tally = simulated(limits, arrivals)
    found = tally.total()
    told = {reason.replace("-", "_"): count for reason, count in found.refused.items()}
    assert {each: recorder.outcomes.count(each) for each in set(recorder.outcomes) - {"ok"}} == told
    waits = sorted(wait for lane in tally._lanes.values() for wait in lane.waits)
    assert waits == pytest.approx(sorted(recorder.waits), abs=0.05)


@virtual
async def test_the_bucket_is_that_of_aiolimiter() -> None:
    """Drops asked for one after the other, with pauses between them, come at the moments at which aiolimiter's come."""
    for cap, per in ((3.0, 1.0), (1.0, 0.7), (2.5, 1.0)):
        limiter, bucket = AsyncLimiter(cap, per), Bucket(PaceSettings(cap=cap, per=per))
        for pause in (0.0, 0.0, 0.0, 0.0, 0.1, 0.5, 0.0, 5.0, 0.0, 0.0, 0.0, 0.2):
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
)
def test_no_window_is_over_the_cap_and_no_call_is_lost(
    calls: list[tuple[float, str, float]], cap: int, depth: int, replicas: int
) -> None:
    """Whatever comes, each replica keeps the cap, every call is served or refused, and none waits past `max_wait`."""
    limits = policy(lanes=LANES, rate={"cap": cap, "per": "2s"}, queue={"max_depth": depth, "max_wait": "5s"})
    tally = simulated(limits, [Arrival(*call) for call in sorted(calls)], replicas)
    use = tally.use(cap * replicas, 2.0, 2.05)
    total = tally.total()
    assert use.busiest <= use.allowed
    assert 0 <= use.share <= 1 + 1e-9
    assert total.calls == len(calls) == total.served + sum(total.refused.values())
    assert total.longest is None or total.longest <= 5.0


def test_a_full_queue_and_a_wait_that_is_too_long_are_refused() -> None:
    """Of ten at once against one a minute: one goes, as many wait as may, and what cannot be served in time is told."""
    limits = policy(lanes=LANES[1:], rate={"cap": 1, "per": "60s"}, queue={"max_depth": 1, "max_wait": "150s"})
    arrivals = [Arrival(0.0, "default", 0.1)] * 10
    assert simulated(limits, arrivals).total().refused == {"queue-full": 6, "queue-timeout": 1}


def test_a_call_longer_than_its_lanes_timeout_ends_there() -> None:
    """Its permit is free again after the timeout, and it is counted."""
    limits = policy(lanes=[{"name": "default", "concurrency": 1, "timeout": "2s"}])
    found = simulated(limits, [Arrival(0.0, "default", 9.0), Arrival(0.0, "default", 2.0)]).total()
    assert (found.timed_out, found.longest) == (1, 2.0)


def test_replicas_take_turns_and_each_has_its_own_limits() -> None:
    """With `scope: pod` three replicas let three times the cap through."""
    limits = policy(lanes=LANES[1:], rate={"cap": 2, "per": "60s"})
    tally = simulated(limits, [Arrival(0.0, "default", 0.0)] * 9, replicas=3)
    assert tally.use(6, 60.0, 60.05).busiest == 6
    assert tally.total().longest == pytest.approx(60.05)


def test_the_same_seed_gives_the_same_run() -> None:
    """Two runs of one seed are alike to the last figure; another seed gives another run."""
    limits = policy(20, "4s")
    runs = [simulated(limits, list(Draw(seed, 0.3).poisson(6.0, 60.0, "default"))) for seed in (7, 7, 8)]
    figures = [run.total() for run in runs]
    assert figures[0] == figures[1] != figures[2]
    assert runs[0].slices(10) == runs[1].slices(10)
