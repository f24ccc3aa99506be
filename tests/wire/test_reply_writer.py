"""Exactly one framing, and everything else as it came."""

from __future__ import annotations

import pytest

from gateway.exchange import Headers
from gateway.wire.reply_writer import framed, section


@pytest.mark.parametrize(
    ("status", "method", "length", "told", "kept", "chunked"),
    [
        (200, "GET", 5, [b"5"], [b"5"], False),
        (200, "GET", 5, [b"005"], [b"005"], False),
        (200, "GET", 5, [], [b"5"], False),
        (200, "GET", 5, [b"6"], [b"5"], False),
        (200, "GET", 5, [b"5", b"5"], [b"5"], False),
        (200, "GET", 5, [b"+5"], [b"5"], False),
        (200, "GET", 0, [], [b"0"], False),
        (200, "GET", None, [], [], True),
        (200, "GET", None, [b"5"], [], True),
        (200, "HEAD", 0, [b"123"], [b"123"], False),
        (200, "HEAD", None, [b"123"], [b"123"], False),
        (200, "HEAD", None, [], [], False),
        (200, "HEAD", 7, [], [b"7"], False),
        (200, "HEAD", 0, [], [], False),
        (304, "GET", 0, [b"123"], [b"123"], False),
        (304, "GET", None, [], [], False),
        (204, "GET", 0, [], [], False),
        (204, "GET", 0, [b"0"], [b"0"], False),
        (204, "GET", 5, [b"5"], [], False),
    ],
)
def test_there_is_one_framing(
    status: int, method: str, length: int | None, told: list[bytes], kept: list[bytes], chunked: bool
) -> None:
    """The body's length decides; a Content-Length stays only where it is true or tells what a GET would have had."""
    headers: Headers = [(b"Connection", b"x"), (b"A", b"1"), *((b"content-length", value) for value in told)]
    headers.append((b"Transfer-Encoding", b"chunked"))
    out, is_chunked = framed(headers, status, method, length)
    assert is_chunked is chunked
    assert [value for key, value in out if key.lower() == b"content-length"] == kept
    assert ((b"Transfer-Encoding", b"chunked") in out) is chunked
    assert (b"A", b"1") in out
    assert not [key for key, _ in out if key == b"Connection"]


def test_a_true_length_keeps_its_place_and_case() -> None:
    """The upstream's own Content-Length is passed on where it stood."""
    headers: Headers = [(b"A", b"1"), (b"conTent-length", b"2"), (b"B", b"3")]
    assert framed(headers, 200, "GET", 2)[0] == headers


def test_section_bytes() -> None:
    """A section is the status line, the fields byte for byte, and an empty line."""
    headers: Headers = [(b"b", b"\xff"), (b"A", b""), (b"b", b"2")]
    assert section(299, b"Odd \xe9", headers) == b"HTTP/1.1 299 Odd \xe9\r\nb: \xff\r\nA: \r\nb: 2\r\n\r\n"
    assert section(404, b"", []) == b"HTTP/1.1 404 Not Found\r\n\r\n"
    assert section(799, b"", []) == b"HTTP/1.1 799 \r\n\r\n"
