"""Cases 3 to 12, 19, 21, 22 and 27 of a queue in front of a vendor, through the layer in virtual time."""

from __future__ import annotations

import asyncio

import pytest

from gateway.errors import GatewayError
from gateway.exchange import Exchange, Headers
from gateway.throttle.call import Call
from gateway.throttle.layer import ThrottleLayer
from tests.support.virtual import virtual
from tests.throttle.samples import Recorder, Vendor, busiest, call, idle, layer, now, policy, schedule, settle, together

LANES = [
    {"name": "long", "match": [{"header": {"X-Gateway-Lane": "long"}}], "concurrency": 22, "timeout": "600s"},
    {"name": "default", "concurrency": 15, "timeout": "30s"},
]
FAIR = {"max_depth": 20_000, "max_wait": "10m", "fair_by": "X-Gateway-Tenant"}


async def send(through: ThrottleLayer, vendor: Vendor, target: bytes, headers: Headers) -> None:
    reply = await through.handle(Exchange("GET", target, headers), vendor)
    await reply.body.aclose()


@virtual
async def test_case_03_the_sixteenth_call_waits() -> None:
    """given 15 slots / when 40 calls come / then 15 run at most, and the others go first in, first out."""
    vendor, through = Vendor(answer=1.0), layer(policy(), Recorder())
    await asyncio.gather(*(call(through, vendor, b"/%d" % number) for number in range(40)))
    assert vendor.most == 15
    assert vendor.targets == [b"/%d" % number for number in range(40)]


@virtual
async def test_case_04_the_queue_is_full() -> None:
    """given a full queue / when a call comes / then 503 with Retry-After at once, and the vendor is untouched."""
    vendor = Vendor(answer=9.0)
    through = layer(policy(concurrency=1, queue={"max_depth": 1}), Recorder())
    running = asyncio.get_running_loop().create_task(together(2, lambda: call(through, vendor)))
    await settle()
    began = now()
    with pytest.raises(GatewayError) as refused:
        await call(through, vendor)
    assert (refused.value.code, refused.value.status, now()) == ("queue-full", 503, began)
    assert refused.value.retry_after is not None
    await running
    assert len(vendor.writes) == 2


@virtual
async def test_case_05_the_deadline_passes() -> None:
    """given a permit that does not come back / when `max_wait` has passed / then 503, and the vendor is untouched."""
    vendor = Vendor(answer=20.0)
    through = layer(policy(concurrency=1, queue={"max_wait": "5s"}), Recorder())
    running = asyncio.get_running_loop().create_task(call(through, vendor))
    await settle()
    began = now()
    with pytest.raises(GatewayError, match="queue-timeout"):
        await call(through, vendor)
    assert now() - began == pytest.approx(5.0, abs=0.01)
    await running
    assert len(vendor.writes) == 1


@virtual
async def test_case_05_a_repeated_call_keeps_its_first_deadline() -> None:
    """given a call that is made again behind calls with later deadlines / when its first one passes / then it is
    refused then, and the others go on waiting."""
    vendor = Vendor(answer=20.0)
    through = layer(policy(concurrency=1, queue={"max_wait": "50s"}), Recorder())
    running = asyncio.get_running_loop().create_task(together(3, lambda: call(through, vendor)))
    await settle()
    exchange, began = Exchange("GET", b"/again", [], queue_deadline=now() + 7.0), now()
    with pytest.raises(GatewayError, match="queue-timeout"):
        await through.handle(exchange, vendor)
    assert now() - began == pytest.approx(7.0, abs=0.01)
    assert await running == [b"answer"] * 3
    await send(through, vendor, b"/", [])
    first = Exchange("GET", b"/", [])
    began = now()
    await (await through.handle(first, vendor)).body.aclose()
    assert first.queue_deadline == began + 50.0


@virtual
async def test_case_06_a_waiter_disconnects() -> None:
    """given a waiting call / when its client goes away / then it is out of the line and no permit is used."""
    vendor = Vendor(answer=5.0)
    through = layer(policy(concurrency=1), Recorder())
    loop = asyncio.get_running_loop()
    tasks = [loop.create_task(call(through, vendor, b"/%d" % number)) for number in range(3)]
    await settle()
    tasks[1].cancel()
    await asyncio.wait(tasks)
    assert vendor.targets == [b"/0", b"/2"]
    assert idle(through, used=2)


