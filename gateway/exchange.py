"""The vocabulary that every hop speaks: an `Exchange` goes in, a `Reply` comes back.

The one idea: headers are raw byte pairs and the target is raw bytes from the client's socket to the backend's,
so that order, case, duplicates and odd bytes survive. Nothing here knows a loop, a socket or a library.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from gateway.errors import GatewayError

Headers = list[tuple[bytes, bytes]]
"""Fields in the order of the wire, names in the case of the wire, values without surrounding white space."""


def header(headers: Headers, name: bytes) -> bytes | None:
    """Return the first value of the field `name` (given in lower case), or None."""
    for key, value in headers:
        if len(key) == len(name) and key.lower() == name:
            return value
    return None


def header_values(headers: Headers, name: bytes) -> list[bytes]:
    """Return every value of the field `name` (given in lower case), in order."""
    return [value for key, value in headers if key.lower() == name]


def without(headers: Headers, names: frozenset[bytes]) -> Headers:
    """Return the fields whose lower-case name is not in `names`."""
    return [pair for pair in headers if pair[0].lower() not in names]


class Body(Protocol):
    """A request's or reply's content: iterated once, then closed, also when it was not read to its end.

    `length` is the number of bytes when it is known before reading, else None (chunked on the wire).
    `aclose` may be called at any time and more than once; it frees what the body holds (a connection, a permit).
    """

    @property
    def length(self) -> int | None: ...

    def __aiter__(self) -> AsyncIterator[bytes]: ...

    async def aclose(self) -> None: ...


class Buffered:
    """A body that is already in memory."""

    __slots__ = ("content",)

    def __init__(self, content: bytes = b"") -> None:
        self.content = content

    @property
    def length(self) -> int:
        return len(self.content)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        if self.content:
            yield self.content

    async def aclose(self) -> None:
        return None


class Released:
    """A body that runs `release` exactly once when it is closed: how a permit is held until the last byte."""

    __slots__ = ("_inner", "_release")

    def __init__(self, inner: Body, release: Callable[[], None]) -> None:
        self._inner = inner
        self._release: Callable[[], None] | None = release

    @property
    def length(self) -> int | None:
        return self._inner.length

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._inner.__aiter__()

    async def aclose(self) -> None:
        try:
            await self._inner.aclose()
        finally:
            release, self._release = self._release, None
            if release is not None:
                release()


async def read_all(body: Body, limit: int) -> bytes:
    """Read a body whole and close it.

    Raises:
        GatewayError: `payload-too-large` (413) when there are more than `limit` bytes.
    """
    if isinstance(body, Buffered) and body.length <= limit:
        return body.content
    chunks: list[bytes] = []
    size = 0
    try:
        async for chunk in body:
            size += len(chunk)
            if size > limit:
                raise GatewayError("payload-too-large", detail=f"The body is larger than {limit} bytes.")
            chunks.append(chunk)
    finally:
        await body.aclose()
    return b"".join(chunks)


Failure = Literal["", "error", "refused", "unauthenticated"]
"""What an answer tells besides its status: nothing; that the call failed; that this caller may not make it; that its
credentials are wrong. The last two are final: another attempt does no good."""


class Tunnel(Protocol):
    """The upstream's side of a connection that was upgraded (RFC 9110 section 7.8): bytes both ways."""

    async def read(self) -> bytes:
        """Return the next bytes, `b""` at the end."""
        ...

    async def write(self, data: bytes) -> None: ...

    async def aclose(self) -> None: ...


@dataclass(slots=True, eq=False)
class Exchange:
    """One request on its way through the layers.

    A layer that changes what is forwarded assigns `headers`, `body` or `target` before it calls `forward`.
    """

    method: str
    target: bytes
    """The request target, byte for byte as it came (RFC 9112 section 3.2)."""
    headers: Headers = field(default_factory=list)
    body: Body = field(default_factory=Buffered)
    peer: str = ""
    """Address of the socket's other end; empty for a unix socket."""
    client: str = ""
    """Address of the client as told by trusted proxies, else `peer`."""
    scheme: Literal["http", "https"] = "http"
    """The scheme the client used, as told by trusted proxies, else the socket's."""
    origin: str | None = None
    """`scheme://host[:port]` to send the call to instead of the upstream's own; set by a frame that knows better."""
    route: str = "other"
    """The configured pattern the request met: the `route` label of the metrics."""
    before_send: Callable[[], Awaitable[None]] | None = None
    """Awaited by the upstream when its connection is ready, directly before the first byte is written."""
    on_unsent: Callable[[], None] | None = None
    """Called by the upstream when it cannot write after `before_send`: nothing has left, and it will ask again."""
    on_informational: Callable[[int, bytes, Headers], None] | None = None
    """Called by the upstream for each 1xx (not 101) with status, reason and headers, to relay it."""
    queue_deadline: float | None = None
    """When its wait for an upstream's limits ends, on the monotonic clock; set by its first attempt, kept by others."""
    upstream_seconds: float = 0.0
    """Time spent waiting for the upstream, so that the gateway's own share can be told."""
    queue_seconds: float = 0.0
    """Time spent waiting for a permit or a slot of the upstream's limits."""
    attempts: int = 0
    """How often it set out for the upstream."""
    sent: bool = False
    """Whether the upstream may have seen anything of the last attempt."""


@dataclass(slots=True, eq=False)
class Reply:
    """What goes back. Whoever receives a Reply closes its body, whatever happens."""

    status: int
    headers: Headers = field(default_factory=list)
    body: Body = field(default_factory=Buffered)
    reason: bytes = b""
    """The reason phrase as it came; empty: the standard one."""
    tunnel: Tunnel | None = None
    """Set with status 101: after the header section, bytes are carried both ways."""
    error: str = ""
    """The code of the gateway's own error (`maintenance`, …); empty for what an upstream answered."""
    failure: Failure = ""
    """Set by a vendor's frame that reads its answers."""


Handler = Callable[[Exchange], Awaitable[Reply]]


class Layer(Protocol):
    """One frame of the road: may answer by itself, or change the exchange, forward it and change the reply."""

    async def handle(self, exchange: Exchange, forward: Handler) -> Reply: ...


def chain(layers: Sequence[Layer], end: Handler) -> Handler:
    """Wrap `end` in the layers, the first one outermost."""
    handler = end
    for layer in reversed(layers):
        handler = _bind(layer, handler)
    return handler


def _bind(layer: Layer, forward: Handler) -> Handler:
    handle = layer.handle

    def call(exchange: Exchange) -> Awaitable[Reply]:
        return handle(exchange, forward)

    return call
