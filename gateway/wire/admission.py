"""What is bad HTTP: requests that are refused before any layer, and so before any upstream, sees them.

The one idea: whatever two parsers could read in two ways (RFC 9112 section 11.2, request smuggling) is refused, not
repaired. The answer is a fixed text: it never repeats a byte of the request.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import lru_cache
from itertools import chain
from typing import Final, NamedTuple, Protocol

from aiohttp.hdrs import HOST, TRANSFER_ENCODING
from aiohttp.http_exceptions import BadHttpMethod, LineTooLong

from gateway.errors import Shape, document
from gateway.wire.settings import LimitSettings

VERSIONS: Final = ((1, 0), (1, 1))

_HOST: Final = re.compile(r"(?:[A-Za-z0-9._~!$&'()*+;=%-]*|\[[0-9A-Fa-f:.]+\])(?::[0-9]*)?")
"""`uri-host [":" port]` (RFC 9110 section 7.2); no comma, which some servers take for a list."""
_FORMS: Final = ("/", "http://", "https://")


class Message(Protocol):
    """What of aiohttp's parsed header section is used."""

    method: str
    path: str
    version: tuple[int, int]
    headers: Mapping[str, str]
    raw_headers: tuple[tuple[bytes, bytes], ...]
    should_close: bool
    upgrade: bool
    chunked: bool


class Refusal(NamedTuple):
    """An answer of the server itself; the connection is closed after it."""

    status: int
    title: str
    code: str
    detail: str

    def as_bytes(self, shape: Shape) -> bytes:
        """Return the whole answer in the shape of the gateway's own errors, with `Connection: close`."""
        kind, told = document(shape, code=self.code, status=self.status, title=self.title, detail=self.detail)
        content = json.dumps(told)
        return (
            f"HTTP/1.1 {self.status} {self.title}\r\nContent-Type: {kind}\r\n"
            f"Cache-Control: no-store\r\nContent-Length: {len(content)}\r\nConnection: close\r\n\r\n{content}"
        ).encode()


BAD_REQUEST: Final = Refusal(400, "Bad Request", "bad-request", "The request is not valid HTTP.")
BAD_HOST: Final = Refusal(400, "Bad Request", "bad-request", "The Host field is not a host and port.")
BAD_TARGET: Final = Refusal(400, "Bad Request", "bad-request", "The request target is not valid.")
BAD_FRAMING: Final = Refusal(400, "Bad Request", "bad-request", "The length of the body cannot be told.")
TOO_LARGE: Final = Refusal(413, "Content Too Large", "payload-too-large", "The body is larger than is accepted.")
URI_TOO_LONG: Final = Refusal(414, "URI Too Long", "bad-request", "The request target is longer than is accepted.")
HEADER_TOO_LARGE: Final = Refusal(
    431, "Request Header Fields Too Large", "header-too-large", "The header section is larger than is accepted."
)
INTERNAL: Final = Refusal(500, "Internal Server Error", "internal-error", "The request could not be processed.")
BAD_CODING: Final = Refusal(501, "Not Implemented", "not-implemented", "Only the chunked transfer coding is known.")
BAD_METHOD: Final = Refusal(501, "Not Implemented", "not-implemented", "The method is not known.")
SHUTTING_DOWN: Final = Refusal(503, "Service Unavailable", "shutting-down", "The service is shutting down.")
BAD_VERSION: Final = Refusal(505, "HTTP Version Not Supported", "bad-request", "Only HTTP/1.0 and HTTP/1.1 are spoken.")


def refuse(message: Message, limits: LimitSettings) -> Refusal | None:
    """Return why a parsed header section is refused, or None when it is not."""
    path = message.path
    if message.version not in VERSIONS:
        return BAD_VERSION
    if message.method == "CONNECT":
        return BAD_METHOD
    if "#" in path or not (path.startswith(_FORMS) or path[:8].lower().startswith(_FORMS) or path == "*"):
        return BAD_TARGET
    if len(path) + sum(map(len, chain.from_iterable(message.raw_headers))) > limits.header_bytes:
        return HEADER_TOO_LARGE
    host = message.headers.get(HOST)
    if host is not None and not _is_host(host):
        return BAD_HOST
    coding = message.headers.get(TRANSFER_ENCODING)
    return None if coding is None else _refuse_coding(message, coding)


def explain(error: BaseException | None, line_limit: int) -> Refusal:
    """Return the answer to what the parser could not read; `line_limit` is the longest target it accepts."""
    if isinstance(error, LineTooLong):
        return URI_TOO_LONG if error.args[1] == line_limit else HEADER_TOO_LARGE
    if isinstance(error, BadHttpMethod):
        return BAD_METHOD
    if str(error).endswith("Too many headers received"):
        return HEADER_TOO_LARGE
    return BAD_REQUEST


def _refuse_coding(message: Message, coding: str) -> Refusal | None:
    if message.version != (1, 1) or "Content-Length" in message.headers:
        return BAD_FRAMING
    return None if coding.lower() == "chunked" else BAD_CODING


@lru_cache(maxsize=1024)
def _is_host(value: str) -> bool:
    return _HOST.fullmatch(value) is not None
