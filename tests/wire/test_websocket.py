"""Frame boundaries in a WebSocket stream."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from gateway.wire.websocket import GOING_AWAY, FrameTracker


def frame(size: int, *, masked: bool = False, opcode: int = 0x82, wide: bool = False) -> bytes:
    mask = 0x80 if masked else 0
    if wide or size > 0xFFFF:
        head = bytes((opcode, mask | 127)) + size.to_bytes(8, "big")
    elif size > 125:
        head = bytes((opcode, mask | 126)) + size.to_bytes(2, "big")
    else:
        head = bytes((opcode, mask | size))
    return head + (b"mask" if masked else b"") + b"\x88" * size


FRAMES = st.builds(
    frame,
    st.one_of(st.integers(0, 4), st.sampled_from([125, 126, 127, 300, 65535, 65536])),
    masked=st.booleans(),
    wide=st.booleans(),
)


@given(frames=st.lists(FRAMES, min_size=1, max_size=5), cuts=st.lists(st.integers(0, 200_000), max_size=8))
def test_boundaries_are_found_however_the_stream_is_cut(frames: list[bytes], cuts: list[int]) -> None:
    """A boundary is reported exactly where a frame ends, whatever pieces the stream comes in."""
    stream = b"".join(frames)
    ends, position = set(), 0
    for one in frames:
        position += len(one)
        ends.add(position)
    tracker = FrameTracker()
    edges = sorted({0, len(stream), *(cut for cut in cuts if cut < len(stream))})
    for start, stop in itertools.pairwise(edges):
        inside = sorted(end for end in ends if start < end <= stop)
        found = tracker.feed(stream[start:stop])
        assert found == (inside[0] - start if inside else None)
        assert tracker.between_frames == (stop in ends)
    assert not tracker.closing


def test_a_close_frame_is_noticed() -> None:
    """After a Close frame has begun no other frame may be sent."""
    tracker = FrameTracker()
    assert tracker.between_frames
    tracker.feed(frame(3))
    assert not tracker.closing
    assert tracker.feed(GOING_AWAY) == len(GOING_AWAY)
    assert tracker.closing


def test_each_byte_alone() -> None:
    """Headers that come byte by byte are put together."""
    tracker = FrameTracker()
    stream = frame(300, masked=True)
    assert [tracker.feed(bytes((byte,))) for byte in stream] == [None] * (len(stream) - 1) + [1]
