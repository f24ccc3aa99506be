"""What the gateway leans on inside aiohttp: these fail when an upgrade of aiohttp changes it."""

from __future__ import annotations

import inspect

import pytest
from aiohttp import EMPTY_PAYLOAD, web

from gateway.wire.acceptor import CLOSE, KEEP, KEEPALIVE_SECONDS, READ_BUFFER, Acceptor, Answered, Inbound
from gateway.wire.settings import LimitSettings
from tests.wire.clients import always, get, hello, serving


async def refuse(inbound: Inbound) -> Answered:
    return CLOSE


async def test_every_tuning_option_arrives() -> None:
    """No option is dropped on the way into aiohttp's connection."""
    async with serving(always(hello), limits=LimitSettings(header_bytes=2048, headers=17)) as server:
        client = await server.connect()
        await client.send(get())
        await client.head()
        acceptor = server.listener._acceptor
        assert acceptor is not None
        (connection,) = acceptor.clients
        assert connection.max_line_size == 2048
        assert connection.max_field_size == 2049
        assert connection.max_headers == 17
        assert connection.keepalive_timeout == KEEPALIVE_SECONDS >= 75
        assert connection._read_bufsize == READ_BUFFER
        assert connection._lingering_time == 0
        assert connection._logging_enabled is False
        assert acceptor.handler_cancellation is True
        assert connection.peer == "127.0.0.1"
        assert connection.idle


async def test_an_unknown_option_is_an_error() -> None:
    """A misspelled option fails at the first connection; aiohttp's own factory would drop all of them."""
    with pytest.raises(TypeError):
        Acceptor(refuse, max_line_sise=1)()


async def test_compressed_bodies_are_not_unpacked() -> None:
    """The parser is told to leave Content-Encoding alone."""
    assert Acceptor(refuse)._kwargs["auto_decompress"] is False


def test_the_names_that_are_leaned_on_exist() -> None:
    """aiohttp's loop still calls what stands in for its request and its response, and nothing else of them."""
    start = inspect.getsource(web.RequestHandler.start)
    assert "self._request_factory(" in start
    assert "resp.keep_alive" in start
    assert "request._task = None" in start
    handle = inspect.getsource(web.RequestHandler._handle_request)
    assert "await request_handler(request)" in handle
    finish = inspect.getsource(web.RequestHandler.finish_response)
    assert "request._finish()" in finish
    assert finish.index("prepare_meth(request)") < finish.index("resp.write_eof()")
    assert "_current_request._cancel(exc)" in inspect.getsource(web.RequestHandler.connection_lost)
    assert "_payload_parser.feed_data(data)" in inspect.getsource(web.RequestHandler.data_received)
    for name in ("_waiter", "_task_handler", "_message_tail", "_upgraded", "_payload_parser"):
        assert hasattr(web.RequestHandler, name), name
    assert EMPTY_PAYLOAD.is_eof()


async def test_the_ready_answers_write_nothing() -> None:
    """What the handler returns tells aiohttp only whether to keep the connection."""
    for answered, keep in ((KEEP, True), (CLOSE, False)):
        assert answered.keep_alive is keep
        await answered.prepare(None)
        await answered.write_eof()
        assert not answered.prepared
