"""One connection to the backend: a request goes out, one response or one tunnel comes in.

The one idea: a connection belongs to one exchange from `send` until the response is whole, and goes back to its owner
in that moment, once, without waiting for whoever reads the content. Whatever else happens to it closes it.
"""

from __future__ import annotations

import asyncio
from typing import Final, NamedTuple, Protocol, cast

from gateway.clock import Clock
from gateway.errors import GatewayError
from gateway.wire.broken import Broken, Reason
from gateway.wire.idle_watch import IdleWatch
from gateway.wire.inflow import HIGH_WATER, BackendResponse, BackendTunnel
from gateway.wire.response_parser import Informational, ProtocolError, ResponseParser

_CLOSED: Final = "the backend closed the connection"


class Limits(NamedTuple):
    """Seconds; None: no limit."""

    response: float | None
    """From the end of the request to the end of the header section."""
    idle: float | None
    """Without a byte either way, on a body or a tunnel."""


class Owner(Protocol):
    """Who opened the connection."""

    def release(self, connection: Connection) -> None:
        """Take back a connection that may serve another exchange."""
        ...

    def forget(self, connection: Connection) -> None:
        """Note that the connection is closed."""
        ...

    def broke(self, reason: Reason) -> None:
        """Note that a response broke off behind its header section."""
        ...


