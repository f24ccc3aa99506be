"""The beginning of a content, with the content still whole for whoever reads it next.

The one idea: an answer is looked at and a call is changed in its first bytes only, so nothing is held in memory that
may be large.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

from gateway.exchange import Body, Buffered


async def peek(body: Body, limit: int, enough: Callable[[bytes], bool] = lambda start: False) -> tuple[bytes, Body]:
    """Read until there are `limit` bytes, `enough` says so of what there is, or the content ends; return what was read,
    and the content to use instead.

    A content that ends before becomes a `Buffered`, and the source is closed; so it is when reading it fails.
    """
    if isinstance(body, Buffered):
        return body.content[:limit], body
    start = bytearray()
    pieces = aiter(body)
    try:
        async for piece in pieces:
            start += piece
            if len(start) >= limit or enough(bytes(start)):
                return bytes(start), Begun(bytes(start), body, pieces)
    except BaseException:
        await body.aclose()
        raise
    await body.aclose()
    return bytes(start), Buffered(bytes(start))


def changed(body: Body, before: bytes, after: bytes) -> Body:
    """Return the content with its beginning replaced, its length told accordingly; `before` is what `peek` returned."""
    if isinstance(body, Buffered):
        return Buffered(after + body.content[len(before) :])
    assert isinstance(body, Begun)
    return Begun(after, body, body.rest, None if body.length is None else body.length - len(before) + len(after))


class Begun:
    """A content whose `start` was read from `rest`, which goes on behind it; to be iterated once."""

    __slots__ = ("_source", "_start", "length", "rest")

    def __init__(self, start: bytes, source: Body, rest: AsyncIterator[bytes], length: int | None = None) -> None:
        self._start = start
        self._source = source
        self.rest = rest
        self.length = source.length if length is None else length

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self._start
        async for piece in self.rest:
            yield piece

    async def aclose(self) -> None:
        await self._source.aclose()
