"""The throttle on the event loop, in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from itertools import pairwise, product

import pytest

from gateway.errors import GatewayError
from gateway.throttle.throttler import LaneSnapshot, Snapshot, Throttle
from tests.support.virtual import LoopClock, VirtualLoop, virtual
from tests.throttle.samples import Recorder, busiest, now, policy, settle


async def pass_through(throttle: Throttle, writes: list[float], hold: float = 0.0, connect: float = 0.0) -> None:
    call = await throttle.enter("default")
    try:
        await asyncio.sleep(connect)
        await throttle.dispatch(call)
        writes.append(now())
        await asyncio.sleep(hold)
        throttle.leave(call, "ok")
    finally:
        throttle.leave(call, "cancelled")


@virtual
async def test_a_stalled_loop_spends_the_slot_and_asks_for_another() -> None:
    """Given a loop that stalls for longer than the guard between the grant and the waking of the call, when it wakes,
    then the slot stays counted, and the call goes with the next one."""
    throttle, writes = Throttle(policy(2, "1s"), clock=LoopClock()), []
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    began = now()
    await pass_through(throttle, writes)
    await asyncio.sleep(0.5)
    await pass_through(throttle, writes)

    def stall() -> None:
        loop.now += 0.2

    loop.call_at(began + 1.05 + 5e-10, stall)  # in the same turn as the throttle's own timer, and after it
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(pass_through(throttle, writes))
    # Slots were taken at 0 and 0.5, and at 1.05 in vain; the next one is free when that of 0.5 has aged out.
    assert writes[2] - began == pytest.approx(1.55, abs=0.01)
    assert throttle.snapshot().used_ratio == 1.0


@virtual
async def test_pace_spreads_the_calls() -> None:
    """Given a pace of eight a second, when 48 calls come at once, then after a burst of eight they leave evenly, in
    the order in which they came."""
    # Eight: in virtual time nothing heals a rounding, so the bucket's sums have to be exact.
    settings = policy(600, "60s", concurrency=100, pace={"cap": 8, "per": "1s"})
    throttle = Throttle(settings, clock=LoopClock())
    order: list[int] = []
    times: list[float] = []

    async def one(number: int) -> None:
        await pass_through(throttle, times)
        order.append(number)

    async with asyncio.TaskGroup() as running:
        runner = running.create_task(throttle.run())
        async with asyncio.TaskGroup() as calls:
            for number in range(48):
                calls.create_task(one(number))
        runner.cancel()
    assert order == list(range(48))
    assert times[-1] - times[0] == pytest.approx(5.0, abs=0.2)
    assert busiest(times, 1.0) <= 17
    gaps = [later - earlier for earlier, later in pairwise(times[8:])]
    assert max(gaps) == pytest.approx(0.125, abs=0.01)


@virtual
async def test_a_newcomer_does_not_overtake_at_the_bucket() -> None:
    """Given calls that wait for the leaky bucket, when another comes just as it drips, then it goes last; and one that
    leaves the line costs the others nothing."""
    throttle = Throttle(policy(pace={"cap": 0.5, "per": "1s"}), clock=LoopClock())
    order: list[str] = []

    async def one(name: str) -> None:
        await pass_through(throttle, [])
        order.append(name)

    async with asyncio.TaskGroup() as tasks:
        runner = tasks.create_task(throttle.run())
        running = []
        for name in ("a", "b", "c", "d"):
            running.append(tasks.create_task(one(name)))
            await settle()
        running[1].cancel()
        await asyncio.sleep(2.0)
        running.append(tasks.create_task(one("newcomer")))
        await asyncio.wait(running)
        runner.cancel()
    assert order == ["a", "c", "d", "newcomer"]


def scenario(throttle: Throttle, writes: list[float]) -> list[Callable[[], asyncio.Task[None]]]:
    """Five calls on two permits and two slots a second, so that a call can be met in every state."""
    return [
        lambda: asyncio.get_running_loop().create_task(pass_through(throttle, writes, hold=0.4, connect=0.1))
        for _ in range(5)
    ]


@pytest.mark.parametrize(("victim", "step"), list(product(range(5), range(0, 40))))
@virtual
async def test_cancellation_at_every_moment_leaks_nothing(victim: int, step: int) -> None:
    """Given calls in every state, when any one is cancelled at any moment, also just as it is granted something, then
    the others are served, no permit and no slot is lost, and each call is reported once."""
    recorder, writes = Recorder(), []
    throttle = Throttle(policy(2, "1s", concurrency=2), emit=recorder, clock=LoopClock())
    tasks = [make() for make in scenario(throttle, writes)]
    moments = [0.0, 0.1, 0.5, 1.05, 1.15, 1.55, 2.1, 2.2]
    loop = asyncio.get_running_loop()
    # Cancelled at the moment itself, before and after what else happens then, and up to three turns of the loop later.
    moment, turns = moments[step // 5], step % 5

    def cancel(left: int) -> None:
        if left:
            loop.call_soon(cancel, left - 1)
        else:
            tasks[victim].cancel()

    loop.call_at(loop.time() + moment, cancel, turns)
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert [result for place, result in enumerate(results) if place != victim] == [None] * 4
    assert len(writes) >= 4
    assert busiest(writes, 1.0) <= 2
    assert sorted(recorder.outcomes) == sorted(["cancelled" if r is not None else "ok" for r in results])
    [lane] = throttle.snapshot().lanes
    assert (lane.depth, lane.in_flight) == (0, 0)
    # What still counts is what was written, and nothing else.
    assert throttle.snapshot().used_ratio * 2 == sum(now() < written + 1.05 for written in writes)


@virtual
async def test_a_long_call_does_not_keep_the_next_from_its_slot() -> None:
    """Given a slot a second and a call that runs for long, when others wait, then each goes when its slot is free."""
    throttle, writes, began = Throttle(policy(1, "1s"), clock=LoopClock()), [], now()
    async with asyncio.TaskGroup() as tasks:
        for _ in range(4):
            tasks.create_task(pass_through(throttle, writes, hold=50.0))
    assert [at - began for at in writes] == pytest.approx([0.0, 1.05, 2.1, 3.15], abs=0.01)


@virtual
async def test_a_call_cancelled_as_its_slot_is_granted_gives_it_back() -> None:
    """Given a slot granted in this turn of the loop, when its call is cancelled before it wakes, then the next call
    gets the slot at once."""
    throttle, writes = Throttle(policy(1, "10s", concurrency=2), clock=LoopClock()), []
    loop = asyncio.get_running_loop()
    began = now()
    await pass_through(throttle, writes)
    first = loop.create_task(pass_through(throttle, writes))
    second = loop.create_task(pass_through(throttle, writes))
    loop.call_at(began + 10.05, first.cancel)
    await asyncio.wait([first, second])
    assert first.cancelled()
    assert [at - began for at in writes] == pytest.approx([0.0, 10.05], abs=0.01)


@virtual
async def test_closing_turns_away_all_that_wait_and_lets_the_rest_finish() -> None:
    """Given calls in line, waiting for a slot, connecting and running, when the time to drain is over, then those not
    dispatched are told `shutting-down`, newcomers too, and what was dispatched ends by itself."""
    recorder, writes = Recorder(), []
    throttle = Throttle(policy(1, "20s", concurrency=2), emit=recorder, clock=LoopClock())
    loop = asyncio.get_running_loop()
    running = loop.create_task(pass_through(throttle, writes, hold=5.0))
    await settle()
    others = [loop.create_task(pass_through(throttle, writes)) for _ in range(3)]
    await settle()
    throttle.close()
    others.append(loop.create_task(pass_through(throttle, writes)))
    results = await asyncio.gather(*others, return_exceptions=True)
    assert [error.code for error in results if isinstance(error, GatewayError)] == ["shutting-down"] * 4
    await running
    assert recorder.outcomes == ["cancelled"] * 4 + ["ok"]
    assert [lane.in_flight for lane in throttle.snapshot().lanes] == [0]


@virtual
async def test_closing_refuses_a_call_that_was_connecting() -> None:
    """Given an admitted call that obtains its connection, when the throttle is closed, then it gets no slot."""
    throttle, writes = Throttle(policy(), clock=LoopClock()), []
    task = asyncio.get_running_loop().create_task(pass_through(throttle, writes, connect=1.0))
    await settle()
    throttle.close()
    with pytest.raises(GatewayError, match="shutting-down"):
        await task
    assert not writes
    assert throttle.snapshot().used_ratio == 0.0


@virtual
async def test_the_deadline_holds_in_line_and_for_the_slot() -> None:
    """Given a `max_wait` of 5 s, when permits or slots are taken for longer, then the calls are refused at that moment,
    and told when to come back."""
    settings = policy(3, "5s", concurrency=2, queue={"max_wait": "5s"})
    recorder, writes, began = Recorder(), [], now()
    throttle = Throttle(settings, emit=recorder, clock=LoopClock())
    loop = asyncio.get_running_loop()
    long = [loop.create_task(pass_through(throttle, writes, hold=8.0)) for _ in range(2)]
    await settle()
    waiting = loop.create_task(pass_through(throttle, writes))
    with pytest.raises(GatewayError) as refused:
        await waiting
    assert refused.value.code == "queue-timeout"
    assert refused.value.retry_after is not None
    assert refused.value.retry_after >= 1
    assert now() - began == pytest.approx(5.0, abs=0.01)
    await asyncio.gather(*long)
    assert sorted(recorder.outcomes) == ["ok", "ok", "queue_timeout"]


@virtual
async def test_a_hundred_thousand_waiting_calls_need_one_timer() -> None:
    """Given 100,000 waiting calls, when all but the last leave in a bad order, then one timer has stood for them
    all, and the last one is served."""
    settings = policy(100_001, "60s", concurrency=1, queue={"max_depth": 100_000, "max_wait": "70s"})
    throttle, writes = Throttle(settings, clock=LoopClock()), []
    loop = asyncio.get_running_loop()
    began = now()
    first = loop.create_task(pass_through(throttle, writes, hold=30.0))
    await settle()
    entering = [throttle.enter("default") for _ in range(100_000)]
    tasks = [loop.create_task(one) for one in entering]
    await settle()
    assert throttle.snapshot().lanes[0].depth == 100_000
    assert len(loop._scheduled) == 2  # type: ignore[attr-defined]  # the throttle's, and the first call's sleep
    for task in tasks[-2::-1]:
        task.cancel()
    await asyncio.wait(tasks[:-1])
    call = await tasks[-1]
    assert now() - began == pytest.approx(30.0, abs=0.01)
    throttle.leave(call, "ok")
    await first


@virtual
async def test_the_snapshot_tells_the_state() -> None:
    """A snapshot names each lane's line, permits and limit, and how much of the window is used."""
    throttle, writes = Throttle(policy(4, concurrency=2), clock=LoopClock()), []
    loop = asyncio.get_running_loop()
    tasks = [loop.create_task(pass_through(throttle, writes, hold=1.0)) for _ in range(5)]
    await settle()
    assert throttle.snapshot() == Snapshot("whmcs", (LaneSnapshot("default", 3, 2, 2),), 4, 0.5)
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
