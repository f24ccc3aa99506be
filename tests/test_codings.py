"""Contents in the codings of HTTP."""

from __future__ import annotations

import gzip
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.codings import decoded, unpacked

TEXT = b"<a>text</a>"


@pytest.mark.parametrize(
    ("content", "encoding"),
    [
        (TEXT, None),
        (TEXT, b"identity"),
        (gzip.compress(TEXT), b"gzip"),
        (gzip.compress(TEXT), b" X-GZIP "),
        (zlib.compress(TEXT), b"deflate"),
        (zlib.compress(TEXT)[2:-4], b"deflate"),
    ],
)
def test_codings(content: bytes, encoding: bytes | None) -> None:
    """An answer is read in the codings that clients ask for."""
    assert decoded(content, encoding, 1000) == TEXT


def test_a_bomb_is_read_only_so_far() -> None:
    """However small a content is compressed, only its beginning is unpacked."""
    assert len(decoded(gzip.compress(b"x" * 10_000_000), b"gzip", 100)) == 100


@pytest.mark.parametrize(
    ("content", "encoding", "found"),
    [
        (gzip.compress(TEXT), b"gzip", TEXT),
        (zlib.compress(TEXT), b" Deflate", TEXT),
        (gzip.compress(TEXT)[:-1], b"gzip", None),
        (gzip.compress(TEXT) + b"more", b"gzip", None),
        (gzip.compress(b"x" * 2000), b"gzip", None),
        (TEXT, b"gzip", None),
        (TEXT, b"br", None),
    ],
)
def test_whole_contents(content: bytes, encoding: bytes, found: bytes | None) -> None:
    """A request is unpacked whole or not at all: neither damaged, nor followed by more, nor beyond the limit."""
    assert unpacked(content, encoding, 1000) == found


@given(st.binary(), st.sampled_from([None, b"gzip", b"deflate", b"br", b"gzip, br"]))
def test_any_content(content: bytes, encoding: bytes | None) -> None:
    """Nothing that a server sends raises, or is unpacked further than asked for."""
    assert len(decoded(content, encoding, 50)) <= 50
