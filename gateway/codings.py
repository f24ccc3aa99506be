"""Contents in the codings of HTTP (RFC 9110 section 8.4.1), read so far as somebody has to look at them.

The one idea: however much a content unpacks to, no more of it is made than was asked for.
"""

from __future__ import annotations

import zlib
from typing import Final

_CODINGS: Final = (b"gzip", b"x-gzip", b"deflate")
_BY_HEADER: Final = 47
"""zlib's `wbits` for gzip and zlib, told apart by the header."""


def unpacked(content: bytes, encoding: bytes, limit: int) -> bytes | None:
    """Return a whole content without its coding; None when that is not known, or the content damaged or too long."""
    if encoding.strip().lower() not in _CODINGS:
        return None
    unpacking = zlib.decompressobj(_BY_HEADER)
    try:
        found = unpacking.decompress(content, limit)
    except zlib.error:
        return None
    return found if unpacking.eof and not unpacking.unused_data else None


def decoded(start: bytes, encoding: bytes | None, limit: int) -> bytes:
    """Return the beginning of a content as text, at most `limit` bytes; nothing when the coding is not known."""
    coding = (encoding or b"identity").strip().lower()
    if coding == b"identity":
        return start[:limit]
    if coding not in _CODINGS:
        return b""
    for bits in (_BY_HEADER, -15):  # deflate without a header, as some servers send it
        try:
            return zlib.decompressobj(bits).decompress(start, limit)
        except zlib.error:
            continue
    return b""
