"""What the tests of both upstreams share: exchanges, bodies, and upstreams that are closed and leave nothing behind."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any

from gateway.clock import SYSTEM, Clock
from gateway.events import Event
from gateway.exchange import Body, Buffered, Exchange, Headers, Reply
from gateway.wire.backend import BackendUpstream
from gateway.wire.forwarded import Forwarding
from gateway.wire.settings import PRIVATE, IngressSettings
from gateway.wire.vendor import VendorUpstream

HOST = (b"Host", b"portal.example")


class Pieces:
    """A body that is read piece by piece; `gate`, when given, is awaited before each piece but the first."""

    def __init__(
        self, pieces: Iterable[bytes], length: int | None = None, gate: Callable[[], Any] | None = None
    ) -> None:
        self._pieces = list(pieces)
        self._gate = gate
        self.length = length
        self.reading = False
        self.given = 0

    async def __aiter__(self) -> AsyncIterator[bytes]:
        self.reading = True
        try:
            for number, piece in enumerate(self._pieces):
                if number and self._gate is not None:
                    await self._gate()
                self.given += 1
                yield piece
        finally:
            self.reading = False

    async def aclose(self) -> None:
        return None


def exchange(
    method: str = "GET", target: bytes = b"/", headers: Headers | None = None, body: Body | None = None, **more: Any
) -> Exchange:
    """An exchange from a loopback client."""
    fields = [HOST] if headers is None else headers
    return Exchange(method, target, fields, body or Buffered(), peer="127.0.0.1", client="127.0.0.1", **more)


async def content(reply: Reply) -> bytes:
    """Read a reply's content whole, and close it."""
    try:
        return b"".join([data async for data in reply.body])
    finally:
        await reply.body.aclose()


class Upstream(BackendUpstream):
    """A `BackendUpstream` that keeps its events."""

    def __init__(self, backend: str, *, clock: Clock = SYSTEM, **settings: Any) -> None:
        self.events: list[Event] = []
        ingress = IngressSettings(backend=backend, **settings)
        super().__init__(ingress, Forwarding(PRIVATE), self.events.append, clock)


@asynccontextmanager
async def to_backend(backend: str, **settings: Any) -> AsyncIterator[Upstream]:
    """An upstream to `backend`, closed at the end, with no connection left open."""
    upstream = Upstream(backend, **settings)
    try:
        yield upstream
    finally:
        await upstream.aclose()
        assert upstream.pool.open == upstream.pool.waiting == 0


class Vendor(VendorUpstream):
    """A `VendorUpstream` that keeps its events, and tells of its connections."""

    def __init__(self, base_url: str, **more: Any) -> None:
        self.events: list[Event] = []
        super().__init__("whmcs", base_url, self.events.append, **more)

    @property
    def in_use(self) -> int:
        """Connections that a call holds."""
        return len(self._session.connector._acquired) if self._session else 0

    @property
    def waiting(self) -> int:
        """Connections that wait for a call."""
        return sum(map(len, self._session.connector._conns.values())) if self._session else 0


@asynccontextmanager
async def to_vendor(base_url: str, **more: Any) -> AsyncIterator[Vendor]:
    """An upstream to `base_url`, closed at the end, with no connection left in use."""
    upstream = Vendor(base_url, **more)
    try:
        yield upstream
        assert upstream.in_use == 0
    finally:
        await upstream.aclose()