@virtual
async def test_case_07_a_running_calls_client_disconnects() -> None:
    """given a running call / when its client goes away / then its permit is free, once, and its slot stays spent."""
    recorder, vendor = Recorder(), Vendor(answer=60.0)
    through = layer(policy(concurrency=1), recorder)
    task = asyncio.get_running_loop().create_task(call(through, vendor))
    await settle()
    task.cancel()
    await asyncio.wait([task])
    assert recorder.outcomes == ["cancelled"]
    assert idle(through, used=1)


@pytest.mark.parametrize("turns", range(12))
@virtual
async def test_case_08_a_cancel_races_a_grant(turns: int) -> None:
    """given a call that is let in as another ends / when it is cancelled around that moment / then nothing leaks and
    nothing is given back twice: the one behind it goes, and no more than one at a time."""
    vendor = Vendor(answer=1.0)
    through, loop = layer(policy(concurrency=1), Recorder()), asyncio.get_running_loop()
    tasks = [loop.create_task(call(through, vendor, b"/%d" % number)) for number in range(4)]
    await settle()

    def cancel(left: int) -> None:
        if left:
            loop.call_soon(cancel, left - 1)
        else:
            tasks[1].cancel()

    loop.call_at(now() + 1.0, cancel, turns)
    await asyncio.wait(tasks)
    assert vendor.most == 1
    assert not tasks[2].cancelled()
    assert tasks[3].result() == b"answer"
    assert idle(through)


@virtual
async def test_case_09_and_10_long_calls_keep_to_themselves() -> None:
    """given 22 long calls / when a short one comes, it runs at once / when a 23rd long one comes, it waits."""
    through, vendor, began = (
        layer(policy(600, lanes=LANES, queue={"max_wait": "10m"}), Recorder()),
        Vendor(answer=300.0),
        now(),
    )
    long = asyncio.get_running_loop().create_task(together(23, lambda: call(through, vendor, b"/long")))
    await settle()
    assert vendor.open == 22
    await call(through, Vendor())
    assert now() == began
    await long
    assert now() - began == pytest.approx(600.0, abs=0.01)


@virtual
async def test_case_11_short_calls_that_grow_long_leave_the_long_lane_less_room() -> None:
    """given a budget of 4 / when two calls of the short lane pass `after` / then only two long ones are let in, and
    each that ends lets another one in; what ran already is not recalled."""
    settings = policy(600, lanes=LANES, queue={"max_wait": "10m"}, long_calls={"limit": 4, "after": "5s"})
    through, short, long = layer(settings, Recorder()), Vendor(answer=20.0), Vendor(answer=100.0)
    loop = asyncio.get_running_loop()
    shorts = loop.create_task(together(2, lambda: call(through, short)))
    await asyncio.sleep(4.9)
    longs = loop.create_task(together(3, lambda: call(through, long, b"/long")))
    await asyncio.sleep(1.0)
    assert long.open == 3
    more = loop.create_task(together(2, lambda: call(through, long, b"/long")))
    await asyncio.sleep(10.0)
    assert long.open == 3
    await shorts
    await settle()
    assert long.open == 4
    await asyncio.gather(longs, more)
    assert long.most == 4


@virtual
async def test_case_12_a_call_hits_its_timeout() -> None:
    """given a lane's limit of 5 s / when the vendor does not answer / then 504, and the permit is free."""
    through = layer(policy(concurrency=1, timeout="5s"), Recorder())
    errors = await together(2, lambda: call(through, Vendor(answer=60.0)))
    assert [(e.code, e.status) for e in errors if isinstance(e, GatewayError)] == [("upstream-timeout", 504)] * 2
    assert idle(through, used=2)


@virtual
async def test_case_19_limits_are_lowered_live() -> None:
    """given ten calls at the vendor and ten waiting / when the limits are lowered to two / then none is ended, the
    others follow two at a time in their order, and the window of the new limits holds what was sent before."""
    vendor = Vendor(answer=1.0)
    through = layer(policy(300, concurrency=10), Recorder())
    tasks = asyncio.gather(*(call(through, vendor, b"/%d" % number) for number in range(20)))
    await settle()
    lowered = policy(11, "10s", concurrency=2)
    through.adapt(lowered, lambda exchange: "default")
    assert vendor.open == 10
    assert await tasks == [b"answer"] * 20
    assert vendor.targets == [b"/%d" % number for number in range(20)]
    assert busiest(vendor.writes, 10.0) <= 11
    assert idle(through)


