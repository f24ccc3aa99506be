"""The breaker on the road of a call."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest

from gateway.errors import GatewayError
from gateway.exchange import Exchange, Reply
from gateway.retry.breaker_layer import BreakerDoor, BreakerLayer
from gateway.retry.events import BreakerChanged, BreakerRefused
from gateway.retry.settings import BreakerSettings
from tests.retry.samples import Events, Hand, Upstream, exchange


def layer(events: Events, clock: Hand, failures: int = 2) -> BreakerLayer:
    settings = BreakerSettings(failures=failures)
    return BreakerLayer("crm", settings, lane_of=lambda exchange: "default", emit=events, clock=clock)


async def through(breaker: BreakerLayer, upstream: Upstream) -> int | str:
    """Return the status of a call's answer, or the code of its error."""
    try:
        return (await breaker.handle(exchange(), upstream)).status
    except GatewayError as error:
        return error.code


async def test_case_26_open_half_open_closed() -> None:
    """Given an upstream that fails, then calls are refused before they wait, with the time to come back; when that is
    over one call probes, and its success lets all others through."""
    events, clock = Events(), Hand()
    breaker = layer(events, clock)
    assert [await through(breaker, Upstream(500)) for _ in range(2)] == [500, 500]
    untouched = Upstream()
    with pytest.raises(GatewayError) as refused:
        await breaker.handle(exchange(), untouched)
    assert (refused.value.code, refused.value.status, refused.value.retry_after) == ("breaker-open", 503, 15.0)
    assert untouched.contents == []
    clock.now += 15.0
    rivals: list[int | str] = []

    async def probed(sent: Exchange) -> Reply:
        rivals.extend([await through(breaker, untouched) for _ in range(3)])
        return Reply(200)

    assert (await breaker.handle(exchange(), probed)).status == 200
    assert rivals == ["breaker-open"] * 3
    assert await through(breaker, Upstream()) == 200
    assert events.of(BreakerChanged) == [BreakerChanged("crm", True), BreakerChanged("crm", False)]
    assert events.of(BreakerRefused) == [BreakerRefused("crm", "default")] * 4


@pytest.mark.parametrize(
    ("step", "opens"),
    [
        (500, True),
        (503, True),
        ("unsent", True),
        ("broken", True),
        (GatewayError("upstream-timeout"), True),
        (200, False),
        (404, False),
        (429, False),
        (GatewayError("queue-full"), False),
        (GatewayError("queue-timeout"), False),
        (GatewayError("shutting-down"), False),
        (GatewayError("bad-request"), False),
        (ValueError(), False),
        (asyncio.CancelledError(), False),
    ],
)
async def test_what_counts_as_a_failure(step: int | str | BaseException, opens: bool) -> None:
    """5xx, no connection and no answer in time do; what the gateway refused, the client did or is its own fault does
    not."""
    breaker = layer(Events(), Hand(), failures=1)
    with suppress(GatewayError, ValueError, asyncio.CancelledError):
        await breaker.handle(exchange(), Upstream(step))
    assert breaker.open is opens
    assert breaker.lets_through() is not opens


async def test_the_door_refuses_before_anything_is_read_and_takes_no_probe() -> None:
    """The door asks the same breaker, and leaves the probe to the attempt behind it."""
    events, clock = Events(), Hand()
    breaker = layer(events, clock, failures=1)
    door = BreakerDoor(breaker)
    assert await through(breaker, Upstream(500)) == 500
    with pytest.raises(GatewayError) as refused:
        await door.handle(exchange(), Upstream())
    assert (refused.value.code, refused.value.retry_after) == ("breaker-open", 15.0)
    assert events.of(BreakerRefused) == [BreakerRefused("crm", "default")]
    clock.now += 15.0

    async def attempt(sent: Exchange) -> Reply:
        return await breaker.handle(sent, Upstream())

    assert (await door.handle(exchange(), attempt)).status == 200
    assert not breaker.open
