"""The border to aiohttp's server: every place where the gateway leans on how aiohttp works inside.

The one idea: aiohttp parses requests and runs a connection's loop; what it would make of a request (`BaseRequest`) and
of an answer (`StreamResponse`) is left out, because both cost more than the rest of the hop and rewrite what must
pass unchanged. `tests/wire/test_acceptor.py` fails when a name used here changes its meaning.

What is leaned on, in aiohttp 3.14: `RequestHandler.start` calls the server's `request_factory`, sets `_task`, calls
`_cancel` and `_finish` on what it made; then it calls `prepare` and `write_eof` on what the handler returned and reads
its `keep_alive`. `set_parser` hands over the raw bytes that follow an upgrade. `EMPTY_PAYLOAD` means: no body.
`_waiter` is a future while the connection waits for a request. `data_received` appends to `_messages` what the parser
could not read, as an `_ErrInfo`, and `_current_request` is what is being handled.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final, Protocol, cast

from aiohttp import EMPTY_PAYLOAD, StreamReader, web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.web_protocol import _ErrInfo

from gateway.errors import Shape
from gateway.wire import admission

KEEPALIVE_SECONDS: Final = 75.0
"""How long a connection may be idle between two requests, from the client's side."""
READ_BUFFER: Final = 64 * 1024
"""Body bytes after twice which reading from the socket pauses."""


class Inbound:
    """A parsed header section with the body that follows it."""

    __slots__ = ("_task", "connection", "drain", "message", "payload")

    def __init__(
        self,
        message: admission.Message,
        payload: StreamReader,
        connection: ClientConnection,
        writer: AbstractStreamWriter,
        task: asyncio.Task[None],
    ) -> None:
        self.message = message
        self.payload = payload
        self.connection = connection
        self.drain: Callable[[], Awaitable[None]] = writer.drain
        self._task = task

    @property
    def has_body(self) -> bool:
        return self.payload is not EMPTY_PAYLOAD

    def _cancel(self, error: BaseException) -> None:
        """Called when the connection is lost: whoever reads the body is told."""
        if self.has_body:
            self.payload.set_exception(error)

    def _finish(self) -> None:
        """Called when the answer is ready; there is nothing to tidy up."""


class Answered(web.StreamResponse):
    """Tells aiohttp that the answer is already on its way, and whether the connection may be used again."""

    def __init__(self, keep_alive: bool) -> None:
        super().__init__()
        self._keep_alive = keep_alive

    async def prepare(self, request: Any) -> AbstractStreamWriter | None:
        return None

    async def write_eof(self, data: bytes = b"") -> None:
        return None


KEEP: Final = Answered(keep_alive=True)
CLOSE: Final = Answered(keep_alive=False)


class Inlet(Protocol):
    """Where the bytes go that a client sends after an upgrade."""

    def feed_data(self, data: bytes) -> tuple[bool, bytes]: ...

    def feed_eof(self) -> None: ...


class ClientConnection(web.RequestHandler):
    """One client connection.

    Attributes:
        peer: the address of the other end, empty for a unix socket.
    """

    __slots__ = ("_inlet", "peer")

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._inlet: Inlet | None = None
        name = transport.get_extra_info("peername")
        address = str(name[0]) if isinstance(name, tuple) else ""
        self.peer = address[7:] if address.startswith("::ffff:") and "." in address else address
        super().connection_made(transport)

    @property
    def idle(self) -> bool:
        """Whether the connection waits for a request."""
        return self._waiter is not None and not self._waiter.done()

    def switch(self, inlet: Inlet) -> None:
        """Send what the client sends from now on, and what it has sent after the request, to `inlet`."""
        self._inlet = inlet
        self.set_parser(cast(Any, inlet))

    def data_received(self, data: bytes) -> None:
        """Read on, and tell whoever reads a body that its framing has broken.

        aiohttp only queues the fault as if it were the next request, behind one that waits for the rest of its body.
        """
        super().data_received(data)
        if self._messages and isinstance(self._messages[-1][0], _ErrInfo) and self._current_request is not None:
            payload = cast(Inbound, self._current_request).payload
            if not payload.is_eof():
                payload.set_exception(web.RequestPayloadError("broken framing"))

    def eof_received(self) -> bool | None:  # type: ignore[override]
        """Keep the other direction of a tunnel open when the client has ended its own; else the default: close."""
        if self._inlet is None:
            return None
        self._inlet.feed_eof()
        return True

    def handle_error(
        self, request: Any, status: int = 500, exc: BaseException | None = None, message: str | None = None
    ) -> web.StreamResponse:
        """Answer what the parser could not read, without a log line or a text that would hold bytes of the request."""
        if self.transport is None:
            return CLOSE
        if status == 400:
            refusal = admission.explain(exc, self.max_line_size)
            self.transport.write(refusal.as_bytes(cast(Acceptor, self._manager).shape))
        else:  # a fault of the gateway after which nothing is known of what was sent
            self.transport.abort()
        return CLOSE


class Acceptor(web.Server):
    """Makes a `ClientConnection` for each client.

    aiohttp's own factory answers any TypeError by dropping every tuning option; here it is raised.
    """

    def __init__(
        self, handler: Callable[[Inbound], Awaitable[web.StreamResponse]], shape: Shape = "problem", **options: Any
    ) -> None:
        self.shape = shape
        super().__init__(
            cast(Any, handler),
            request_factory=cast(Any, Inbound),
            handler_cancellation=True,
            access_log=None,
            auto_decompress=False,
            keepalive_timeout=KEEPALIVE_SECONDS,
            lingering_time=0,
            read_bufsize=READ_BUFFER,
            **options,
        )

    @property
    def clients(self) -> list[ClientConnection]:
        return cast(list[ClientConnection], self.connections)

    def __call__(self) -> ClientConnection:
        return ClientConnection(self, loop=self._loop, **self._kwargs)