@virtual
async def test_case_19_calls_of_a_lane_that_is_gone_are_served() -> None:
    """given calls that wait in a lane / when a reload takes the lane out / then the last lane serves them, and what
    was in flight ends where it was."""
    vendor = Vendor(answer=10.0)
    lanes = [{**LANES[0], "concurrency": 1}, LANES[1]]
    through = layer(policy(lanes=lanes), Recorder())
    tasks = asyncio.gather(*(call(through, vendor, b"/long") for _ in range(4)))
    await settle()
    assert vendor.open == 1
    through.adapt(policy(), lambda exchange: "default")
    await settle()
    assert vendor.open == 4
    assert await tasks == [b"answer"] * 4
    assert idle(through)


@virtual
async def test_case_21_a_tenant_that_floods() -> None:
    """given tenant A with 10,000 waiting / when B sends one / then it goes within one round."""
    vendor = Vendor(answer=1.0)
    through = layer(policy(100_000, concurrency=1, queue=FAIR, timeout="30s"), Recorder())
    loop = asyncio.get_running_loop()
    flood = [loop.create_task(send(through, vendor, b"/a", [(b"x-gateway-tenant", b"A")])) for _ in range(10_000)]
    await settle()
    await send(through, vendor, b"/b", [(b"X-Gateway-Tenant", b"B")])
    assert vendor.targets.index(b"/b") <= 2
    for task in flood:
        task.cancel()
    await asyncio.wait(flood)
    assert idle(through)


@virtual
async def test_case_22_priority_overtakes_and_starves_nobody() -> None:
    """given a low call in a line / when high ones come faster than they are served / then they overtake it for a
    quarter of `max_wait` and no longer; an unknown priority is a normal one."""
    vendor = Vendor(answer=1.0)
    through = layer(policy(100_000, concurrency=1, queue={"max_wait": "80s"}), Recorder())
    async with asyncio.TaskGroup() as tasks:
        for target, priority in ((b"/0", b"normal"), (b"/low", b"low"), (b"/odd", b"urgent"), (b"/high", b"HIGH")):
            tasks.create_task(send(through, vendor, target, [(b"X-Gateway-Priority", priority)]))
            await settle()
        for _ in range(30):
            tasks.create_task(send(through, vendor, b"/high", [(b"x-gateway-priority", b"high")]))
            await asyncio.sleep(0.9)
    assert vendor.targets[1] == b"/high"
    assert 20.0 <= vendor.writes[vendor.targets.index(b"/low")] - vendor.writes[0] <= 26.0
    assert 10.0 <= vendor.writes[vendor.targets.index(b"/odd")] - vendor.writes[0] <= 14.0


@pytest.mark.parametrize("waiting", [1_000, 100_000])
def test_case_27_a_long_line(waiting: int) -> None:
    """given 100,000 that wait, of many tenants and all priorities / when some leave and the others are served / then
    the line is empty at the end and keeps nothing."""
    plan = schedule(cap=waiting, depth=waiting, wait=1e9, default=1)
    first = plan.arrive(0.0, "default")
    assert isinstance(first, Call)
    priorities = ("high", "normal", "low")
    calls = [plan.arrive(0.0, "default", tenant=str(n % 97), priority=priorities[n % 3]) for n in range(waiting)]
    for left in calls[1::2]:
        assert isinstance(left, Call)
        plan.leave(1.0, left)
    running, served = [first], 0
    while running:
        assert plan.ask(1.0, running[0])
        plan.leave(1.0, running.pop())
        running += plan.admit(1.0)
        plan.next_event(1.0)
        served += 1
    assert served == waiting // 2 + 1
    assert plan.depth == plan.lanes["default"].waiting.size == 0
    assert len(plan._deadlines) == 0


@virtual
async def test_a_pause_holds_a_lane_and_no_other() -> None:
    """given calls in line and one that connects / when the upstream asks for a pause of their lane / then none goes
    before it ends, and the other lane is served."""
    began, long, default = now(), Vendor(connect=1.0), Vendor()
    through = layer(policy(lanes=LANES), Recorder())
    loop = asyncio.get_running_loop()
    first = loop.create_task(call(through, long, b"/long"))
    await settle()
    through.throttle.pause("long", 30.0)
    others = loop.create_task(together(3, lambda: call(through, long, b"/long")))
    await call(through, default)
    assert default.writes == [began]
    await asyncio.gather(first, others)
    assert [at - began for at in long.writes] == pytest.approx([30.0, 31.0, 31.0, 31.0], abs=0.01)
    assert idle(through)
