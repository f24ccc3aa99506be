"""The pump: a child that is always reaped."""

from __future__ import annotations

import asyncio

from gateway.wire.upload import Pump
from tests.support.virtual import virtual
from tests.wire.test_connection import Setting
from tests.wire.upstreams import Pieces


@virtual
async def test_the_end_is_told_with_the_last_byte() -> None:
    """With a known length the request is whole when its last byte is written, before the body's own end is seen."""
    never = asyncio.Event()
    setting = Setting(whole=False, response=5.0)
    body = Pieces([b"hello", b""], 5, gate=never.wait)
    pump = Pump(setting.connection, body)
    pump.start()
    await asyncio.sleep(1)
    assert setting.transport.written.endswith(b"hello")
    setting.connection.data_received(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    assert setting.owner.told == ["release"]
    await pump.stop()


@virtual
async def test_the_pump_waits_while_the_backend_takes_nothing() -> None:
    """No piece is read from the client while the transport is full."""
    setting = Setting(whole=False)
    body = Pieces([b"a", b"b", b"c"])
    setting.connection.pause_writing()
    pump = Pump(setting.connection, body)
    pump.start()
    await asyncio.sleep(1)
    assert body.given == 1
    setting.connection.resume_writing()
    await asyncio.sleep(1)
    assert setting.transport.written.endswith(b"1\r\na\r\n1\r\nb\r\n1\r\nc\r\n0\r\n\r\n")
    await pump.stop()


@virtual
async def test_a_stopped_pump_reads_no_more() -> None:
    """`stop` returns when the client's body is not read any more; again, it does nothing."""
    never = asyncio.Event()
    setting = Setting(whole=False)
    body = Pieces([b"a", b"b"], gate=never.wait)
    pump = Pump(setting.connection, body)
    pump.start()
    await asyncio.sleep(1)
    assert body.reading
    await pump.stop()
    assert not body.reading
    await pump.stop()
    assert not setting.waiter.done()
