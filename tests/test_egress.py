"""The road of a call to a vendor, in virtual time."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from gateway.config.policy import Policy
from gateway.egress import egress
from gateway.exchange import Body, Buffered, Exchange, Handler, Headers, Reply, header
from gateway.observability.metrics import Metrics
from gateway.observability.recorder import Recorder
from gateway.observability.throttle_gauges import watch_throttle
from gateway.retry.buffer_layer import Room
from gateway.throttle.layer import ThrottleLayer
from gateway.vendor_frames import Frames
from tests.retry.samples import Pieces, Upstream
from tests.support.virtual import LoopClock, virtual


class Road:
    """The chain of a policy, before an upstream that follows a script."""

    def __init__(self, upstream: Any, **policy: Any) -> None:
        data = {
            "upstream": "crm",
            "listen": "127.0.0.1:0",
            "rate": {"cap": 300},
            "lanes": [{"name": "default", "concurrency": 1, "timeout": "30s"}],
        }
        self.metrics = Metrics()
        recorder = Recorder(self.metrics, ["crm"])
        clock = LoopClock()
        settings = Policy.model_validate(data | policy)
        self.throttle = ThrottleLayer(
            settings, lane_of=lambda exchange: "default", emit=recorder, clock=clock, random=lambda: 0.0
        )
        watch_throttle(self.metrics, self.throttle.throttle.snapshot)
        self.room = Room()
        self.handle: Handler = egress(
            settings, self.throttle, Frames(), upstream, self.room, self.metrics, emit=recorder, clock=clock
        )

    async def call(self, method: str = "GET", body: Body | None = None) -> tuple[int, Headers]:
        reply = await self.handle(Exchange(method, b"/", [], body or Buffered()))
        async for _ in reply.body:
            pass
        await reply.body.aclose()
        return reply.status, reply.headers

    def value(self, name: str, **labels: str) -> float | None:
        return self.metrics.registry.get_sample_value(f"gateway_{name}", {"upstream": "crm", **labels})

    def outcome(self, outcome: str) -> float | None:
        return self.value("throttle_calls_total", lane="default", outcome=outcome)

    def used(self) -> int:
        now = self.throttle.throttle.snapshot()
        return round(now.used_ratio * now.cap)


RETRY_AFTER = [(b"Retry-After", b"10")]


def now() -> float:
    return asyncio.get_running_loop().time()


@virtual
async def test_case_29_every_attempt_counts_in_the_window() -> None:
    """Given a cap of one, when a call is made again, then the second attempt waits for the next slot."""
    road = Road(Upstream(503), rate={"cap": 1, "per": "10s"}, retry={})
    began = now()
    assert (await road.call())[0] == 200
    assert now() - began == pytest.approx(10.05, abs=0.01)
    assert road.used() == 1
    assert (road.outcome("error"), road.outcome("ok")) == (1, 1)
    assert road.value("upstream_retries_total", reason="503") == 1


@virtual
async def test_case_23_a_retried_call_waits_out_the_pause_like_everybody_else() -> None:
    """Given an answer that asks for 10 s, when the call is made again, then it waits for the end of them, and gives its
    permit back meanwhile."""
    upstream = Upstream(503, headers=RETRY_AFTER)
    road = Road(upstream, retry={})
    began = now()
    assert (await road.call())[0] == 200
    assert now() - began == pytest.approx(10.0, abs=0.01)


@virtual
async def test_a_pause_that_is_longer_than_the_call_may_wait_gives_it_the_vendors_answer() -> None:
    """Given a deadline before the end of the pause, then the vendor's own 503 is passed on at once, unread."""
    upstream = Upstream(503, headers=RETRY_AFTER)
    road = Road(upstream, retry={}, queue={"max_wait": "9s"})
    began = now()
    status, headers = await road.call()
    assert (status, header(headers, b"retry-after")) == (503, b"10")
    assert now() == began
    assert len(upstream.contents) == 1
    assert road.value("upstream_retries_total", reason="503") == 0


@virtual
async def test_the_lane_pauses_without_retries_as_well() -> None:
    """A policy without `retry` passes the answer on, and holds the next call back."""
    road = Road(Upstream(429, headers=RETRY_AFTER))
    began = now()
    assert (await road.call())[0] == 429
    assert (await road.call())[0] == 200
    assert now() - began == pytest.approx(10.0, abs=0.01)


@virtual
async def test_case_26_an_open_breaker_answers_before_the_queue() -> None:
    """Given two failures, then calls get 503 `breaker-open` at once, take no slot and are counted as such; a probe
    after the time closes it, for its gauge too."""
    road = Road(Upstream(500, "unsent"), breaker={"failures": 2})
    assert road.value("breaker_open") == 0
    assert [(await road.call())[0] for _ in range(2)] == [500, 502]
    began, used = now(), road.used()
    status, headers = await road.call("POST", Pieces(b"never read", before=asyncio.Event().wait))
    assert (status, header(headers, b"retry-after")) == (503, b"15")
    assert (now(), road.used()) == (began, used)
    assert (road.value("breaker_open"), road.outcome("breaker_open")) == (1, 1)
    await asyncio.sleep(15.0)
    assert (await road.call())[0] == 200
    assert road.value("breaker_open") == 0


