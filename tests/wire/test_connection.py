"""A connection on its own, without a socket: what it tells its owner, and when it waits."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from gateway.wire.broken import Broken, Reason
from gateway.wire.connection import Connection, Limits
from gateway.wire.inflow import HIGH_WATER, BackendResponse
from tests.support.virtual import LoopClock, virtual

HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n"


class Transport(asyncio.Transport):
    """Keeps what is written and what is asked of it."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.unsent = 0
        self.asked: list[str] = []

    def write(self, data: Any) -> None:
        self.written += data

    def get_write_buffer_size(self) -> int:
        return self.unsent

    def pause_reading(self) -> None:
        self.asked.append("pause")

    def resume_reading(self) -> None:
        self.asked.append("resume")

    def close(self) -> None:
        self.asked.append("close")

    def abort(self) -> None:
        self.asked.append("abort")

    def is_closing(self) -> bool:
        return "abort" in self.asked or "close" in self.asked


class Owner:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def release(self, connection: Connection) -> None:
        self.told.append("release")

    def forget(self, connection: Connection) -> None:
        self.told.append("forget")

    def broke(self, reason: Reason) -> None:
        self.told.append(reason)


class Setting:
    """A connection between an owner and a transport, with a request sent."""

    def __init__(self, *, response: float | None = None, idle: float | None = None, whole: bool = True) -> None:
        self.owner = Owner()
        self.transport = Transport()
        self.connection = Connection(self.owner, Limits(response, idle), LoopClock())
        self.connection.connection_made(self.transport)
        self.waiter = self.connection.send(
            b"GET / HTTP/1.1\r\n\r\n", whole=whole, head_request=False, upgrade=False, informational=None
        )

    def answer(self) -> BackendResponse:
        self.connection.data_received(HEAD)
        return self.waiter.result()


@virtual
async def test_a_whole_answer_gives_the_connection_back_once() -> None:
    """The owner gets the connection with the last byte, before anybody has read the content."""
    setting = Setting()
    response = setting.answer()
    assert setting.owner.told == []
    setting.connection.data_received(b"0123456789")
    assert setting.owner.told == ["release"]
    assert [data async for data in response] == [b"0123456789"]
    await response.aclose()
    assert setting.owner.told == ["release"]
    assert setting.transport.asked == []


@virtual
async def test_an_answer_to_half_a_request_closes_the_connection() -> None:
    """While the request is not whole, or part of it not sent, a connection is closed behind the answer."""
    for unsent, whole in ((1, True), (0, False)):
        setting = Setting(whole=whole)
        setting.transport.unsent = unsent
        setting.connection.data_received(HEAD + b"0123456789")
        assert setting.waiter.result().complete
        assert setting.owner.told == []
        assert setting.transport.asked == ["abort"]


@virtual
async def test_reading_pauses_above_the_mark_and_goes_on_when_all_is_taken() -> None:
    """The socket is not read while more than the high-water mark waits for the reader."""
    setting = Setting()
    setting.connection.data_received(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
    response = setting.waiter.result()
    setting.connection.data_received(b"x" * HIGH_WATER)
    assert setting.transport.asked == []
    setting.connection.data_received(b"x")
    assert setting.transport.asked == ["pause"]
    assert len(await anext(aiter(response))) == HIGH_WATER + 1
    assert setting.transport.asked == ["pause", "resume"]


@virtual
async def test_a_writer_waits_while_the_transport_is_full() -> None:
    """`drain` ends when the transport takes more, and fails when the connection is lost."""
    setting = Setting(whole=False)
    outcomes: list[str] = []

    async def drain() -> None:
        try:
            await setting.connection.drain()
        except ConnectionResetError:
            outcomes.append("lost")
        else:
            outcomes.append("drained")

    await drain()
    for end in (setting.connection.resume_writing, lambda: setting.connection.connection_lost(None)):
        setting.connection.pause_writing()
        async with asyncio.TaskGroup() as tasks:
            waiting = tasks.create_task(drain())
            await asyncio.sleep(1)
            assert not waiting.done()
            end()
    assert outcomes == ["drained", "drained", "lost"]
    with pytest.raises(ConnectionResetError):
        setting.connection.write(b"x")
    assert isinstance(setting.waiter.exception(), Broken)


@virtual
async def test_a_cancelled_writer_harms_no_other() -> None:
    """Cancelling one `drain` leaves the next to wait for the transport."""
    setting = Setting(whole=False)
    setting.connection.pause_writing()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(1):
            await setting.connection.drain()
    async with asyncio.TaskGroup() as tasks:
        drain = tasks.create_task(setting.connection.drain())
        await asyncio.sleep(1)
        assert not drain.done()
        setting.connection.resume_writing()


@virtual
async def test_the_answer_is_waited_for_from_the_end_of_the_request() -> None:
    """The response limit begins with `sent`, and an answer in time ends it."""
    setting = Setting(response=5.0, whole=False)
    await asyncio.sleep(60)
    setting.connection.sent()
    await asyncio.sleep(4.9)
    assert not setting.waiter.done()
    await asyncio.sleep(0.2)
    broken = setting.waiter.exception()
    assert isinstance(broken, Broken)
    assert (broken.reason, broken.answered) == ("timeout", False)
    assert setting.transport.asked == ["abort"]

    setting = Setting(response=5.0)
    setting.answer()
    await asyncio.sleep(60)
    assert setting.transport.asked == []


@virtual
async def test_silence_is_counted_from_the_last_byte() -> None:
    """Every read, write and take moves the idle limit; after it, content ends with an error."""
    setting = Setting(idle=10.0)
    response = setting.answer()
    response.watch()
    await asyncio.sleep(9)
    setting.connection.data_received(b"0")
    await asyncio.sleep(9)
    assert response.drain() == b"0"
    setting.connection.resume()
    await asyncio.sleep(9)
    assert setting.transport.asked == []
    await asyncio.sleep(1.1)
    assert setting.owner.told == ["timeout"]
    assert "abort" in setting.transport.asked


@virtual
async def test_a_pooled_connection_has_no_clocks_running() -> None:
    """Behind the last byte neither limit runs on."""
    setting = Setting(response=5.0, idle=5.0)
    response = setting.answer()
    response.watch()
    setting.connection.data_received(b"0123456789")
    await asyncio.sleep(60)
    assert setting.transport.asked == []
    assert setting.connection.usable


@virtual
async def test_an_answer_for_nobody_closes_the_connection() -> None:
    """Bytes after the waiter was cancelled, or before anything was asked, close the connection."""
    setting = Setting()
    setting.waiter.cancel()
    setting.connection.data_received(HEAD)
    assert setting.transport.asked == ["abort"]
    assert setting.owner.told == []

    idle = Connection(Owner(), Limits(None, None), LoopClock())
    transport = Transport()
    idle.connection_made(transport)
    idle.data_received(b"x")
    assert transport.asked == ["abort"]


@virtual
async def test_a_connection_given_up_before_it_was_made() -> None:
    """A connection that comes about after its request has gone is closed at once."""
    connection = Connection(Owner(), Limits(None, None), LoopClock())
    connection.abandon()
    transport = Transport()
    connection.connection_made(transport)
    assert transport.asked == ["abort"]
    assert not connection.usable
