"""The queue between a connection and its reader."""

from __future__ import annotations

import asyncio

import pytest

from gateway.errors import GatewayError
from gateway.wire.inflow import Inflow
from tests.support.virtual import virtual


class Source:
    """Counts what is asked of it."""

    def __init__(self) -> None:
        self.resumed = self.abandoned = 0

    def resume(self) -> None:
        self.resumed += 1

    def abandon(self) -> None:
        self.abandoned += 1

    def watch(self) -> None: ...

    def write(self, data: bytes) -> None: ...

    async def drain(self) -> None: ...


@virtual
async def test_what_is_queued_is_taken_in_one_piece() -> None:
    """Everything queued comes at once, the source is told, and the end is `b""` from then on."""
    source = Source()
    inflow = Inflow(source)
    inflow.feed(b"ab")
    inflow.feed(b"cd")
    assert inflow.size == 4
    assert await inflow.take() == b"abcd"
    assert (inflow.size, source.resumed) == (0, 1)
    inflow.feed(b"ef")
    inflow.finish()
    assert [await inflow.take() for _ in range(3)] == [b"ef", b"", b""]
    inflow.abandon()
    assert (source.resumed, source.abandoned) == (1, 0)


@virtual
async def test_an_error_comes_behind_what_is_queued() -> None:
    """The reader gets what arrived before the error, then the error, every time."""
    inflow = Inflow(Source())
    inflow.feed(b"ab")
    inflow.fail(GatewayError("upstream-timeout"))
    assert await inflow.take() == b"ab"
    for _ in range(2):
        with pytest.raises(GatewayError):
            await inflow.take()


@virtual
async def test_a_waiting_reader_is_woken() -> None:
    """A reader that waits gets bytes, the end, or the news that the content was given up."""

    def feed(inflow: Inflow) -> None:
        inflow.feed(b"x")
        inflow.wake()

    for act, outcome in ((feed, b"x"), (Inflow.finish, b""), (Inflow.abandon, "given up")):
        inflow = Inflow(Source())
        outcomes: list[object] = []

        async def read(inflow: Inflow, outcomes: list[object]) -> None:
            try:
                outcomes.append(await inflow.take())
            except GatewayError:
                outcomes.append("given up")

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(read(inflow, outcomes))
            await asyncio.sleep(1)
            assert outcomes == []
            act(inflow)
        assert outcomes == [outcome]


@virtual
async def test_a_cancelled_reader_can_read_again() -> None:
    """A reader that was cancelled while it waited loses nothing."""
    inflow = Inflow(Source())
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(1):
            await inflow.take()
    inflow.feed(b"x")
    assert await inflow.take() == b"x"


def test_giving_up_closes_the_source_once() -> None:
    """`abandon` before the end closes the source; again, it does nothing."""
    source = Source()
    inflow = Inflow(source)
    inflow.abandon()
    inflow.abandon()
    assert source.abandoned == 1
