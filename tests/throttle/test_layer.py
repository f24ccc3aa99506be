"""The throttle as a layer: the cases of the contract, in virtual time."""

from __future__ import annotations

import asyncio

import pytest

from gateway.errors import GatewayError
from gateway.exchange import Buffered, Exchange, Failure, Reply
from gateway.throttle.layer import ThrottleLayer
from tests.support.virtual import virtual
from tests.throttle.samples import Recorder, Vendor, call, idle, layer, now, policy, settle, together


def two_lanes() -> list[dict[str, object]]:
    match = [{"header": {"X-Gateway-Lane": "long"}}]
    return [
        {"name": "long", "match": match, "concurrency": 22, "timeout": "600s"},
        {"name": "default", "concurrency": 15, "timeout": "30s"},
    ]


@virtual
async def test_the_sixteenth_call_waits_and_the_order_is_that_of_arrival() -> None:
    """Given 15 permits, when 40 calls come, then 15 are at the vendor at most, and they go in the order they came."""
    vendor = Vendor(answer=1.0)
    through = layer(policy(), Recorder())
    await asyncio.gather(*(call(through, vendor, b"/%d" % number) for number in range(40)))
    assert vendor.most == 15
    assert vendor.targets == [b"/%d" % number for number in range(40)]


@virtual
async def test_a_full_queue_answers_at_once_and_says_when_to_come_back() -> None:
    """Given a queue of two that is full, when a call comes, then it is refused with the estimated wait in whole
    seconds, and the vendor sees nothing of it."""
    recorder, vendor = Recorder(), Vendor()
    through = layer(policy(1, "10s", queue={"max_depth": 2}), recorder)
    await call(through, vendor)
    began = now()
    calls = asyncio.get_running_loop().create_task(together(3, lambda: call(through, vendor)))
    await settle()
    with pytest.raises(GatewayError) as refused:
        await call(through, vendor)
    assert (refused.value.code, refused.value.status) == ("queue-full", 503)
    assert refused.value.retry_after == 41.0  # after four slots, each of 10.05 s
    assert now() == began
    assert await calls == [b"answer"] * 3
    assert len(vendor.writes) == 4
    assert recorder.outcomes.count("queue_full") == 1


@virtual
async def test_an_estimate_is_at_least_a_second() -> None:
    """When the wait would be a moment, the client is told one second."""
    through = layer(policy(concurrency=1, timeout="5s", queue={"max_depth": 0}), Recorder())
    vendor = Vendor(answer=1.0)
    running = asyncio.get_running_loop().create_task(call(through, vendor))
    await settle()
    with pytest.raises(GatewayError) as refused:
        await call(through, vendor)
    assert refused.value.retry_after == 1.0
    await running


@virtual
async def test_an_estimate_before_anything_has_ended_assumes_a_tenth_of_the_lanes_timeout() -> None:
    """Given calls that never end and a full queue, then the refused are not told to come back at once."""
    through = layer(policy(concurrency=1, timeout="600s", queue={"max_depth": 1, "max_wait": "20m"}), Recorder())
    calls = asyncio.get_running_loop().create_task(together(2, lambda: call(through, Vendor(answer=500.0))))
    await settle()
    with pytest.raises(GatewayError) as refused:
        await call(through, Vendor())
    assert refused.value.retry_after == 120.0
    await calls


@virtual
async def test_a_slot_that_could_not_be_used_is_given_back_and_the_wait_is_told_once() -> None:
    """Given an upstream whose connection is gone when the slot comes, then it asks again and gets the same slot."""
    recorder = Recorder()
    through = layer(policy(1, "60s"), recorder)

    async def forward(exchange: Exchange) -> Reply:
        assert exchange.before_send is not None
        assert exchange.on_unsent is not None
        await exchange.before_send()
        exchange.on_unsent()
        assert through.throttle.snapshot().used_ratio == 0
        await asyncio.sleep(100)  # connecting counts against no limit of the lane
        await exchange.before_send()
        return Reply(200)

    reply = await through.handle(Exchange("GET", b"/"), forward)
    await reply.body.aclose()
    assert recorder.outcomes == ["ok"]
    assert len(recorder.waits) == 1
    assert through.throttle.snapshot().used_ratio == 1


@virtual
async def test_a_slot_that_is_too_far_off_is_told_at_arrival() -> None:
    """Given that the earliest slot lies past `max_wait`, when a call comes, then it is refused at once."""
    recorder, vendor = Recorder(), Vendor()
    through = layer(policy(1, "60s", queue={"max_wait": "30s"}), recorder)
    await call(through, vendor)
    began = now()
    with pytest.raises(GatewayError) as refused:
        await call(through, vendor)
    assert (refused.value.code, refused.value.retry_after) == ("queue-timeout", 61.0)
    assert now() == began
    assert recorder.outcomes == ["ok", "queue_timeout"]


