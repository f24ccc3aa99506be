"""What is read of a request before its call waits."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import GatewayError
from gateway.exchange import Body, Buffered, Exchange, Reply
from gateway.retry.buffer_layer import BODY_BYTES, TOTAL_BYTES, BufferLayer, Room
from tests.retry.samples import Pieces, Upstream, exchange


class Seen:
    """An upstream that keeps what kind of content it was given."""

    def __init__(self) -> None:
        self.body: Body = Buffered()
        self.content = b""
        self.free: list[int] = []

    def within(self, room: Room) -> Seen:
        self.room = room
        return self

    async def __call__(self, sent: Exchange) -> Reply:
        self.free.append(self.room.free)
        self.body = sent.body
        self.content = b"".join([piece async for piece in sent.body])
        return Reply(200)


async def test_a_small_content_is_in_memory_before_its_call_waits() -> None:
    """Given a content that arrives in pieces, then it is forwarded as a whole, and its room is free afterwards."""
    room = Room(100)
    seen = Seen().within(room)
    sent = exchange("POST", Pieces(b"ab", b"cd"))
    await BufferLayer(room, 4).handle(sent, seen)
    assert isinstance(seen.body, Buffered)
    assert seen.content == b"abcd"
    assert (seen.free, room.free) == ([96], 100)
    assert isinstance(sent.body, Buffered)
    assert sent.body.content == b"", "what nobody sends any more is not kept for the length of the answer"


async def test_a_content_that_is_here_already_is_left_alone() -> None:
    """A call without content costs no room."""
    room = Room(0)
    seen = Seen().within(room)
    body = Buffered(b"here")
    await BufferLayer(room).handle(exchange("GET", body), seen)
    assert seen.body is body


@pytest.mark.parametrize("length", [None, 6])
async def test_a_large_content_streams_behind_its_beginning(length: int | None) -> None:
    """Given more than the limit, then the beginning is read, and the rest when the call is dispatched, in order and
    with its length as it was."""
    room = Room(100)
    seen = Seen().within(room)
    pieces = Pieces(b"ab", b"cd", b"ef", length=length)

    async def forward(sent: Exchange) -> Reply:
        assert pieces.taken == 2
        assert sent.body.length == length
        await sent.body.aclose()
        return await seen(sent)

    await BufferLayer(room, 3).handle(exchange("POST", pieces), forward)
    assert not isinstance(seen.body, Buffered)
    assert seen.content == b"abcdef"
    assert (seen.free, room.free) == ([98], 100)


async def test_without_room_a_small_content_streams() -> None:
    """All buffers together are bounded: the next content is treated as a large one, and nobody waits for room."""
    room = Room(3)
    first, second = Seen().within(room), Seen().within(room)
    layer = BufferLayer(room, 4)

    async def forward(sent: Exchange) -> Reply:
        await layer.handle(exchange("POST", Pieces(b"c", b"d")), second)
        return await first(sent)

    await layer.handle(exchange("POST", Pieces(b"a", b"b")), forward)
    assert isinstance(first.body, Buffered)
    assert not isinstance(second.body, Buffered)
    assert (first.content, second.content) == (b"ab", b"cd")
    assert room.free == 3


async def test_case_25_a_slow_upload_takes_nothing_and_leaves_nothing() -> None:
    """Given a client that sends slowly, then nothing is forwarded until its content is in; when it goes away, or its
    framing breaks, all room is free again."""
    room, upstream = Room(100), Upstream()
    layer = BufferLayer(room)
    gate = asyncio.Event()
    sends = asyncio.Semaphore(1)

    async def slowly() -> None:
        await sends.acquire()
        gate.set()

    task = asyncio.get_running_loop().create_task(
        layer.handle(exchange("POST", Pieces(b"a", b"b", before=slowly)), upstream)
    )
    await gate.wait()
    await asyncio.sleep(0)
    assert room.free == 99
    assert upstream.contents == []
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert room.free == 100
    with pytest.raises(GatewayError, match="bad-request"):
        await layer.handle(exchange("POST", Pieces(b"a", GatewayError("bad-request"))), upstream)
    assert room.free == 100
    assert upstream.contents == []


async def test_room_is_free_again_when_the_call_fails() -> None:
    """Whatever the call comes to, its content is not kept."""
    room = Room(100)
    with pytest.raises(GatewayError, match="queue-full"):
        await BufferLayer(room).handle(exchange("POST", Pieces(b"a")), Upstream(GatewayError("queue-full")))
    assert room.free == 100


@given(
    sizes=st.lists(st.integers(0, 9), max_size=8),
    limit=st.integers(0, 20),
    free=st.integers(0, 20),
    fails=st.booleans(),
)
async def test_every_byte_arrives_once_and_all_room_comes_back(
    sizes: list[int], limit: int, free: int, fails: bool
) -> None:
    """Whatever the pieces, the limit and the room, the upstream reads the same content, no more is held than allowed,
    and nothing is held in the end."""
    pieces = [bytes([65 + number]) * size for number, size in enumerate(sizes)]
    room = Room(free)
    seen = Seen().within(room)

    async def forward(sent: Exchange) -> Reply:
        await seen(sent)
        if fails:
            raise GatewayError("upstream-unreachable")
        return Reply(200)

    with suppress(GatewayError):
        await BufferLayer(room, limit).handle(exchange("POST", Pieces(*pieces)), forward)
    assert seen.content == b"".join(pieces)
    assert isinstance(seen.body, Buffered) is (sum(sizes) <= min(limit, free))
    assert free - seen.free[0] <= min(limit, free)
    assert room.free == free


def test_the_bounds() -> None:
    """A content of 256 KiB is in memory, and 64 MiB are for all of a gateway."""
    assert (BODY_BYTES, TOTAL_BYTES) == (256 * 1024, 64 * 1024 * 1024)
    assert Room().free == TOTAL_BYTES
