"""The way to the backend: one exchange over one pooled connection, as light as Python allows.

The one idea: a request without content is one write, a small answer is one read, and between them there is one future
and no task. A request is written again only when it can do no harm: the pooled connection turned out to be closed,
nothing came back, and the method is idempotent with its content still in memory (RFC 9110 section 9.2.2).
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final, NamedTuple

from gateway.clock import SYSTEM, Clock
from gateway.events import Emit, ignore
from gateway.exchange import Body, Buffered, Exchange, Headers, Reply, header
from gateway.wire.broken import Broken, Reason
from gateway.wire.connection import Connection, Limits
from gateway.wire.events import UpstreamFailed, UpstreamResponded
from gateway.wire.forwarded import Forwarding
from gateway.wire.headers import end_to_end, wants_upgrade
from gateway.wire.inflow import BackendResponse
from gateway.wire.pool import Pool
from gateway.wire.settings import IngressSettings
from gateway.wire.upload import Pump

NAME: Final = "backend"
IDEMPOTENT: Final = frozenset(("GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"))


class _Request(NamedTuple):
    """A request as it goes out."""

    data: bytes
    """The header section, and the content when it is `whole`."""
    whole: bool
    head: bool
    upgrade: bool
    replayable: bool
    """Sending it twice does no harm, and it can be sent twice."""
    expects: bool
    """The client waits for `100 Continue` before it sends the content."""


class BackendUpstream:
    """The end of the ingress road.

    Content passes as it comes, both ways. What ends at this hop is left out of the header sections; trailer fields are
    dropped, and 1xx answers go to `exchange.on_informational`. A websocket upgrade becomes a reply with a tunnel.
    """

    def __init__(
        self, settings: IngressSettings, forwarding: Forwarding, emit: Emit = ignore, clock: Clock = SYSTEM
    ) -> None:
        self._forwarding = forwarding
        self._emit = emit
        self._clock = clock
        self._authority = _authority(settings.backend)
        self.pool = Pool(
            settings.backend,
            connect_timeout=settings.connect_timeout,
            limits=Limits(settings.response_timeout, settings.idle_timeout),
            clock=clock,
            broke=self._broke,
        )

    async def handle(self, exchange: Exchange) -> Reply:
        """Forward the request and return the answer, as soon as its header section is there.

        Raises:
            GatewayError: `upstream-unreachable` (502) when there is no connection, or it ends or makes no sense before
                the header section; `upstream-timeout` (504) when there is no answer in time. Also whatever reading the
                request's content raises.
        """
        headers = self._forwarding.outgoing(exchange)
        if (
            header(headers, b"host") is None
        ):  # HTTP/1.0 may leave it out, what goes on is HTTP/1.1 (RFC 9112 section 3.2)
            headers.insert(0, (b"Host", self._authority))
        request = _request(exchange, headers)
        started = self._clock.monotonic()
        try:
            response = await self._respond(exchange, request)
        except Broken as error:
            self._broke(error.reason)
            raise error.error() from error
        finally:
            exchange.upstream_seconds += self._clock.monotonic() - started
        self._emit(_responded(response.status))
        return await _reply(response)

    async def aclose(self) -> None:
        """Close every connection, also those in use."""
        await self.pool.aclose()

    async def _respond(self, exchange: Exchange, request: _Request) -> BackendResponse:
        """Send on a pooled connection, and once more on a new one when that did no harm; else on a new one."""
        connection = self.pool.take(ask=not request.replayable)
        if connection is not None:
            try:
                return await self._send(exchange, request, connection)
            except Broken as error:
                if error.sent and (error.answered or error.reason != "disconnect" or not request.replayable):
                    raise
        return await self._send(exchange, request, await self.pool.connect())

    async def _send(self, exchange: Exchange, request: _Request, connection: Connection) -> BackendResponse:
        """Send over a connection and return the header section; on any error the connection is closed."""
        if exchange.before_send is not None:
            await self._hook(exchange, connection)
        pump = None if request.whole else Pump(connection, exchange.body, asked=request.expects)
        waiter = connection.send(
            request.data,
            whole=request.whole,
            head_request=request.head,
            upgrade=request.upgrade,
            informational=exchange.on_informational if pump is None else pump.listening(exchange.on_informational),
        )
        if pump is not None:
            pump.start()
        try:
            response = await waiter
        except BaseException:
            if waiter.done() and not waiter.cancelled() and waiter.exception() is None:
                waiter.result().abandon()  # cancelled in the very moment the answer came
            else:
                connection.abandon()
            if pump is not None:
                await pump.stop()
            raise
        if pump is not None and pump.asking:
            await pump.stop()  # the answer is there, and nobody wants the content any more
        response.upload = pump
        return response

    async def _hook(self, exchange: Exchange, connection: Connection) -> None:
        """Await `before_send` while the connection is held.

        Raises:
            Broken: the connection was closed meanwhile; nothing was sent.
        """
        assert exchange.before_send is not None
        started = self._clock.monotonic()
        try:
            await exchange.before_send()
        except BaseException:
            if connection.usable:
                self.pool.release(connection)
            raise
        finally:
            exchange.upstream_seconds -= self._clock.monotonic() - started  # whoever lets wait counts it
        if not connection.usable:
            raise Broken("disconnect", "the backend closed the connection before the request", sent=False)

    def _broke(self, reason: Reason) -> None:
        self._emit(UpstreamFailed(NAME, reason))


def _authority(backend: str) -> bytes:
    return b"localhost" if backend.startswith("unix:") else backend.removeprefix("http://").encode()


def _request(exchange: Exchange, headers: Headers) -> _Request:
    """Write the header section (RFC 9112 section 3), the framing by what is known of the content."""
    body = exchange.body
    length = body.length
    content = body.content if isinstance(body, Buffered) else b""
    whole = length == 0 or isinstance(body, Buffered)
    upgrade = None if length != 0 else wants_upgrade(exchange.headers)
    lines = [b"%b: %b\r\n" % pair for pair in _framed(headers, length)]
    if upgrade is not None:
        lines.append(b"Connection: Upgrade\r\nUpgrade: %b\r\n" % upgrade)
    data = b"%b %b HTTP/1.1\r\n%b\r\n%b" % (exchange.method.encode(), exchange.target, b"".join(lines), content)
    replayable = whole and exchange.method in IDEMPOTENT
    expects = not whole and (header(headers, b"expect") or b"").lower() == b"100-continue"
    return _Request(data, whole, exchange.method == "HEAD", upgrade is not None, replayable, expects)


def _framed(headers: Headers, length: int | None) -> Headers:
    """Return the fields with the framing of the content; a client's Content-Length that is right keeps its place."""
    told = [value for name, value in headers if len(name) == 14 and name.lower() == b"content-length"]
    if not told and length == 0:
        return headers
    if length is not None and told == [b"%d" % length]:
        return headers
    rest = [pair for pair in headers if pair[0].lower() != b"content-length"]
    rest.append((b"Transfer-Encoding", b"chunked") if length is None else (b"Content-Length", b"%d" % length))
    return rest


@lru_cache(maxsize=1000)
def _responded(status: int) -> UpstreamResponded:
    return UpstreamResponded(NAME, status)


async def _reply(response: BackendResponse) -> Reply:
    """Make the reply; an answer that is whole is handed on in memory, its connection is free already."""
    headers = end_to_end(response.headers)
    if response.tunnel is not None:
        headers += [pair for pair in response.headers if pair[0].lower() == b"upgrade"]
        return Reply(response.status, headers, Buffered(), response.reason, tunnel=response.tunnel)
    if not response.complete:
        response.watch()
        return Reply(response.status, headers, response, response.reason)
    if response.upload is not None:
        await response.aclose()
    body: Body = response if response.length is None else Buffered(response.drain())
    return Reply(response.status, headers, body, response.reason)