class Connection(asyncio.Protocol):
    """A connection over TCP or a unix socket, used for one exchange at a time."""

    __slots__ = (
        "_clock", "_deadline", "_drained", "_idle", "_limits", "_loop", "_owner", "_parser", "_read_paused",
        "_received", "_response", "_sent", "_transport", "_tunnel", "_waiter", "_write_paused", "closed", "released_at",
    )  # fmt: skip

    def __init__(self, owner: Owner, limits: Limits, clock: Clock) -> None:
        self._owner = owner
        self._limits = limits
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._parser = ResponseParser(self)
        self._transport: asyncio.Transport | None = None
        self._waiter: asyncio.Future[BackendResponse] | None = None
        self._response: BackendResponse | None = None
        self._tunnel: BackendTunnel | None = None
        self._drained: asyncio.Future[None] | None = None
        self._deadline: asyncio.TimerHandle | None = None
        self._idle: IdleWatch | None = None
        self._received = False
        self._sent = True
        self._read_paused = False
        self._write_paused = False
        self.closed = False
        """Closed or being closed by the gateway, or seen to be closed by the backend."""
        self.released_at = 0.0
        """When the owner last took it back; the owner's note."""

    def send(
        self, data: bytes, *, whole: bool, head_request: bool, upgrade: bool, informational: Informational | None
    ) -> asyncio.Future[BackendResponse]:
        """Write a request's header section, and its content when it is `whole`; else `write` and `sent` follow.

        The future ends with the final header section, or with `Broken`. Only an open connection may be asked.
        """
        assert self._transport is not None
        self._received = False
        self._parser.begin(head_request=head_request, upgrade=upgrade, informational=informational)
        self._waiter = waiter = self._loop.create_future()
        self._transport.write(data)
        self._sent = False
        if whole:
            self.sent()
        return waiter

    def write(self, data: bytes) -> None:
        """Write more of the request's content, or into the tunnel; `drain` before the next.

        Raises:
            ConnectionResetError: the connection is closed.
        """
        if not self.usable or self._transport is None:
            raise ConnectionResetError(_CLOSED)
        self._touch()
        self._transport.write(data)

    async def drain(self) -> None:
        """Wait while the backend takes nothing.

        Raises:
            ConnectionResetError: the connection was closed meanwhile.
        """
        if self._write_paused:
            self._drained = self._loop.create_future()
            try:
                await self._drained
            finally:
                self._drained = None
            self._touch()

    def sent(self) -> None:
        """Note that the request is whole: from now on the backend is waited for."""
        self._sent = True
        if self._waiter is None:
            return
        if self._idle is not None:
            self._idle.stop()
            self._idle = None
        if self._limits.response is not None:
            self._deadline = self._loop.call_later(self._limits.response, self._late)

    def watch(self) -> None:
        """Close the connection when no byte moves for the idle limit, until the exchange ends."""
        if self._idle is None and self._limits.idle is not None and not self.closed:
            self._idle = IdleWatch(self._limits.idle, self._clock, self._silent)

    def break_off(self, error: Exception) -> None:
        """Close, and let whoever waits for the answer have `error`: the request's content could not be read."""
        waiter, response = self._waiter, self._response
        self.abandon()
        if waiter is not None and not waiter.done():
            waiter.set_exception(error)
        if response is not None:
            response.fail(GatewayError("upstream-unreachable", private="the request's content broke off"))

    def resume(self) -> None:
        self._touch()
        if self._read_paused:
            self._read_paused = False
            if self._transport is not None and not self._transport.is_closing():
                self._transport.resume_reading()

    def abandon(self) -> None:
        """Close at once and let nobody know: the exchange is over. Unsent bytes are lost, except a tunnel's."""
        self._waiter = self._response = None
        if self._transport is not None and not self.closed:
            if self._tunnel is not None:
                self._transport.close()
            else:
                self._transport.abort()
        self.closed = True

    def close(self) -> None:
        """Close, and tell whoever waits."""
        self._fail("disconnect", "the gateway is closing")
        if self._transport is not None:
            self._transport.abort()

    @property
    def usable(self) -> bool:
        """Whether something can be sent, as far as is known without asking the socket."""
        return not self.closed and self._transport is not None and not self._transport.is_closing()

    @property
    def fileno(self) -> int:
        """The socket's descriptor, -1 when there is none any more."""
        return -1 if self._transport is None else int(self._transport.get_extra_info("socket").fileno())

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is one without being a subclass
        if self.closed:  # the exchange went away while the connection was opened
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        if self._tunnel is not None:
            self._touch()
            self._tunnel.feed(data)
            self._throttle(self._tunnel)
            return
        waiter = self._waiter
        if (waiter is None and self._response is None) or (waiter is not None and waiter.cancelled()):
            self.abandon()  # nobody asked, or nobody waits any more
            return
        self._received = True
        parser = self._parser
        try:
            parser.feed(data)
        except ProtocolError as error:
            self._fail("protocol", str(error))
            return
        response = parser.response
        if response is None:
            return
        if waiter is not None:
            self._answered(waiter, response)
        if parser.complete:
            self._finish(response)
        elif self._tunnel is None:
            self._touch()
            self._throttle(response)

    def eof_received(self) -> None:
        response = self._response
        if self._tunnel is not None:
            self._tunnel.finish()
        elif response is not None and self._parser.feed_eof():
            self._finish(response)
        elif response is None and self._waiter is None:
            self.abandon()

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed = True
        self._fail("disconnect", _CLOSED if exc is None else f"{_CLOSED} ({type(exc).__name__})")
        self._stop_timers()
        if self._drained is not None and not self._drained.done():
            self._drained.set_exception(ConnectionResetError(_CLOSED))
        self._transport = None
        self._owner.forget(self)

    def pause_writing(self) -> None:
        self._write_paused = True

    def resume_writing(self) -> None:
        self._write_paused = False
        if self._drained is not None and not self._drained.done():
            self._drained.set_result(None)

    def _answered(self, waiter: asyncio.Future[BackendResponse], response: BackendResponse) -> None:
        self._waiter = None
        self._response = response
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
        self._tunnel = response.tunnel
        if self._tunnel is not None:
            self.watch()
        waiter.set_result(response)

    def _finish(self, response: BackendResponse) -> None:
        """The response is whole: part with it, and go back to the owner if all was as it should be."""
        assert self._transport is not None
        self._response = None
        self._stop_timers()
        self.resume()
        unsent = not self._sent or self._transport.get_write_buffer_size()
        if self._parser.keep_alive and not unsent and not self.closed:
            self._owner.release(self)
        else:
            self.abandon()
        response.finish()

    def _fail(self, reason: Reason, text: str) -> None:
        """Close, and let whoever waits or reads know why."""
        waiter, response, tunnel = self._waiter, self._response, self._tunnel
        self.abandon()
        self._tunnel = None
        broken = Broken(reason, text, answered=self._received)
        if waiter is not None and not waiter.done():
            waiter.set_exception(broken)
        if tunnel is not None and not tunnel.complete:
            tunnel.fail(broken.error())
        elif response is not None:
            self._owner.broke(reason)
            response.fail(broken.error())

    def _throttle(self, inflow: BackendResponse | BackendTunnel) -> None:
        if inflow.size > HIGH_WATER and not self._read_paused and self._transport is not None:
            self._read_paused = True
            self._transport.pause_reading()
        inflow.wake()

    def _touch(self) -> None:
        if self._idle is not None:
            self._idle.touch()

    def _late(self) -> None:
        self._fail("timeout", f"no answer within {self._limits.response:g} s")

    def _silent(self) -> None:
        self._fail("timeout", f"no byte either way for {self._limits.idle:g} s")
        if self._transport is not None:  # a tunnel's last bytes, that nobody takes
            self._transport.abort()

    def _stop_timers(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
        if self._idle is not None:
            self._idle.stop()
            self._idle = None