@virtual
async def test_a_call_that_waited_long_enough_is_refused_and_the_vendor_untouched() -> None:
    """Given a permit that does not come back, when `max_wait` has passed, then the waiting call is told, having cost
    the vendor nothing."""
    recorder, vendor = Recorder(), Vendor(answer=20.0)
    through = layer(policy(concurrency=1, queue={"max_wait": "5s"}), recorder)
    running = asyncio.get_running_loop().create_task(call(through, vendor))
    await settle()
    exchange, began = Exchange("GET", b"/", []), now()
    with pytest.raises(GatewayError, match="queue-timeout"):
        await through.handle(exchange, vendor)
    assert now() - began == pytest.approx(5.0, abs=0.01)
    assert exchange.queue_seconds == now() - began
    await running
    assert len(vendor.writes) == 1
    assert sorted(recorder.outcomes) == ["ok", "queue_timeout"]
    assert idle(through, used=1)


@virtual
async def test_a_refusal_at_the_slot_is_told_whatever_the_upstream_makes_of_it() -> None:
    """Given a call with a connection that waits for a slot, when its deadline passes, then the client is told
    `queue-timeout`, also when the upstream wraps what it met."""

    async def wrapping(exchange: Exchange) -> Reply:
        try:
            return await vendor(exchange)
        except GatewayError as error:
            raise GatewayError("upstream-unreachable") from error

    recorder, vendor = Recorder(), Vendor()
    through = layer(policy(1, "10s", lanes=two_lanes(), queue={"max_wait": "11s"}), recorder)
    await call(through, vendor)
    began = now()
    rival = asyncio.get_running_loop().create_task(call(through, vendor, b"/long"))
    await settle()
    with pytest.raises(GatewayError, match="queue-timeout"):  # the slot of 10.05 s is the rival's
        await call(through, wrapping)
    assert now() - began == pytest.approx(11.0, abs=0.01)
    assert await rival == b"answer"
    assert recorder.outcomes == ["ok", "ok", "queue_timeout"]
    assert idle(through, used=1)


@virtual
async def test_a_waiter_that_disconnects_costs_nothing() -> None:
    """Given calls that wait in line and for a slot, when their clients go away, then no permit and no slot is used and
    those behind them move up."""
    recorder, vendor = Recorder(), Vendor()
    through = layer(policy(1, "10s", concurrency=2), recorder)
    await call(through, vendor)
    loop, began = asyncio.get_running_loop(), now()
    tasks = [loop.create_task(call(through, vendor, b"/%d" % number)) for number in range(5)]
    await settle()
    for task in tasks[:4]:
        task.cancel()
    await asyncio.wait(tasks)
    assert vendor.targets[1:] == [b"/4"]
    assert now() - began == pytest.approx(10.05, abs=0.01)
    assert recorder.outcomes == ["ok"] + ["cancelled"] * 4 + ["ok"]
    assert idle(through, used=1)


@virtual
async def test_long_calls_do_not_hold_up_short_ones() -> None:
    """Given 23 long calls on 22 permits, when a short one comes, then it runs at once, and the 23rd long one waits."""
    through, vendor = layer(policy(600, lanes=two_lanes(), queue={"max_wait": "10m"}), Recorder()), Vendor(answer=300.0)
    long = asyncio.get_running_loop().create_task(together(23, lambda: call(through, vendor, b"/long")))
    await settle()
    assert vendor.open == 22
    began = now()
    await call(through, Vendor())
    assert now() == began
    await long
    assert now() - began == pytest.approx(600.0, abs=0.01)


@virtual
async def test_a_call_that_hits_its_limit_before_the_header_section_is_a_504() -> None:
    """Given a lane's limit of 5 s, when the vendor does not answer, then the call ends 5 s after its dispatch, however
    long it waited before, and its permit is free."""
    recorder, vendor = Recorder(), Vendor(connect=2.0, answer=60.0)
    through = layer(policy(concurrency=1, timeout="5s"), recorder)
    began = now()
    errors = await together(2, lambda: call(through, vendor))
    assert [error.code for error in errors if isinstance(error, GatewayError)] == ["upstream-timeout"] * 2
    assert now() - began == pytest.approx(14.0, abs=0.01)
    assert recorder.outcomes == ["timeout"] * 2
    assert idle(through, used=2)


