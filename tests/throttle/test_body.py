"""The answer's body, which holds the permit until its last byte, in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from gateway.errors import GatewayError
from gateway.exchange import Body, Exchange, Reply
from gateway.throttle.layer import ThrottleLayer
from tests.support.virtual import virtual
from tests.throttle.samples import Recorder, Stream, Vendor, call, idle, layer, policy, settle


def streaming(body: Body, **changes: str) -> tuple[ThrottleLayer, Vendor, Recorder]:
    vendor, recorder = Vendor(), Recorder()
    vendor.body = lambda: body
    return layer(policy(concurrency=1, **changes), recorder), vendor, recorder


async def opened(through: ThrottleLayer, vendor: Vendor) -> Reply:
    return await through.handle(Exchange("GET", b"/", []), vendor)


@virtual
async def test_a_slow_body_holds_its_permit_until_it_ends() -> None:
    """Given one permit and an answer whose body takes 10 s, when another call comes, then it goes at the end."""
    through, vendor, recorder = streaming(Stream((5.0, b"one"), (5.0, b"two")))
    assert await asyncio.gather(call(through, vendor), call(through, vendor)) == [b"onetwo"] * 2
    assert vendor.writes[1] - vendor.writes[0] == pytest.approx(10.0, abs=0.01)
    assert recorder.outcomes == ["ok", "ok"]
    assert idle(through, used=2)


@virtual
async def test_a_body_that_is_closed_early_gives_its_permit_back_once() -> None:
    """When the reader goes away in the middle, the connection is closed, the permit is free, and closing again does
    nothing."""
    body = Stream((1.0, b"one"), (1.0, b"two"))
    through, vendor, recorder = streaming(body)
    reply = await opened(through, vendor)
    assert await anext(aiter(reply.body)) == b"one"
    await reply.body.aclose()
    await reply.body.aclose()
    assert recorder.outcomes == ["cancelled"]
    assert idle(through, used=1)
    assert body.closed


@virtual
async def test_the_time_limit_ends_a_body_that_is_being_read() -> None:
    """Given a limit of 3 s, when the body takes longer, then reading raises `upstream-timeout`, and all is free."""
    body = Stream((1.0, b"one"), (60.0, b"two"))
    through, vendor, recorder = streaming(body, timeout="3s")
    reply = await opened(through, vendor)
    began = asyncio.get_running_loop().time()
    chunks = aiter(reply.body)
    assert await anext(chunks) == b"one"
    with pytest.raises(GatewayError) as error:
        await anext(chunks)
    assert error.value.code == "upstream-timeout"
    assert asyncio.get_running_loop().time() - began == pytest.approx(3.0, abs=0.01)
    assert recorder.outcomes == ["timeout"]
    assert idle(through)
    assert body.closed


@virtual
async def test_the_time_limit_frees_the_permit_behind_a_reader_that_is_stuck() -> None:
    """Given a reader that takes no more chunks because its own client does not, when the limit passes, then the
    connection is closed behind it and the permit is free; when it reads on, it is told."""
    body = Stream((0.0, b"one"), (0.0, b"two"))
    through, vendor, recorder = streaming(body, timeout="3s")
    async with asyncio.TaskGroup() as tasks:
        runner = tasks.create_task(through.throttle.run())
        reply = await opened(through, vendor)
        chunks = aiter(reply.body)
        assert await anext(chunks) == b"one"
        await asyncio.sleep(2.9)
        assert not idle(through)
        await asyncio.sleep(0.2)
        assert idle(through)
        assert body.closed
        with pytest.raises(GatewayError, match="upstream-timeout"):
            await anext(chunks)
        await reply.body.aclose()
        runner.cancel()
    assert recorder.outcomes == ["timeout"]


@virtual
async def test_a_body_that_fails_to_close_behind_a_stuck_reader_harms_nobody() -> None:
    """When closing the connection fails as the limit passes, the permit is free, and the throttle goes on."""

    class Broken(Stream):
        async def aclose(self) -> None:
            raise ConnectionError

    through, vendor, recorder = streaming(Broken((0.0, b"one")), timeout="3s")
    async with asyncio.TaskGroup() as tasks:
        runner = tasks.create_task(through.throttle.run())
        await opened(through, vendor)
        await asyncio.sleep(3.1)
        assert not runner.done()
        runner.cancel()
    assert recorder.outcomes == ["timeout"]
    assert idle(through)


@virtual
async def test_a_body_that_breaks_off_is_an_error() -> None:
    """When the vendor breaks off in the body, the reader is told as it was, and the outcome is `error`."""
    through, vendor, recorder = streaming(Stream((0.0, b"one"), (0.0, ConnectionResetError())))
    with pytest.raises(ConnectionResetError):
        await call(through, vendor)
    assert recorder.outcomes == ["error"]
    assert idle(through)


@virtual
async def test_a_reader_that_is_cancelled_frees_the_permit() -> None:
    """Given a reader that waits for a chunk, when its client goes away, then the permit is free, once."""
    through, vendor, recorder = streaming(Stream((60.0, b"one")))
    task = asyncio.get_running_loop().create_task(call(through, vendor))
    await settle()
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()
    assert recorder.outcomes == ["cancelled"]
    assert idle(through)


@virtual
async def test_a_limit_that_passes_as_a_chunk_arrives_is_told() -> None:
    """Given an upstream that does not let itself be interrupted, when its chunk comes as the limit passes, then the
    reader is told, and not left with a body whose time nobody watches."""

    class Stubborn(Stream):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            try:
                await asyncio.sleep(60.0)
            except asyncio.CancelledError:
                yield b"late"

    through, vendor, recorder = streaming(Stubborn(), timeout="3s")
    reply = await opened(through, vendor)
    with pytest.raises(GatewayError, match="upstream-timeout"):
        await anext(aiter(reply.body))
    assert recorder.outcomes == ["timeout"]
    assert idle(through)


@pytest.mark.parametrize(("method", "status"), [("HEAD", 200), ("GET", 204), ("GET", 304)])
def test_an_answer_without_content_need_not_be_read(method: str, status: int) -> None:
    """An answer that cannot have content is complete when it is closed unread."""

    @virtual
    async def scenario() -> None:
        through, vendor, recorder = streaming(Stream())
        vendor.status = status
        reply = await through.handle(Exchange(method, b"/", []), vendor)
        assert not idle(through)
        await reply.body.aclose()
        assert recorder.outcomes == ["ok"]
        assert idle(through)

    scenario()
