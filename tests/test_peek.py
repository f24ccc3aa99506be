"""Looking at the beginning of a content."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import GatewayError
from gateway.exchange import Body, Buffered
from gateway.peek import changed, peek
from tests.throttle.samples import Stream


class Pieces:
    """A content that comes in pieces."""

    def __init__(self, pieces: list[bytes]) -> None:
        self.pieces = pieces
        self.length = sum(map(len, pieces))
        self.closed = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self.pieces:
            yield piece

    async def aclose(self) -> None:
        self.closed = True


async def read(body: Body) -> bytes:
    return b"".join([piece async for piece in body])


@given(st.lists(st.binary(max_size=20)), st.integers(1, 50), st.binary(max_size=9))
async def test_nothing_is_lost(pieces: list[bytes], limit: int, put: bytes) -> None:
    """What is read next is the whole content, or its beginning replaced and the length told right."""
    whole = b"".join(pieces)
    for source in (Pieces(pieces), Buffered(whole)):
        start, body = await peek(source, limit)
        assert whole.startswith(start)
        assert start == whole or len(start) >= limit
        other = changed(body, start, put)
        assert other.length == len(put) + len(whole) - len(start)
        assert await read(other if put else body) == (put + whole[len(start) :] if put else whole)
        await other.aclose()
        if isinstance(source, Pieces):
            assert source.closed


async def test_a_content_that_breaks_off_is_closed() -> None:
    """Whoever asked for the beginning need not close what could not be read."""
    body = Stream((0.0, b"a"), (0.0, GatewayError("upstream-unreachable")))
    with pytest.raises(GatewayError):
        await peek(body, 10)
    assert body.closed == 1


async def test_a_short_content_can_be_sent_again() -> None:
    """A content that ends within the limit is in memory from then on."""
    _, body = await peek(Pieces([b"ab", b"c"]), 10)
    assert isinstance(body, Buffered)
    assert body.content == b"abc"
