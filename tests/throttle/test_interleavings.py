"""The throttle on the event loop under generated arrivals, cancellations, pauses and reloads, in virtual time."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.errors import GatewayError
from gateway.throttle.line import AGEING, Priority
from gateway.throttle.throttler import Throttle
from tests.support.virtual import LoopClock, virtual
from tests.throttle.samples import Recorder, busiest, now, policy

# Multiples of 1/8, so that events meet at the same moment often.
moments = st.integers(0, 40).map(lambda n: n / 8)
LANES = ("long", "default")


@dataclass(frozen=True)
class Visit:
    """One call: when it comes, what it asks for, how long it connects and runs, and when it is cancelled, if it is:
    that many turns of the loop after that moment."""

    at: float
    lane: str
    tenant: str
    priority: Priority
    connect: float
    hold: float
    deadline: float | None
    cancelled: tuple[float, int] | None


visits = st.builds(
    Visit,
    at=moments,
    lane=st.sampled_from(LANES),
    tenant=st.sampled_from(["", "t", "u"]),
    priority=st.sampled_from(list(AGEING)),
    connect=st.sampled_from([0.0, 0.125, 0.5]),
    hold=st.sampled_from([0.0, 0.25, 2.0]),
    deadline=st.none() | moments,
    cancelled=st.none() | st.tuples(moments, st.integers(0, 6)),
)
limits = st.tuples(
    st.integers(1, 4), st.integers(1, 3), st.integers(1, 3), st.integers(2, 12), st.none() | st.integers(1, 4)
)


def limited(numbers: tuple[int, int, int, int, int | None]) -> Any:
    cap, long, default, depth, budget = numbers
    match = [{"header": {"X-Gateway-Lane": "long"}}]
    return policy(
        cap,
        "1s",
        lanes=[
            {"name": "long", "match": match, "concurrency": long, "timeout": "60s"},
            {"name": "default", "concurrency": default, "timeout": "30s"},
        ],
        queue={"max_depth": depth, "max_wait": "4s"},
        long_calls=budget and {"limit": budget, "after": "1s"},
    )


async def pass_through(throttle: Throttle, visit: Visit, writes: list[float]) -> None:
    deadline = None if visit.deadline is None else now() + visit.deadline
    call = await throttle.enter(visit.lane, tenant=visit.tenant, priority=visit.priority, deadline=deadline)
    try:
        await asyncio.sleep(visit.connect)
        await throttle.dispatch(call)
        writes.append(now())
        await asyncio.sleep(visit.hold)
        throttle.leave(call, "ok")
    finally:
        throttle.leave(call, "cancelled")


@settings(max_examples=300, deadline=None)
@given(
    limits,
    st.lists(visits, max_size=14),
    st.lists(st.tuples(moments, st.sampled_from(LANES), moments), max_size=2),
    st.lists(st.tuples(moments, limits), max_size=2),
)
def test_nothing_leaks_whatever_happens_when(
    first: tuple[int, int, int, int, int | None],
    calls: list[Visit],
    pauses: list[tuple[float, str, float]],
    reloads: list[tuple[float, tuple[int, int, int, int, int | None]]],
) -> None:
    """Given calls that come, give up, are cancelled at any await, are paused and see the limits change, then every one
    of them ends and is reported once, no permit and no slot is left over, and no window holds more than its cap."""

    @virtual
    async def run() -> None:
        recorder, writes, loop = Recorder(), [], asyncio.get_running_loop()
        throttle = Throttle(limited(first), emit=recorder, clock=LoopClock())
        began = now()
        for at, lane, seconds in pauses:
            loop.call_at(began + at, throttle.pause, lane, seconds)
        for at, numbers in reloads:
            loop.call_at(began + at, throttle.adapt, limited(numbers))

        async def come(visit: Visit) -> None:
            await asyncio.sleep(visit.at)
            came.append(visit)
            await pass_through(throttle, visit, writes)

        def cancel(task: asyncio.Task[None], turns: int) -> None:
            if turns:
                loop.call_soon(cancel, task, turns - 1)
            else:
                task.cancel()

        came: list[Visit] = []
        tasks = [loop.create_task(come(visit)) for visit in calls]
        for task, visit in zip(tasks, calls, strict=True):
            if visit.cancelled is not None:
                loop.call_at(began + visit.cancelled[0], cancel, task, visit.cancelled[1])
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(result is None or isinstance(result, asyncio.CancelledError | GatewayError) for result in results), (
            results
        )
        assert len(recorder.outcomes) == len(came)
        assert recorder.outcomes.count("ok") == results.count(None)
        assert all((lane.depth, lane.in_flight) == (0, 0) for lane in throttle.snapshot().lanes)
        snapshot = throttle.snapshot()
        counting = sum(now() < written + 1.05 for written in writes)
        assert round(snapshot.used_ratio * snapshot.cap) == counting
        assert busiest(writes, 1.0) <= max(first[0], *(numbers[0] for _, numbers in reloads), 0)

    run()