@virtual
async def test_a_call_that_cannot_connect_takes_no_slot() -> None:
    """Given a vendor that cannot be reached, when calls fail before they are written, then the window is untouched."""

    async def unreachable(exchange: Exchange) -> Reply:
        await asyncio.sleep(0.1)
        raise GatewayError("upstream-unreachable")

    recorder = Recorder()
    through = layer(policy(concurrency=2), recorder)
    errors = await together(6, lambda: call(through, unreachable))
    assert {error.code for error in errors if isinstance(error, GatewayError)} == {"upstream-unreachable"}
    assert recorder.outcomes == ["error"] * 6
    assert not recorder.waits
    assert idle(through, used=0)


@virtual
async def test_an_answer_that_never_asked_for_a_slot_takes_none() -> None:
    """Given something on the way that answers by itself, when the vendor is not asked, then no slot is spent and the
    permit comes back with the body."""

    async def answering(exchange: Exchange) -> Reply:
        return Reply(401, body=Buffered(b"no"))

    recorder = Recorder()
    through = layer(policy(concurrency=1), recorder)
    assert await call(through, answering) == b"no"
    assert recorder.outcomes == ["ok"]
    assert idle(through, used=0)


@virtual
async def test_a_request_that_is_written_again_takes_another_slot() -> None:
    """Given an upstream that writes a request twice, when it asks before each, then both count in the window."""

    async def twice(exchange: Exchange) -> Reply:
        assert exchange.before_send is not None
        await exchange.before_send()
        await asyncio.sleep(4.0)
        return await vendor(exchange)

    vendor = Vendor(answer=4.0)
    through = layer(policy(1, "10s", timeout="5s"), Recorder())
    began = now()
    assert await call(through, twice) == b"answer"
    assert now() - began == pytest.approx(14.05, abs=0.01)
    assert idle(through, used=1)


@pytest.mark.parametrize(
    ("status", "error", "outcome"),
    [
        (200, None, "ok"),
        (200, "error", "error"),
        (403, "unauthenticated", "error"),
        (429, None, "ok"),
        (500, None, "error"),
        (503, None, "error"),
        (200, GatewayError("upstream-unreachable"), "error"),
        (200, GatewayError("upstream-timeout"), "timeout"),
        (200, ValueError(), "error"),
    ],
)
def test_the_outcome_of_a_call(status: int, error: Exception | Failure | None, outcome: str) -> None:
    """Below 500 is `ok`; 5xx, an answer that tells of a failure, and what the upstream raised is `error`, or `timeout`
    when that is what it was."""

    @virtual
    async def scenario() -> None:
        async def answering(exchange: Exchange) -> Reply:
            reply = await vendor(exchange)
            if isinstance(error, Exception):
                raise error
            reply.failure = error or ""
            return reply

        recorder, vendor = Recorder(), Vendor()
        vendor.status = status
        through = layer(policy(), recorder)
        await together(1, lambda: call(through, answering))
        assert recorder.outcomes == [outcome]
        assert idle(through, used=1)

    scenario()


@virtual
async def test_the_time_in_line_and_for_the_slot_is_told() -> None:
    """The wait is reported with the dispatch, and kept with the exchange; connecting is the upstream's."""
    recorder, vendor = Recorder(), Vendor(connect=1.0)
    through = layer(policy(1, "10s", concurrency=1), recorder)
    first, second = Exchange("GET", b"/", []), Exchange("GET", b"/", [])

    async def carry(exchange: Exchange) -> None:
        reply = await through.handle(exchange, vendor)
        await reply.body.aclose()

    await asyncio.gather(carry(first), carry(second))
    assert (first.queue_seconds, recorder.waits[0]) == (0.0, 0.0)
    # In line for 1 s, connected at 2 s, and the slot of 1 s is free again at 11.05 s.
    assert recorder.waits[1] == pytest.approx(1.0 + 9.05, abs=0.01)
    assert second.queue_seconds == pytest.approx(recorder.waits[1])


@virtual
async def test_the_gateway_shuts_down() -> None:
    """When the time to drain is over, waiting calls are told `shutting-down`, and what is at the vendor may finish."""
    recorder, vendor = Recorder(), Vendor(answer=5.0)
    through: ThrottleLayer = layer(policy(concurrency=1), recorder)
    calls = [asyncio.get_running_loop().create_task(call(through, vendor)) for _ in range(3)]
    await settle()
    through.throttle.close()
    errors = await asyncio.gather(*calls[1:], return_exceptions=True)
    assert [error.code for error in errors if isinstance(error, GatewayError)] == ["shutting-down"] * 2
    assert await calls[0] == b"answer"
    assert recorder.outcomes == ["cancelled", "cancelled", "ok"]
    assert idle(through, used=1)
