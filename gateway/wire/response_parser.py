"""Bytes of a backend's connection, read as HTTP/1.1 responses (RFC 9112), or refused.

The one idea: llhttp in its strict form decides what the bytes are, and here is only what a proxy must add: limits, no
transfer coding that would be lost on the way, and nothing taken for an answer that was not asked for. A response that
two readers could frame differently (Content-Length beside Transfer-Encoding, two lengths) is an error, never a guess.
Trailer fields are dropped (RFC 9110 section 6.5.1 lets an intermediary do so).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import httptools

from gateway.exchange import Headers, header
from gateway.wire.headers import connection_options
from gateway.wire.inflow import BackendResponse, BackendTunnel, Source

HEAD_LIMIT: Final = 64 * 1024
"""Bytes of a header section; also of chunk extensions or trailer fields in a row."""

_BODILESS: Final = (204, 304)
_HTTP1: Final = ("1.0", "1.1")

Informational = Callable[[int, bytes, Headers], None]


class ProtocolError(Exception):
    """The backend's bytes are not an answer to the request. The text is fixed and holds none of them."""


class ResponseParser:
    """Reads one response after the other; `begin` before each request, `feed` for each read of the socket."""

    __slots__ = (
        "_body_bytes", "_framing_bytes", "_head_bytes", "_head_request", "_headers", "_http", "_informational",
        "_interim", "_reason", "_source", "_until_close", "_upgrade", "complete", "keep_alive", "response",
    )  # fmt: skip

    def __init__(self, source: Source) -> None:
        self._source = source
        self._http = httptools.HttpResponseParser(self)
        self.begin(head_request=False, upgrade=False, informational=None)

    def begin(self, *, head_request: bool, upgrade: bool, informational: Informational | None) -> None:
        """Expect the answer to a request: to a HEAD, to one that asks for websocket, with 1xx told to whom."""
        self._head_request = head_request
        self._upgrade = upgrade
        self._informational = informational
        self._headers: Headers = []
        self._reason = b""
        self._interim = False
        self._until_close = False
        self._head_bytes = self._body_bytes = self._framing_bytes = 0
        self.response: BackendResponse | None = None
        """The final header section, as soon as it is there."""
        self.complete = False
        self.keep_alive = False
        """Whether the connection may serve another request after `complete`."""

    def feed(self, data: bytes) -> None:
        """Read on.

        Raises:
            ProtocolError: the bytes are not HTTP, framed ambiguously, too long, or not an answer to this request.
        """
        body_bytes = self._body_bytes
        self._head_bytes += len(data)
        try:
            self._http.feed_data(data)
        except httptools.HttpParserUpgrade as upgraded:
            self._switch(data[upgraded.args[0] :])
            return
        except httptools.HttpParserError as error:
            if not self.complete:
                cause = error.__context__
                raise cause if isinstance(cause, ProtocolError) else ProtocolError(str(error)) from None
            self.keep_alive = False  # the answer is whole; what came after it was not asked for
        if self._head_request and self.complete:
            self._http = httptools.HttpResponseParser(self)  # the old one waits for content that a HEAD has not
        if self.response is None:
            if self._head_bytes > HEAD_LIMIT:
                raise ProtocolError("the header section is too large")
        elif not self.complete and body_bytes == self._body_bytes:
            self._framing_bytes += len(data)
            if self._framing_bytes > HEAD_LIMIT:
                raise ProtocolError("the chunk extensions or trailer fields are too large")
        else:
            self._framing_bytes = 0

    def feed_eof(self) -> bool:
        """Tell whether the end of the connection is the end of the response."""
        if self._until_close:
            self.complete = True
        return self.complete

    def on_message_begin(self) -> None:
        if self.complete:
            raise ProtocolError("bytes after the response")

    def on_status(self, reason: bytes) -> None:
        self._reason += reason

    def on_header(self, name: bytes, value: bytes) -> None:
        if self.response is None:  # else a trailer field
            self._headers.append((name, value.rstrip(b" \t")))

    def on_headers_complete(self) -> None:
        http = self._http
        status = http.get_status_code()
        headers, self._headers = self._headers, []
        reason, self._reason = self._reason, b""
        if self._head_bytes > HEAD_LIMIT and sum(len(name) + len(value) for name, value in headers) > HEAD_LIMIT:
            raise ProtocolError("the header section is too large")
        self.keep_alive = http.should_keep_alive()
        if not self.keep_alive and http.get_http_version() not in _HTTP1:
            raise ProtocolError("not HTTP/1")
        if status < 200:
            self._interim_head(status, reason, headers)
            return
        length, chunked = _framing(headers)
        if self._head_request or status in _BODILESS:
            self._bodiless(status, headers, length, chunked)
            length = 0
        else:
            self._until_close = length is None and not chunked
        self.response = BackendResponse(self._source, status, reason, headers, length)

    def on_body(self, data: bytes) -> None:
        if self.response is None or self.complete:
            raise ProtocolError("content where there must be none")
        self._body_bytes += len(data)
        self.response.feed(data)

    def on_message_complete(self) -> None:
        if self._interim:
            self._interim = False
        else:
            self.complete = True

    def _interim_head(self, status: int, reason: bytes, headers: Headers) -> None:
        """Pass on a 1xx (RFC 9110 section 15.2); a 101 is a final answer, and only to who asked."""
        self._interim = True
        self._head_bytes = 0
        if status == 101:
            if not self._upgrade or (header(headers, b"upgrade") or b"").lower() != b"websocket":
                raise ProtocolError("switched to a protocol that was not asked for")
            self.response = BackendResponse(self._source, status, reason, headers, 0)
        elif status < 100:
            raise ProtocolError("not a status code")
        elif self._informational is not None:
            self._informational(status, reason, headers)

    def _switch(self, rest: bytes) -> None:
        if self.response is None:  # llhttp reports an upgrade only after a 101
            raise ProtocolError("switched to a protocol that was not asked for")
        self.response.tunnel = BackendTunnel(self._source)
        if rest:
            self.response.tunnel.feed(rest)

    def _bodiless(self, status: int, headers: Headers, length: int | None, chunked: bool) -> None:
        """Judge whether content may come although there must be none; then the connection is not used again."""
        if self._head_request:
            self.complete = True
            if length is None and not chunked:  # llhttp would wait for the close
                options = {option.lower() for option in connection_options(headers)}
                self.keep_alive = self._http.get_http_version() == "1.1" and b"close" not in options
        elif status == 204 and (length or chunked):
            self.keep_alive = False


def _framing(headers: Headers) -> tuple[int | None, bool]:
    """Return the Content-Length, and whether the content is chunked (RFC 9112 section 6).

    llhttp has refused a second length, a length that is not plain digits, and a length beside a transfer coding.
    """
    length: int | None = None
    chunked = False
    for name, value in headers:
        size = len(name)
        if size == 14 and name.lower() == b"content-length":
            length = int(value)
        elif size == 17 and name.lower() == b"transfer-encoding":
            if chunked or value.lower() != b"chunked":
                raise ProtocolError("a transfer coding that cannot be passed on")
            chunked = True
    return length, chunked
