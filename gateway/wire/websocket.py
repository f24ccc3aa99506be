"""Where one WebSocket frame ends and the next begins, in a stream that is otherwise not looked at.

The one idea: a frame of the gateway's own may only stand between two frames of the sender (RFC 6455 section 5.4), so
the lengths are followed and nothing else: no payload is kept, unmasked or checked.
"""

from __future__ import annotations

from typing import Final

GOING_AWAY: Final = b"\x88\x02\x03\xe9"
"""An unmasked Close frame with status 1001 (RFC 6455 sections 5.5.1 and 7.4.1)."""

_CLOSE: Final = 0x8
_MASKED: Final = 0x80
_LENGTH_BYTES: Final = {126: 2, 127: 8}


class FrameTracker:
    """Follows one direction of a WebSocket connection.

    Attributes:
        closing: a Close frame has begun: no frame may follow it (section 5.5.1).
    """

    __slots__ = ("_head", "_left", "closing")

    def __init__(self) -> None:
        self._head = b""
        self._left = 0
        self.closing = False

    @property
    def between_frames(self) -> bool:
        """Whether the last byte that was fed ended a frame, or none was fed."""
        return not self._left and not self._head

    def feed(self, data: bytes) -> int | None:
        """Follow the next bytes; return where in them the first frame ends, or None when none does."""
        first: int | None = None
        position = 0
        while position < len(data):
            if self._left:
                step = min(self._left, len(data) - position)
                self._left -= step
                position += step
            else:
                position = self._feed_head(data, position)
                if self._head:
                    break
            if not self._left and first is None:
                first = position
        return first

    def _feed_head(self, data: bytes, position: int) -> int:
        """Take header bytes; once the header is whole, `_head` is empty again and `_left` is the payload's length."""
        known = len(self._head)
        head = self._head + data[position : position + 14 - known]
        size = _head_size(head)
        if size is None or len(head) < size:
            self._head = head
            return len(data)
        self._head = b""
        self._left = _payload_length(head)
        if head[0] & 0x0F == _CLOSE:
            self.closing = True
        return position + size - known


def _head_size(head: bytes) -> int | None:
    """Return the length of a frame's header, None while that cannot be told (section 5.2)."""
    if len(head) < 2:
        return None
    return 2 + _LENGTH_BYTES.get(head[1] & 0x7F, 0) + (4 if head[1] & _MASKED else 0)


def _payload_length(head: bytes) -> int:
    length = head[1] & 0x7F
    size = _LENGTH_BYTES.get(length, 0)
    return int.from_bytes(head[2 : 2 + size], "big") if size else length
