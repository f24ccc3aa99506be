"""The way to a vendor: aiohttp's client, with everything it would add, follow, decode or repeat switched off.

The one idea: one call offered is at most one call at the vendor, written directly after its permit. The library brings
TLS, DNS and pooling; what goes over the wire is the caller's, apart from `Host` and what ends at this hop.

Kept of a call: method, target, content, and the fields with their order, case and duplicates. aiohttp writes `Host`
first and a `Transfer-Encoding` of its own last, adds `Content-Length: 0` where a method usually has content, gives a
repeated name its first spelling, and sends values as UTF-8: bytes that are not are read as ISO-8859-1 first.
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Callable
from typing import Final

import aiohttp
from yarl import URL

from gateway.clock import SYSTEM, Clock
from gateway.errors import GatewayError
from gateway.events import Emit, ignore
from gateway.exchange import Buffered, Exchange, Reply, header
from gateway.wire.events import UpstreamFailed, UpstreamResponded
from gateway.wire.headers import end_to_end
from gateway.wire.vendor_connector import CALL, Call, VendorConnector
from gateway.wire.vendor_failures import Failure, failure

KEEP: Final = 15.0
"""Seconds; a connection that was idle for longer is not used again."""

_LINE: Final = 64 * 1024
_FIELDS: Final = 256
_NOT_FORWARDED: Final = frozenset((b"host", b"expect", b"forwarded"))
_NOT_FORWARDED_PREFIXES: Final = (b"x-gateway-", b"x-forwarded-")
_AUTOMATIC: Final = ("Accept", "Accept-Encoding", "Content-Type", "User-Agent")


class VendorUpstream:
    """The end of an egress road: calls to one vendor, over TLS that is verified against the system's authorities.

    `base_url` is `http(s)://HOST[:PORT][/PATH]`; its path goes in front of every target, also when `exchange.origin`
    names another host. `connect_timeout` (seconds) covers name, connection and handshake, not the wait in
    `exchange.before_send`; a limit of the whole call is its caller's, who cancels. There is no limit on the number of
    connections. 1xx answers are not passed on, and `Expect: 100-continue` is met here, when the call is dispatched.
    `SSL_CERT_FILE` names other authorities.
    """

    def __init__(
        self,
        name: str,
        base_url: str,
        emit: Emit = ignore,
        clock: Clock = SYSTEM,
        connect_timeout: float = 10.0,
    ) -> None:
        self._name = name
        base = URL(base_url, encoded=True)
        self._origin = base.origin()
        self._moved = ("", self._origin)
        self._prefix = base.raw_path.rstrip("/")
        self._emit = emit
        self._clock = clock
        self._timeout = aiohttp.ClientTimeout(total=None, connect=connect_timeout, sock_connect=connect_timeout)
        self._tls = ssl.create_default_context()
        self._tls.set_alpn_protocols(["http/1.1"])
        self._session: aiohttp.ClientSession | None = None

    async def handle(self, exchange: Exchange) -> Reply:
        """Make the call and return the answer, as soon as its header section is there.

        Raises:
            GatewayError: `upstream-unreachable` (502) when the vendor cannot be reached, its certificate does not
                hold, or it breaks off or makes no sense before the header section; `bad-request` (400) or
                `not-implemented` (501) for what cannot be sent. Also whatever `before_send` or reading the request's
                content raises.
        """
        url = self._url(exchange)
        call = Call(exchange, self._clock)
        marker = CALL.set(call)
        exchange.attempts += 1
        exchange.sent = False
        started = self._clock.monotonic()
        try:
            response = await self._request(exchange, url, call)
        except Exception as error:
            await call.settle()
            if call.error is not None:
                raise call.error from None
            failed = failure(error)
            if failed is None:
                raise
            if failed.reason:
                self._emit(UpstreamFailed(self._name, failed.reason))
            raise GatewayError(failed.code, private=failed.text) from None
        except BaseException:
            await call.settle()
            raise
        finally:
            CALL.reset(marker)
            exchange.upstream_seconds += self._clock.monotonic() - started - call.waited
        self._emit(UpstreamResponded(self._name, response.status))
        return _reply(exchange, response, self._broke)

    async def aclose(self) -> None:
        """Close every connection, also those in use."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def _request(self, exchange: Exchange, url: URL, call: Call) -> aiohttp.ClientResponse:
        body = exchange.body
        content: bytes | AsyncIterator[bytes] | None = None
        if isinstance(body, Buffered):
            content = body.content or None
        elif body.length != 0:
            content = _upload(exchange, call)
        session = self._session or self._open()
        response = await session.request(
            exchange.method, url, headers=_fields(exchange), data=content, allow_redirects=False
        )
        if response.status == 101:  # no upgrade was asked for
            response.close()
            raise aiohttp.ClientResponseError(response.request_info, (), status=101)
        return response

    def _open(self) -> aiohttp.ClientSession:
        """Make the session; it belongs to the loop of the first call."""
        session = aiohttp.ClientSession(
            connector=VendorConnector(limit=0, keepalive_timeout=KEEP, ssl=self._tls),
            timeout=self._timeout,
            cookie_jar=aiohttp.DummyCookieJar(),
            skip_auto_headers=_AUTOMATIC,
            auto_decompress=False,
            trust_env=False,
            max_line_size=_LINE,
            max_field_size=_LINE,
            max_headers=_FIELDS,
        )
        # aiohttp sends an idempotent call again when its pooled connection dies: a call that no window has counted.
        session._retry_connection = False
        self._session = session
        return session

    def _url(self, exchange: Exchange) -> URL:
        """Return the URL whose path, query included, is the target byte for byte; never the target's own authority."""
        path = target = exchange.target
        if not target.startswith(b"/"):
            scheme, separator, rest = target.partition(b"://")
            if not separator or not scheme.isalpha():
                raise GatewayError("not-implemented", detail="This form of the request target is not supported.")
            path = b"/" + rest.partition(b"/")[2]
        try:
            # A path may hold a question mark here, and nothing is split off or quoted.
            return self._origin_of(exchange).with_path(self._prefix + path.decode(), encoded=True)
        except ValueError:
            raise GatewayError("bad-request", detail="The request target is not valid.") from None

    def _origin_of(self, exchange: Exchange) -> URL:
        if exchange.origin is None:
            return self._origin
        if self._moved[0] != exchange.origin:
            self._moved = exchange.origin, URL(exchange.origin)
        return self._moved[1]

    def _broke(self, failed: Failure) -> None:
        self._emit(UpstreamFailed(self._name, failed.reason))


