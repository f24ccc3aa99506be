"""The frames of WHMCS, in virtual time."""

from __future__ import annotations

import asyncio
import gzip
from typing import Any

import pytest

from gateway.errors import GatewayError
from gateway.exchange import Buffered, Exchange, Reply, header
from gateway.whmcs.events import CredentialsRefused
from gateway.whmcs.guard import ALLOWED, PAUSE
from gateway.whmcs.layers import CredentialsLayer, ForCalls, GuardLayer, LaneLayer, OutcomeLayer
from tests.retry.samples import Events
from tests.support.virtual import LoopClock, virtual
from tests.throttle.samples import Stream
from tests.whmcs.samples import WRONG, auth, call, told


class Vendor:
    """Answers after a second, to credentials that are `good` or not; counts the calls."""

    def __init__(self, good: bool = True) -> None:
        self.good = good
        self.calls = 0

    async def __call__(self, exchange: Exchange) -> Reply:
        self.calls += 1
        await asyncio.sleep(1.0)
        reply = told("success") if self.good else told("error", **WRONG)
        return await OutcomeLayer().handle(exchange, lambda _: _answer(reply))


async def _answer(reply: Reply) -> Reply:
    return reply


async def outcome(layer: GuardLayer, vendor: Any) -> int | tuple[str, float | None]:
    """The status of a call's answer, or the code of its error and when to come back."""
    try:
        return (await layer.handle(call(), vendor)).status
    except GatewayError as error:
        return error.code, error.retry_after


def guard(events: Events | None = None, max_wait: float = 10.0) -> GuardLayer:
    return GuardLayer("whmcs", max_wait, events or Events(), LoopClock())


@virtual
async def test_a_burst_with_wrong_credentials_is_tried_twice() -> None:
    """Given twenty calls at once, then the vendor sees two, the others are told to come back, and it is reported once;
    after the pause one call goes and sees."""
    events, vendor = Events(), Vendor(good=False)
    layer = guard(events)
    found = await asyncio.gather(*(outcome(layer, vendor) for _ in range(20)))
    assert found.count(403) == vendor.calls == ALLOWED
    assert found.count(("breaker-open", PAUSE)) == 20 - ALLOWED
    assert events.seen == [CredentialsRefused("whmcs", PAUSE)]
    await asyncio.sleep(PAUSE)
    vendor.good = True
    assert set(await asyncio.gather(*(outcome(layer, vendor) for _ in range(20)))) == {200}


@virtual
async def test_a_burst_with_good_credentials_waits_for_one_answer() -> None:
    """Given twenty calls at once, then two go first and the others together after them; the wait is told as such."""
    layer, vendor = guard(), Vendor()
    first, last = call(), call()
    began = asyncio.get_running_loop().time()
    await asyncio.gather(*(layer.handle(one, vendor) for one in (first, *(call() for _ in range(18)), last)))
    assert asyncio.get_running_loop().time() - began == pytest.approx(2.0, abs=0.01)
    assert (first.queue_seconds, last.queue_seconds) == (0.0, pytest.approx(1.0, abs=0.01))


@virtual
async def test_nobody_waits_longer_than_allowed() -> None:
    """Given a vendor that does not answer, then who waits is told after `max_wait`, and goes when a call has left."""
    layer = guard(max_wait=5.0)
    hanging = [asyncio.get_running_loop().create_task(outcome(layer, lambda _: asyncio.sleep(3600))) for _ in range(2)]
    await asyncio.sleep(1.0)
    assert await outcome(layer, Vendor()) == ("queue-timeout", None)
    hanging[0].cancel()
    assert await outcome(layer, Vendor()) == 200
    hanging[1].cancel()
    await asyncio.gather(*hanging, return_exceptions=True)


@virtual
async def test_other_credentials_end_the_pause() -> None:
    """Given refused credentials, when there are others, then calls go at once."""
    layer, vendor = guard(), Vendor(good=False)
    assert [await outcome(layer, vendor) for _ in range(3)] == [403, 403, ("breaker-open", PAUSE)]
    vendor.good = True
    layer.renew()
    assert await outcome(layer, vendor) == 200


