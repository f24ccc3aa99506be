"""One connection on which everybody's commands are under way at once.

The one idea: Redis answers in the order it was asked, so a command is written as it comes and its reply belongs to
whoever waits longest. Nobody waits for a connection to be free, and a caller who gives up leaves only its place in the
row: the reply that comes for it is dropped and the next one is never taken for it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any, Final, TypeAlias, cast

import hiredis
from redis.asyncio.connection import DefaultParser
from redis.exceptions import ConnectionError as ConnectionBroke
from redis.exceptions import InvalidResponse, RedisError

Argument: TypeAlias = str | bytes | int | float

_ASKING: Final = hiredis.pack_command(("ASKING",))


class Connection(asyncio.Protocol):
    """A connection to one Redis (RESP 2: text as bytes, maps as flat lists). It knows no deadlines: who asks has one.

    It does not push back when Redis is slower than those who ask; their deadlines bound what waits.
    """

    def __init__(self) -> None:
        self._reader = hiredis.Reader(protocolError=InvalidResponse, replyError=DefaultParser.parse_error)
        self._waiting: deque[asyncio.Future[Any] | None] = deque()
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport
        self._retired = False
        self.usable = False
        """Whether a command that is sent now may be answered: it is open, and was not retired."""

    def send(self, *command: Argument) -> asyncio.Future[Any]:
        """Send one command, now; return its reply to come.

        The reply is an error (`redis.exceptions.RedisError`) when Redis says so or the connection breaks.
        """
        reply: asyncio.Future[Any] = self._loop.create_future()
        if self.usable:
            self._waiting.append(reply)
            self._transport.write(hiredis.pack_command(command))  # type: ignore[arg-type]  # its stub says one word
        else:
            reply.set_exception(ConnectionBroke("the connection is closed"))
        return reply

    def send_asking(self, *command: Argument) -> asyncio.Future[Any]:
        """Send a command about a slot that the server is only just taking over: ASKING goes right before it."""
        if self.usable:
            self._waiting.append(None)
            self._transport.write(_ASKING)
        return self.send(*command)

    def retire(self, patience: float) -> None:
        """Take no more commands; close when all that are under way ended, at the latest after `patience` seconds."""
        if not self.usable:
            return
        self.usable = False
        self._retired = True
        self._close_when_done()
        if self._waiting:
            self._loop.call_later(patience, self._transport.abort)

    def hand_over(self) -> asyncio.Transport:
        """Give the connection away: from now on another protocol has it. Nothing may be under way.

        Raises:
            redis.exceptions.ConnectionError: when it broke already.
        """
        if not self.usable:
            raise ConnectionBroke("the connection is closed")
        self.usable = False
        return self._transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Be ready for commands."""
        self._transport = cast("asyncio.Transport", transport)
        self.usable = True

    def data_received(self, data: bytes) -> None:
        """Give each reply to whoever waits longest."""
        self._reader.feed(data)
        try:
            while (reply := self._reader.gets()) is not False:
                if not self._waiting:  # such as "too many clients", before anything was asked
                    raise reply if isinstance(reply, RedisError) else InvalidResponse("a reply that nobody asked for")
                self._answer(self._waiting.popleft(), reply)
        except RedisError as error:
            self._break(error)
        if self._retired:
            self._close_when_done()

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell everybody who waits."""
        self._break(ConnectionBroke("the connection broke") if exc is None else exc)

    @staticmethod
    def _answer(waiting: asyncio.Future[Any] | None, reply: Any) -> None:
        if waiting is None or waiting.done():  # it gave up
            return
        if isinstance(reply, Exception):
            waiting.set_exception(reply)
        else:
            waiting.set_result(reply)

    def _break(self, error: Exception) -> None:
        self.usable = False
        self._transport.abort()
        while self._waiting:
            if (waiting := self._waiting.popleft()) is not None and not waiting.done():
                waiting.set_exception(ConnectionBroke(str(error)))

    def _close_when_done(self) -> None:
        if all(waiting is None or waiting.done() for waiting in self._waiting):
            self._transport.close()