class _VendorBody:
    """The content of an answer; the connection is released at its end, and closed when it is given up before."""

    __slots__ = ("_broke", "_response", "length")

    def __init__(self, response: aiohttp.ClientResponse, length: int | None, broke: Callable[[Failure], None]) -> None:
        self._response = response
        self._broke = broke
        self.length = length

    async def __aiter__(self) -> AsyncIterator[bytes]:
        content = self._response.content
        while True:
            try:
                data = await content.readany()
            except (aiohttp.ClientError, OSError) as error:
                failed = failure(error)
                assert failed is not None
                self._broke(failed)
                raise GatewayError(failed.code, private=failed.text) from None
            if not data:
                return
            yield data

    async def aclose(self) -> None:
        self._response.close()  # aiohttp has let go of the connection if the end was reached
        await self._response.wait_for_close()  # the end of an upload that outlived its answer


async def _upload(exchange: Exchange, call: Call) -> AsyncIterator[bytes]:
    """The request's content for aiohttp, which writes the header section together with the first piece."""
    body = exchange.body
    left = body.length
    yield b""  # so the header section goes out with its permit, not when the client sends
    if header(exchange.headers, b"expect") is not None and exchange.on_informational is not None:
        exchange.on_informational(100, b"Continue", [])
    try:
        async for data in call.reading(body):
            if left is not None:
                left -= len(data)
                if left < 0:
                    break
            yield data
        if left:
            raise GatewayError("internal-error", private=f"a body of {body.length} bytes differed by {-left}")
    except Exception as error:
        call.error = error
        raise


def _fields(exchange: Exchange) -> list[tuple[str, str]]:
    """Return the fields for the vendor, the framing by what is known of the content.

    aiohttp would take a second spelling of a name for a replacement; it gets the first spelling.
    """
    length = exchange.body.length
    fields: list[tuple[str, str]] = []
    spelled: dict[bytes, str] = {}
    for name, value in end_to_end(exchange.headers):
        key = name.lower()
        plain = key.replace(b"_", b"-")  # as a CGI or WSGI server would read it
        if plain in _NOT_FORWARDED or plain.startswith(_NOT_FORWARDED_PREFIXES):
            continue
        if key == b"content-length":
            if length is None or key in spelled:
                continue
            value = b"%d" % length
        fields.append((spelled.setdefault(key, name.decode("latin-1")), _text(value)))
    if length and b"content-length" not in spelled:
        fields.append(("Content-Length", str(length)))
    return fields


def _text(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")


def _reply(exchange: Exchange, response: aiohttp.ClientResponse, broke: Callable[[Failure], None]) -> Reply:
    raw = list(response.raw_headers)
    length: int | None = None
    if exchange.method == "HEAD" or response.status in (204, 304):
        length = 0
    elif header(raw, b"transfer-encoding") is None and (told := header(raw, b"content-length")) is not None:
        length = int(told)
    reason = (response.reason or "").encode("utf-8", "surrogateescape")
    return Reply(response.status, end_to_end(raw), _VendorBody(response, length, broke), reason)
