"""Hears what is published on a channel, over a connection of its own.

The one idea: messages get lost (while Redis is away, while the connection is made again) and that is fine, since
whoever listens asks by itself as well, only more slowly. So nothing is caught up on; after each new start the listener
is called once, because something may have been missed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias, cast

import hiredis
from redis.asyncio.connection import DefaultParser
from redis.exceptions import ConnectionError as ConnectionBroke
from redis.exceptions import InvalidResponse, RedisError

from gateway.redis_client.connection import Connection
from gateway.redis_client.failures import FAILURES

Heard: TypeAlias = Callable[[bytes], object]
"""Called with each message, and with an empty one when listening has begun, also anew."""


class Ear(asyncio.Protocol):
    """What a connection becomes that is given to a channel: Redis speaks, and is asked for nothing but a sign of life.

    Attributes:
        ended: done when the connection is of no use any more; the result is why.
    """

    def __init__(self, heard: Heard) -> None:
        self.ended: asyncio.Future[Exception] = asyncio.get_running_loop().create_future()
        self._heard = heard
        self._reader = hiredis.Reader(protocolError=InvalidResponse, replyError=DefaultParser.parse_error)
        self._alive = True
        self._transport: asyncio.Transport

    def listen(self, transport: asyncio.BaseTransport, channel: str) -> None:
        """Take a connection over and subscribe."""
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_protocol(self)
        self._send("SUBSCRIBE", channel)

    def check(self) -> None:
        """Ask for a sign of life; end when none came since this was called last."""
        if not self._alive:
            self._end(ConnectionBroke("Redis is silent"))
        self._alive = False
        self._send("PING")

    def close(self) -> None:
        """Listen no more."""
        self._transport.abort()

    def data_received(self, data: bytes) -> None:
        """Pass each message on."""
        self._alive = True
        self._reader.feed(data)
        try:
            while (reply := self._reader.gets()) is not False:
                self._take(reply)
        except RedisError as error:
            self._end(error)

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell whoever keeps it listening."""
        self._end(ConnectionBroke("the connection broke") if exc is None else exc)

    def _send(self, *command: str) -> None:
        self._transport.write(hiredis.pack_command(command))  # type: ignore[arg-type]  # its stub says one word

    def _take(self, reply: Any) -> None:
        match reply:
            case [b"message", _, payload]:
                self._heard(payload)
            case [b"subscribe", _, _]:
                self._heard(b"")
            case [b"pong", _]:
                pass
            case _:
                raise reply if isinstance(reply, RedisError) else InvalidResponse("not a message")

    def _end(self, error: Exception) -> None:
        if not self.ended.done():
            self.ended.set_result(error)


async def listen(
    dial: Callable[[], Awaitable[Connection]],
    channel: str,
    heard: Heard,
    failed: Callable[[Exception], object],
    pause: float,
) -> None:
    """Call `heard` with whatever is published on a channel, until cancelled.

    Args:
        dial: makes a connection, somewhere where the channel can be heard.
        channel: its name.
        heard: see `Heard`; must not raise.
        failed: told why it has to begin anew.
        pause: seconds between two attempts while Redis is away, and after which a silent Redis is asked for a sign of
            life, which it has as long to give.
    """
    while True:
        try:
            await _listen(await dial(), channel, heard, pause)
        except FAILURES as error:
            failed(error)
            await asyncio.sleep(pause)


async def _listen(connection: Connection, channel: str, heard: Heard, pause: float) -> None:
    ear = Ear(heard)
    ear.listen(connection.hand_over(), channel)
    try:
        while not (await asyncio.wait([ear.ended], timeout=pause))[0]:
            ear.check()
        raise ear.ended.result()
    finally:
        ear.close()