@virtual
async def test_the_failure_that_opens_the_breaker_is_passed_on() -> None:
    """Given an attempt whose failure opens the breaker, then its call gets the vendor's answer."""
    upstream = Upstream(503, 503, 503)
    road = Road(upstream, breaker={"failures": 3}, retry={})
    assert [(await road.call())[0] for _ in range(2)] == [503, 503]
    assert len(upstream.contents) == 3
    assert (road.value("breaker_open"), road.outcome("breaker_open")) == (1, 0)


@virtual
async def test_a_full_queue_does_not_open_the_breaker() -> None:
    """Given calls that the queue refuses, then the breaker has heard nothing of the upstream."""
    gate = asyncio.Event()

    async def slow(exchange: Exchange) -> Reply:
        await gate.wait()
        return Reply(200)

    road = Road(slow, breaker={"failures": 1}, queue={"max_depth": 0})
    running = asyncio.get_running_loop().create_task(road.call())
    await asyncio.sleep(1.0)
    assert (await road.call())[0] == 503
    assert road.outcome("queue_full") == 1
    assert road.value("breaker_open") == 0
    gate.set()
    assert (await running)[0] == 200


@virtual
async def test_a_vendor_that_does_not_answer_in_time_opens_the_breaker() -> None:
    """The lane's timeout counts as a failure, and the call is not made again."""

    async def silent(exchange: Exchange) -> Reply:
        assert exchange.before_send is not None
        await exchange.before_send()
        await asyncio.sleep(3600)
        return Reply(200)

    road = Road(silent, breaker={"failures": 1}, retry={})
    assert (await road.call())[0] == 504
    assert road.value("breaker_open") == 1
    assert road.outcome("timeout") == 1


@virtual
async def test_case_25_a_slow_upload_holds_no_permit() -> None:
    """Given one permit and a client that takes a minute to send, then another call runs meanwhile, and the upload goes
    when its content is in."""
    upstream = Upstream()
    road = Road(upstream)
    began = now()

    async def slowly() -> None:
        await asyncio.sleep(30.0)

    upload = asyncio.get_running_loop().create_task(road.call("POST", Pieces(b"a", b"b", before=slowly)))
    await asyncio.sleep(1.0)
    assert (await road.call())[0] == 200
    assert now() - began == pytest.approx(1.0, abs=0.01)
    assert road.throttle.throttle.snapshot().lanes[0].in_flight == 0
    assert (await upload)[0] == 200
    assert now() - began == pytest.approx(60.0, abs=0.01)
    assert upstream.contents == [b"", b"ab"]


@virtual
async def test_answers_are_annotated_when_asked_for() -> None:
    """`annotate` tells the wait, the time at the vendor and the attempts, on the gateway's own answers too, beside what
    the vendor says; without it there is no such field."""
    upstream = Upstream(503, headers=[(b"Server-Timing", b"db;dur=1"), *RETRY_AFTER])

    async def vendor(exchange: Exchange) -> Reply:
        exchange.attempts += 1
        exchange.upstream_seconds += 0.25
        return await upstream(exchange)

    road = Road(vendor, retry={}, annotate=True)
    status, headers = await road.call()
    assert status == 200
    own = [value for name, value in headers if name == b"Server-Timing"]
    assert own == [b"db;dur=1", b'queue;dur=10000.0, upstream;dur=500.0, attempts;desc="2"']
    road.throttle.throttle.close()
    status, headers = await road.call()
    assert (status, header(headers, b"server-timing")) == (503, b'queue;dur=0.0, upstream;dur=0.0, attempts;desc="0"')
    plain = Road(Upstream())
    assert header((await plain.call())[1], b"server-timing") is None


@virtual
async def test_nothing_is_left_of_a_call_whose_client_leaves() -> None:
    """Given a call in its second attempt's queue, when its client goes away, then permit, room and answer are free."""
    upstream = Upstream(503, headers=RETRY_AFTER)
    road = Road(upstream, retry={}, breaker={})
    task = asyncio.get_running_loop().create_task(road.call("PUT", Pieces(b"content")))
    await asyncio.sleep(1.0)
    assert upstream.bodies[0].closed
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    lane = road.throttle.throttle.snapshot().lanes[0]
    assert (lane.in_flight, lane.depth) == (0, 0)
    assert road.room.free == Room().free
    assert road.value("requests_in_flight") is None
    assert road.metrics.registry.get_sample_value("gateway_requests_in_flight", {"direction": "egress"}) == 0


@virtual
async def test_case_26_calls_that_waited_while_the_breaker_opened_do_not_go_either() -> None:
    """Given calls in line before an upstream that fails, when the breaker opens, then those in line are refused when
    their turn comes, cost no slot, and are counted once."""
    seen = 0

    async def failing(exchange: Exchange) -> Reply:
        nonlocal seen
        assert exchange.before_send is not None
        await exchange.before_send()
        seen += 1
        await asyncio.sleep(0.1)
        return Reply(500)

    road = Road(failing, breaker={"failures": 3})
    answers = await asyncio.gather(*(road.call() for _ in range(50)))
    assert seen == 3
    assert sorted(status for status, _ in answers) == [500] * 3 + [503] * 47
    assert all(header(fields, b"retry-after") for status, fields in answers if status == 503)
    assert road.outcome("breaker_open") == 47
    assert road.outcome("error") == 3
    assert road.used() == 3
