"""The backend's answer to a login: looked into, and given the pair.

The one idea: an answer that names nobody goes on exactly as it came, byte for byte, whatever was read of it; one that
does is changed in the members and fields that speak of tokens, and in those that describe the changed bytes.
"""

from __future__ import annotations

import codecs
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from gateway.exchange import Body, Buffered, Exchange, Headers, Reply, header, without
from gateway.tokens.carrier import Carrier
from gateway.tokens.dialect import NO_CACHE, NO_STORE, Pair
from gateway.tokens.document import Document, NotAnObject

MAX_ANSWER: Final = 1024 * 1024
_OF_THE_BYTES: Final = frozenset(
    (b"content-encoding", b"etag", b"last-modified", b"digest", b"content-digest", b"repr-digest", b"content-md5",
     b"accept-ranges", b"transfer-encoding", b"cache-control", b"expires", b"age", b"pragma")
)  # fmt: skip
"""Fields that describe the content as the backend sent it (RFC 9110 section 8, RFC 9530) or allow it to be kept."""


class Resumed:
    """A body of which the beginning has been read."""

    __slots__ = ("_inner", "_read", "_rest")

    def __init__(self, read: list[bytes], rest: AsyncIterator[bytes], inner: Body) -> None:
        self._read = read
        self._rest = rest
        self._inner = inner

    @property
    def length(self) -> int | None:
        return self._inner.length

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for chunk in self._read:
            yield chunk
        async for chunk in self._rest:
            yield chunk

    async def aclose(self) -> None:
        await self._inner.aclose()


class Delivered:
    """A body that runs `lost` when it is closed before it was read to its end."""

    __slots__ = ("_content", "_lost")

    def __init__(self, content: bytes, lost: Callable[[], Awaitable[None]]) -> None:
        self._content = content
        self._lost: Callable[[], Awaitable[None]] | None = lost

    @property
    def length(self) -> int:
        return len(self._content)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self._content
        self._lost = None

    async def aclose(self) -> None:
        lost, self._lost = self._lost, None
        if lost is not None:
            await lost()


@dataclass(frozen=True, slots=True)
class Answer:
    """A login's answer whose content is a JSON object."""

    reply: Reply
    document: Document

    def with_pair(self, pair: Pair, carrier: Carrier, lost: Callable[[], Awaitable[None]]) -> Reply:
        """Return the answer that brings the pair; `lost` runs when it does not reach its end."""
        content = self.document.with_members(carrier.members(pair), append=carrier.adds_members)
        headers: Headers = []
        for name, value in without(self.reply.headers, _OF_THE_BYTES):
            if name.lower() == b"content-length":
                continue
            if not carrier.replaces(name, value):
                headers.append((name, value))
        headers += [(b"Content-Length", b"%d" % len(content)), NO_STORE, NO_CACHE]
        headers += carrier.set_headers(pair)
        return Reply(self.reply.status, headers, Delivered(content, lost), self.reply.reason)


async def look_into(reply: Reply) -> Answer | None:
    """Return the answer when it is a 2xx with a JSON object of at most `MAX_ANSWER` bytes, else None.

    Either way the reply is as complete as it was: what had to be read is put back.
    """
    length = reply.body.length
    if not 200 <= reply.status < 300 or not _is_json(reply.headers) or (length is not None and length > MAX_ANSWER):
        return None
    content = await in_memory(reply, MAX_ANSWER)
    if content is None:
        return None
    try:
        return Answer(reply, Document(_decoded(reply.headers, content).removeprefix(codecs.BOM_UTF8)))
    except (NotAnObject, zlib.error):
        return None


async def in_memory(message: Reply | Exchange, limit: int) -> bytes | None:
    """Read a message's content; None when there are more than `limit` bytes. Either way it is as complete as it was."""
    chunks: list[bytes] = []
    size = 0
    rest = aiter(message.body)
    async for chunk in rest:
        chunks.append(chunk)
        size += len(chunk)
        if size > limit:
            message.body = Resumed(chunks, rest, message.body)
            return None
    await message.body.aclose()
    content = b"".join(chunks)
    message.body = Buffered(content)
    return content


def _is_json(headers: Headers) -> bool:
    kind = (header(headers, b"content-type") or b"").partition(b";")[0].strip().lower()
    return kind in (b"application/json", b"text/json") or (kind.startswith(b"application/") and kind.endswith(b"+json"))


def _decoded(headers: Headers, content: bytes) -> bytes:
    """Undo the encoding of a backend that encodes although it was asked not to."""
    encoding = (header(headers, b"content-encoding") or b"identity").strip().lower()
    if encoding == b"identity":
        return content
    if encoding not in (b"gzip", b"x-gzip", b"deflate"):
        raise NotAnObject
    decoder = zlib.decompressobj(zlib.MAX_WBITS | 32)
    decoded = decoder.decompress(content, MAX_ANSWER)
    if decoder.unconsumed_tail or not decoder.eof:
        raise NotAnObject
    return decoded
