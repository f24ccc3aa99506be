"""Salesforce's limits on the road of a call."""

from __future__ import annotations

import asyncio

import pytest

from gateway.errors import GatewayError
from gateway.events import Event
from gateway.exchange import Buffered, Exchange, Reply
from gateway.salesforce.events import ConcurrencyLimited, UsageLevelChanged, UsageSeen
from gateway.salesforce.settings import DailySettings
from gateway.salesforce.usage_layer import UsageLayer
from tests.salesforce.test_usage import CONCURRENT, DAILY
from tests.support.virtual import LoopClock, virtual


class Site:
    """A layer with a vendor behind it whose answer can be set."""

    def __init__(self, daily: DailySettings | None) -> None:
        self.events: list[Event] = []
        self.pauses: list[float] = []
        self.reply = lambda: Reply(200)
        self.calls = 0
        self.layer = UsageLayer(
            "salesforce", daily, priority_header="X-Gateway-Priority",
            pause=lambda _, seconds: self.pauses.append(seconds),
            emit=self.events.append, clock=LoopClock(), random=lambda: 1.0,
        )  # fmt: skip

    async def call(self, priority: bytes | None = None) -> Reply:
        headers = [] if priority is None else [(b"x-gateway-priority", priority)]
        return await self.layer.handle(Exchange("GET", b"/services/data", headers), self._answer)

    async def _answer(self, _: Exchange) -> Reply:
        self.calls += 1
        return self.reply()


def used(used: int) -> Reply:
    return Reply(200, [(b"Sforce-Limit-Info", b"api-usage=%d/100000" % used)])


@virtual
async def test_the_rest_of_the_day_is_kept() -> None:
    """Above `stop` calls are refused with 503 before the vendor sees them, but for the kept priorities."""
    site = Site(DailySettings())
    site.reply = lambda: used(95_000)
    await site.call()
    with pytest.raises(GatewayError) as refused:
        await site.call()
    assert (refused.value.code, refused.value.status, refused.value.retry_after) == ("breaker-open", 503, 300.0)
    await site.call(b"High")
    assert site.calls == 2
    site.reply = lambda: used(10)
    await asyncio.sleep(300)
    await site.call()
    await site.call(b"low")
    assert site.calls == 4
    levels = [event.level for event in site.events if isinstance(event, UsageLevelChanged)]
    assert levels == ["stop", "ok"]


@virtual
async def test_without_a_guard_the_usage_is_only_told() -> None:
    """Without `daily` no call is refused; the ratio is reported."""
    site = Site(None)
    site.reply = lambda: used(99_999)
    await site.call()
    await site.call()
    assert site.events == [UsageSeen("salesforce", 0.99999)] * 2


@virtual
async def test_the_two_refusals() -> None:
    """The day's 403 stops calls, the other one pauses the lane a moment; both are passed on as they came."""
    site = Site(DailySettings())
    site.reply = lambda: Reply(403, [(b"A", b"b")], Buffered(CONCURRENT))
    reply = await site.call()
    assert (reply.status, reply.headers) == (403, [(b"A", b"b")])
    assert b"".join([piece async for piece in reply.body]) == CONCURRENT
    await site.call()
    assert site.pauses == [1.0]
    assert site.events == [ConcurrencyLimited("salesforce", 1.0)]
    site.reply = lambda: Reply(403, [], Buffered(DAILY))
    await site.call()
    assert site.pauses == [1.0]
    with pytest.raises(GatewayError):
        await site.call()


@virtual
async def test_the_gateways_own_answers_tell_nothing() -> None:
    """An error that the gateway itself answered with is not read."""
    site = Site(None)
    site.reply = lambda: Reply(403, [], Buffered(CONCURRENT), error="bad-request")
    await site.call()
    assert (site.events, site.pauses) == ([], [])
