"""A reply's bytes: header section, body and framing, written to the client's socket.

The one idea: the fields are written as they came, and of framing (RFC 9112 section 6) there is exactly one: the
reply's body says whether its length is known, and nothing else decides.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from contextlib import suppress
from http import HTTPStatus
from typing import Final

from gateway.exchange import Headers
from gateway.wire.acceptor import Inbound

_PHRASES: Final = {status.value: status.phrase.encode() for status in HTTPStatus}
_NOT_RAW: Final = frozenset((b"connection", b"content-length", b"transfer-encoding"))
_LENGTHS: Final = frozenset(map(len, _NOT_RAW))
_FLUSH_AT: Final = 64 * 1024
_FIELD: Final = b"%b: %b\r\n"
_RESET: Final = struct.pack("ii", 1, 0)
CHUNKED_END: Final = b"0\r\n\r\n"


def section(status: int, reason: bytes, headers: Headers) -> bytes:
    """Return a status line with the fields, byte for byte, and the empty line that ends the section."""
    phrase = reason or _PHRASES.get(status, b"")
    return b"HTTP/1.1 %d %b\r\n%b\r\n" % (status, phrase, b"".join([_FIELD % pair for pair in headers]))


def has_no_body(method: str, status: int) -> bool:
    """Tell whether an answer ends with its header section, whatever its fields say (RFC 9112 section 6.3)."""
    return method == "HEAD" or status in (204, 304)


def framed(headers: Headers, status: int, method: str, length: int | None) -> tuple[Headers, bool]:
    """Return the fields with exactly one framing, and whether the body is to be chunked.

    `length` is the body's, None when it is not known. A `Content-Length` that says the truth stays where it stood.
    Where there is no body (`HEAD`, 304) the upstream's own stays: it tells what a `GET` would have had. With 204 only
    a zero does (RFC 9110 section 8.6 forbids any; a zero harms nobody).
    """
    kept: Headers = []
    told = False
    for pair in headers:
        if len(pair[0]) in _LENGTHS and (name := pair[0].lower()) in _NOT_RAW:
            if told or name != b"content-length" or not _holds(pair[1], status, method, length):
                continue
            told = True
        kept.append(pair)
    if told or status in (204, 304):
        return kept, False
    if method == "HEAD":
        if length:  # an answer of the gateway's own, made as for a GET
            kept.append((b"Content-Length", b"%d" % length))
        return kept, False
    if length is None:
        kept.append((b"Transfer-Encoding", b"chunked"))
        return kept, True
    kept.append((b"Content-Length", b"%d" % length))
    return kept, False


def _holds(value: bytes, status: int, method: str, length: int | None) -> bool:
    """Tell whether a `Content-Length` may stand (RFC 9110 section 8.6)."""
    if not value.isdigit():
        return False
    if status == 204:
        return int(value) == 0
    return has_no_body(method, status) or int(value) == length


class Outlet:
    """A client's socket. What is put within one turn of the event loop leaves in one write.

    So a header section waits for a body that is there already, and never for one that is not.

    Attributes:
        begun: bytes of the final answer have left: it cannot be taken back.
        held_back: the client waits for a 100 before it sends its content.
    """

    __slots__ = ("_connection", "_drain", "_handle", "_loop", "_pending", "_size", "begun", "held_back")

    def __init__(self, inbound: Inbound, loop: asyncio.AbstractEventLoop) -> None:
        self._connection = inbound.connection
        self._drain = inbound.drain
        self._loop = loop
        self._handle: asyncio.Handle | None = None
        self._pending: list[bytes] = []
        self._size = 0
        self.begun = False
        self.held_back = False

    def put(self, data: bytes) -> None:
        """Write soon, in order."""
        self._pending.append(data)
        self._size += len(data)
        if self._size >= _FLUSH_AT:
            self.flush()
        elif self._handle is None:
            self._handle = self._loop.call_soon(self.flush)

    def send(self, data: bytes) -> None:
        """Write at once, in order."""
        self._pending.append(data)
        self.flush()

    def permit(self) -> None:
        """Tell a client that holds its content back to send it (RFC 9110 section 10.1.1)."""
        self.relay(100, b"", [])

    def relay(self, status: int, reason: bytes, headers: Headers) -> None:
        """Write an interim answer at once, but no 100 that the client does not wait for (any more)."""
        if self.begun or (status == 100 and not self.held_back):
            return
        if status == 100:
            self.held_back = False
        self._write(section(status, reason, headers))

    def flush(self) -> None:
        """Write what is pending. After the connection is lost nothing is written; who reads the request is told."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
        if self._pending:
            self.begun = True
            data = b"".join(self._pending)
            self._pending.clear()
            self._size = 0
            self._write(data)

    def take_back(self) -> None:
        """Drop what is pending."""
        self._pending.clear()
        self._size = 0

    @property
    def blocked(self) -> bool:
        """Whether the client takes nothing at present."""
        return self._connection.writing_paused

    async def drain(self) -> None:
        """Wait while the client takes nothing.

        Raises:
            ConnectionError: the connection is lost.
        """
        if self._connection.writing_paused:
            await self._drain()

    def end(self) -> None:
        """Write what is pending, then the end of this direction (a FIN)."""
        self.flush()
        transport = self._connection.transport
        if transport is not None and not transport.is_closing() and transport.can_write_eof():
            transport.write_eof()

    def abort(self) -> None:
        """End the connection so that no client can take it for a clean end: by a reset (RFC 9293 section 3.10.7)."""
        self.take_back()
        transport = self._connection.transport
        if transport is None:
            return
        raw = transport.get_extra_info("socket")
        if raw is not None and raw.family != socket.AF_UNIX:
            with suppress(OSError):
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        transport.abort()

    def _write(self, data: bytes) -> None:
        transport = self._connection.transport
        if transport is not None and not transport.is_closing():
            transport.write(data)
