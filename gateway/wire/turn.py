"""One request and its answer on a client's connection: from parsed header section to last byte.

The one idea: an answer that cannot be finished is never ended cleanly. Until its first byte has left it can be
replaced by an error; after that the connection is reset.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from email.utils import formatdate
from typing import Final, Literal

from aiohttp.hdrs import CONTENT_LENGTH, EXPECT, UPGRADE

from gateway.clock import Clock
from gateway.errors import GatewayError, Shape
from gateway.exchange import Buffered, Exchange, Handler, Headers, Reply
from gateway.wire import admission
from gateway.wire.acceptor import CLOSE, KEEP, Answered, Inbound
from gateway.wire.admission import Refusal
from gateway.wire.forwarded import Forwarding
from gateway.wire.headers import wants_upgrade
from gateway.wire.idle_watch import IdleWatch
from gateway.wire.reply_writer import CHUNKED_END, Outlet, framed, has_no_body, section
from gateway.wire.request_body import RequestBody
from gateway.wire.settings import LimitSettings
from gateway.wire.tunnel import Bridge

_SMALL: Final = 64 * 1024
"""Bytes of an unwanted request body that are read and dropped, so that the connection can be used again."""
_LINGER_SECONDS: Final = 3.0
"""How long an unwanted request body is read on, so that the client sees the answer and not a reset."""


@dataclass(slots=True)
class House:
    """What the turns of one listener share."""

    handler: Handler
    forwarding: Forwarding | None
    limits: LimitSettings
    idle_timeout: float | None
    clock: Clock
    shape: Shape
    draining: bool = False


class Turn:
    """Runs one exchange."""

    __slots__ = (
        "_body", "_bridge", "_connection", "_house", "_idle", "_inbound", "_message", "_old", "_outlet",
        "_stopping", "_task", "_upgrade",
    )  # fmt: skip

    def __init__(self, house: House, inbound: Inbound) -> None:
        self._house = house
        self._inbound = inbound
        self._message = inbound.message
        self._connection = inbound.connection
        self._outlet = Outlet(inbound, asyncio.get_running_loop())
        self._task = asyncio.current_task()
        self._old = self._message.version != (1, 1)
        self._upgrade: bytes | None = None
        self._body: RequestBody | None = None
        self._bridge: Bridge | None = None
        self._stopping = False
        self._idle: IdleWatch | None = None

    async def run(self) -> Answered:
        """Handle the request and write the answer; tell whether the connection may be used again."""
        try:
            return await self._run()
        finally:
            if self._idle is not None:
                self._idle.stop()

    async def _run(self) -> Answered:
        refusal = admission.refuse(self._message, self._house.limits)
        if refusal is not None:
            return self._refuse(refusal)
        exchange = self._exchange()
        if self._body is not None and _longer(self._body.length, self._house.limits.body_bytes):
            return await self._settle(self._refuse(admission.TOO_LARGE))
        try:
            reply = await self._house.handler(exchange)
        except asyncio.CancelledError:
            if not self._stopping or self._task is None:
                raise
            self._task.uncancel()
            return self._refuse(admission.SHUTTING_DOWN)
        except Exception as error:
            return await self._settle(self._fail(error))
        try:
            answered = await self._answer(reply)
        finally:
            await reply.body.aclose()
        return answered if self._body is None else await self._settle(answered)

    def abort(self) -> None:
        """End the connection at once, and with it this turn."""
        self._outlet.abort()

    def leave(self) -> None:
        """The server goes away: a tunnel is told so, a request without an answer gets a 503, a stream is broken off."""
        if self._bridge is not None:
            self._bridge.leave()
        elif self._outlet.begun:
            self.abort()
        elif self._task is not None:
            self._stopping = True
            self._task.cancel()

    # -- the request

    def _exchange(self) -> Exchange:
        house, message = self._house, self._message
        headers: Headers = list(message.raw_headers)
        connection = self._connection
        scheme: Literal["http", "https"] = "https" if connection.ssl_context else "http"
        exchange = Exchange(
            message.method,
            message.path.encode("utf-8", "surrogateescape"),
            headers,
            peer=connection.peer,
            client=connection.peer,
            scheme=scheme,
        )
        if house.forwarding is not None:
            exchange.client, exchange.scheme = house.forwarding.origin(connection.peer, scheme, headers)
        if self._inbound.has_body:
            exchange.body = self._body = self._request_body()
        if not self._old:
            exchange.on_informational = self._outlet.relay
        if UPGRADE in message.headers:
            self._allow_upgrade(exchange)
        return exchange

    def _request_body(self) -> RequestBody:
        message = self._message
        length = None if message.chunked else int(message.headers[CONTENT_LENGTH])
        self._outlet.held_back = not self._old and message.headers.get(EXPECT, "").lower() == "100-continue"
        return RequestBody(
            self._inbound.payload, length, self._house.limits.body_bytes, begin=self._begin_body, moved=self._moved
        )

    def _allow_upgrade(self, exchange: Exchange) -> None:
        """Let the request ask for a tunnel only when the parser stops after it, too (not with HTTP/1.0)."""
        protocol = wants_upgrade(exchange.headers)
        if self._message.upgrade and not self._old:
            self._upgrade = protocol
        elif protocol is not None:
            exchange.headers = [pair for pair in exchange.headers if pair[0].lower() != b"upgrade"]

    def _begin_body(self) -> None:
        """Somebody reads the request's content; one that is here already cannot fall silent."""
        assert self._body is not None
        if not self._body.arrived:
            self._begin_moving()
            self._outlet.permit()

    def _begin_moving(self) -> None:
        """A body or a tunnel is under way: from now on, silence is limited."""
        house = self._house
        if self._idle is not None:
            self._idle.touch()
        elif house.idle_timeout is not None:
            self._idle = IdleWatch(house.idle_timeout, house.clock, self._stall)

    def _moved(self) -> None:
        if self._idle is not None:
            self._idle.touch()

    def _stall(self) -> None:
        """No byte has moved for too long: end the connection, unless the upload is over and only the answer is due."""
        self._idle = None
        if self._outlet.begun or (self._body is not None and not self._body.arrived):
            self.abort()

    # -- the answer

    async def _answer(self, reply: Reply) -> Answered:
        try:
            if reply.tunnel is not None:
                return await self._carry(reply)
            return await self._write(reply)
        except asyncio.CancelledError:
            self._outlet.abort()
            raise
        except Exception as error:  # the body broke, whatever the reason: the client must see that
            if not self._outlet.begun:
                self._outlet.take_back()
                return self._fail(error)
            self._outlet.abort()
            return CLOSE

    async def _write(self, reply: Reply) -> Answered:
        method, body, outlet = self._message.method, reply.body, self._outlet
        length = body.length
        headers, chunked = framed(reply.headers, reply.status, method, length)
        keep = self._may_keep()
        if chunked and self._old:
            headers.pop()
            keep = chunked = False
        if reply.error:
            headers.append((b"Date", formatdate(self._house.clock.wall(), usegmt=True).encode()))
        if not keep:
            headers.append((b"Connection", b"close"))
        elif self._old:
            headers.append((b"Connection", b"keep-alive"))
        head = section(reply.status, reply.reason, headers)
        if has_no_body(method, reply.status):
            outlet.send(head)
        elif isinstance(body, Buffered):
            outlet.send(head + body.content)
            if outlet.blocked:
                self._begin_moving()
                await outlet.drain()
        else:
            outlet.put(head)
            await self._stream(reply, length, chunked)
            outlet.flush()
        return KEEP if keep else CLOSE

    async def _stream(self, reply: Reply, length: int | None, chunked: bool) -> None:
        outlet = self._outlet
        self._begin_moving()
        size = 0
        async for data in reply.body:
            if not data:
                continue
            size += len(data)
            if length is not None and size > length:
                break
            self._moved()
            outlet.put(b"%x\r\n%b\r\n" % (len(data), data) if chunked else data)
            await outlet.drain()
        if length is not None and size != length:
            raise GatewayError("internal-error", private=f"a body of {length} bytes had {size}")
        if chunked:
            outlet.put(CHUNKED_END)

    def _may_keep(self) -> bool:
        """Tell whether the connection can be used again, as far as that is known before the answer is written."""
        if self._message.should_close or self._house.draining:
            return False
        if self._message.upgrade and self._upgrade is None:
            return False  # the parser loses what is pipelined behind an upgrade that it does not know
        body = self._body
        if body is None or body.arrived:
            return True
        return not self._outlet.held_back and body.length is not None and body.length <= _SMALL

    async def _settle(self, answered: Answered) -> Answered:
        """Deal with what is left of the request's content."""
        body = self._body
        if body is None or body.arrived:
            return answered
        if body.reading:  # by somebody who was to have stopped
            body.abandon()
            self._outlet.abort()
            return CLOSE
        if self._outlet.held_back:  # the client waits for a permission that it will not get
            return CLOSE
        return answered if await body.discard(_LINGER_SECONDS) else CLOSE

    async def _carry(self, reply: Reply) -> Answered:
        """Switch protocols (RFC 9110 section 7.8) and carry bytes until an end."""
        assert reply.tunnel is not None
        if self._upgrade is None:
            await reply.tunnel.aclose()
            raise GatewayError("upstream-unreachable", private="an upgrade that was not asked for")
        headers = [pair for pair in reply.headers if pair[0].lower() not in (b"connection", b"upgrade")]
        headers += [(b"Connection", b"Upgrade"), (b"Upgrade", self._upgrade)]
        self._outlet.send(section(101, reply.reason, headers))
        self._bridge = Bridge(self._connection, self._outlet, reply.tunnel, self._moved)
        self._begin_moving()
        await self._bridge.run()
        if self._bridge.broken:
            self._outlet.abort()
        return CLOSE

    # -- failures

    def _refuse(self, refusal: Refusal) -> Answered:
        self._outlet.send(refusal.as_bytes(self._house.shape))
        return CLOSE

    def _fail(self, error: Exception) -> Answered:
        """Answer for an error that no layer has turned into a reply; what nobody expected is reported to the loop."""
        if isinstance(error, GatewayError):
            return self._refuse(Refusal(error.status, error.title, error.code, error.detail or error.title))
        context = {"message": "a request ended with an unexpected error", "exception": error}
        asyncio.get_running_loop().call_exception_handler(context)
        return self._refuse(admission.INTERNAL)


def _longer(length: int | None, limit: int | None) -> bool:
    return length is not None and limit is not None and length > limit