@pytest.mark.parametrize(
    ("reply", "after"),
    [
        (told("error", 403, message="Invalid IP 10.0.0.1"), 403),
        (told("error", 403, message='Invalid Permissions: API action "x" is not allowed'), 403),
        (told("error", message="Client Not Found"), 200),
    ],
)
async def test_other_refusals_open_no_pause(reply: Reply, after: int) -> None:
    """The vendor's word on address, permissions or business is passed on, however often."""
    layer = guard()
    for _ in range(5):
        assert await outcome(layer, lambda e: OutcomeLayer().handle(e, lambda _: _answer(reply))) == after


@pytest.mark.parametrize(
    ("content", "coding", "failure"),
    [
        (b'{"result":"error","message":"Client Not Found"}', None, "error"),
        (gzip.compress(b'{"result":"error","message":"Invalid IP 1"}'), b"gzip", "refused"),
        (b'{"result":"success"}', None, ""),
        (b"<html>", None, ""),
        (b"", None, ""),
    ],
)
async def test_the_answer_is_passed_on_as_it_came(content: bytes, coding: bytes | None, failure: str) -> None:
    """Whatever an answer means, also a compressed one, nothing of it is changed."""
    headers = [(b"X", b"1"), *([(b"Content-Encoding", coding)] if coding else [])]
    reply = await OutcomeLayer().handle(call(), lambda _: _answer(Reply(200, headers, Buffered(content))))
    assert (reply.failure, reply.headers) == (failure, headers)
    assert b"".join([piece async for piece in reply.body]) == content


@virtual
async def test_a_stream_is_not_held_up() -> None:
    """Given an answer that goes on for an hour, then it begins to arrive with its first piece."""
    stream = Stream((1.0, b'{"result":"success",'), (3600.0, b'"clients":[]}'))
    began = asyncio.get_running_loop().time()
    reply = await OutcomeLayer().handle(call(), lambda _: _answer(Reply(200, [], stream)))
    assert asyncio.get_running_loop().time() - began == pytest.approx(1.0, abs=0.01)
    assert b"".join([piece async for piece in reply.body]) == b'{"result":"success","clients":[]}'


@pytest.mark.parametrize(
    ("content", "own", "lane"),
    [
        (b"action=GetClients", None, b"read"),
        (b"action=AddOrder", None, b"write"),
        (b"", None, b"other"),
        (b"action=GetClients", b"mine", b"mine"),
    ],
)
async def test_lanes_by_class(content: bytes, own: bytes | None, lane: bytes) -> None:
    """A call names the lane of its class, unless the client has named one."""
    exchange = call(content, more=[(b"X-Gateway-Lane", own)] if own else [])
    await LaneLayer().handle(exchange, lambda _: _answer(Reply(200)))
    assert header(exchange.headers, b"x-gateway-lane") == lane


async def test_credentials_are_those_in_force() -> None:
    """A call is given the credentials that the frame has when it comes."""
    layer, exchange = CredentialsLayer(auth(), 100), call(b"action=GetClients")
    await layer.handle(exchange, lambda _: _answer(Reply(200)))
    layer.auth = auth(secret="hush-2")
    await layer.handle(exchange, lambda _: _answer(Reply(200)))
    assert isinstance(exchange.body, Buffered)
    assert exchange.body.content == b"identifier=own&secret=hush-2&action=GetClients"


async def test_other_calls_pass_by() -> None:
    """What is no call of the API is not touched."""
    layer = ForCalls(lambda exchange: exchange.target == b"/a", CredentialsLayer(auth(), 100))
    for target, touched in ((b"/a", True), (b"/b", False)):
        exchange = call(b"x=y", target=target)
        await layer.handle(exchange, lambda _: _answer(Reply(200)))
        assert isinstance(exchange.body, Buffered)
        assert (exchange.body.content != b"x=y") is touched
