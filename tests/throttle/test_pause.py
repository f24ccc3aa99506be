"""An upstream that asks to be left alone for a while."""

from __future__ import annotations

import asyncio
from email.utils import formatdate

import pytest

from gateway.exchange import Exchange, Reply
from gateway.throttle.layer import ThrottleLayer
from tests.support.virtual import LoopClock, virtual
from tests.throttle.samples import Recorder, Vendor, call, idle, layer, now, policy, settle, together


def busy(vendor: Vendor, status: int, value: bytes) -> object:
    """Answer `status` with a `Retry-After` once, then as the vendor does."""
    told = False

    async def forward(exchange: Exchange) -> Reply:
        nonlocal told
        reply = await vendor(exchange)
        if not told:
            told, reply.status, reply.headers = True, status, [(b"Retry-After", value)]
        return reply

    return forward


def jittered(through: ThrottleLayer, part: float) -> ThrottleLayer:
    through._random = lambda: part
    return through


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize("form", ["seconds", "date"])
@pytest.mark.parametrize(("part", "expected"), [(0.0, 30.0), (0.5, 31.5)])
def test_case_23_the_lane_pauses_with_jitter(status: int, form: str, part: float, expected: float) -> None:
    """Given an answer that asks for 30 s, in either form, then the calls behind it go when that is over, each replica
    a little later than the other, and other lanes go on."""

    @virtual
    async def scenario() -> None:
        lanes = [{"name": "long", "match": [{"header": {"X": "y"}}], "concurrency": 2, "timeout": "600s"}]
        lanes.append({"name": "default", "concurrency": 2, "timeout": "600s"})
        vendor, clock = Vendor(), LoopClock()
        through = jittered(layer(policy(lanes=lanes), Recorder()), part)
        value = b"30" if form == "seconds" else formatdate(clock.wall() + 30.0, usegmt=True).encode()
        began = now()
        await call(through, busy(vendor, status, value))
        behind = asyncio.get_running_loop().create_task(together(4, lambda: call(through, vendor)))
        await settle()
        await call(through, vendor, b"/long")
        assert now() == began
        await behind
        assert [time - began for time in vendor.writes[2:]] == pytest.approx([expected] * 4, abs=0.01)
        assert idle(through)

    scenario()


@virtual
async def test_a_call_that_has_its_connection_already_waits_as_well() -> None:
    """Given a call with a permit that is about to connect, when the pause begins, then it is not written before its
    end."""
    slow, vendor = Vendor(connect=1.0), Vendor()
    through = jittered(layer(policy(), Recorder()), 0.0)
    began = now()
    connecting = asyncio.get_running_loop().create_task(call(through, slow))
    await settle()
    await call(through, busy(vendor, 503, b"10"))
    await connecting
    assert slow.writes[0] - began == pytest.approx(10.0, abs=0.01)


@pytest.mark.parametrize(("status", "value"), [(200, b"30"), (500, b"30"), (503, b"soon"), (503, b"0")])
def test_other_answers_pause_nothing(status: int, value: bytes) -> None:
    """Only 429 and 503 are read, and what makes no sense or asks for no time changes nothing."""

    @virtual
    async def scenario() -> None:
        vendor = Vendor()
        through = layer(policy(), Recorder())
        began = now()
        await call(through, busy(vendor, status, value))
        await call(through, vendor)
        assert now() == began

    scenario()


@virtual
async def test_a_shorter_pause_does_not_end_a_longer_one() -> None:
    """Of several wishes the longest counts."""
    through = jittered(layer(policy(), Recorder()), 0.0)
    began, vendor = now(), Vendor(answer=0.0)
    await asyncio.gather(call(through, busy(vendor, 503, b"30")), call(through, busy(vendor, 429, b"5")))
    await call(through, vendor)
    assert now() - began == pytest.approx(30.0, abs=0.01)


@virtual
async def test_the_first_deadline_is_kept() -> None:
    """The first attempt sets until when the exchange may wait, and a pause that ends later is not waited for."""
    vendor = Vendor()
    through = jittered(layer(policy(queue={"max_wait": "20s"}), Recorder()), 0.0)
    exchange = Exchange("GET", b"/")
    assert through.in_time(exchange)
    began = now()
    reply = await through.handle(exchange, busy(vendor, 503, b"15"))
    await reply.body.aclose()
    assert exchange.queue_deadline == began + 20.0
    assert through.in_time(exchange)
    await asyncio.sleep(1.0)
    reply = await through.handle(exchange, busy(vendor, 503, b"15"))
    await reply.body.aclose()
    assert exchange.queue_deadline == began + 20.0
    assert not through.in_time(exchange)
    later = Exchange("GET", b"/", queue_deadline=began)
    assert not through.in_time(later), "a deadline that has passed leaves no time, paused or not"
