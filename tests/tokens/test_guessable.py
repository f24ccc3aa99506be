"""Secrets that are long enough and yet none."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.tokens.guessable import guessable


@pytest.mark.parametrize(
    "text",
    [
        "abcd" * 8,
        "0123456789" * 4,
        "0123456789012345678901234567890123",
        "hush-" * 8,
        "hush-a-block-of-31-bytes-123456" * 3,
        "deadbeef" * 5 + "dead",
    ],
)
def test_a_short_text_over_and_over(text: str) -> None:
    """However often it comes, and where it is cut: only its first block is unknown."""
    assert guessable(text.encode()) == "repeats a short text"


@pytest.mark.parametrize(
    "text",
    [
        "your-256-bit-secret-your-256-bit-secret",
        "please-change-this-secret-in-production!",
        "SuperSecretJWTKey_2024_NotUse",
        "secretsecretsecret-changeme-changeme",
        "my_super_long_and_secure_access_token_key",
        "abcdefghijklmnopqrstuvwxyz0123456789",
    ],
)
def test_the_words_of_an_example(text: str) -> None:
    """What stands in guides and templates, with whatever digits and signs between."""
    assert guessable(text.encode()) == "is made of the words of an example"


@given(st.binary(min_size=32, max_size=80), st.sampled_from([bytes, base64.b64encode, base64.b16encode]))
def test_what_is_not_repeated_passes(random: bytes, written: object) -> None:
    """Bytes that differ enough are never refused, in whatever way they are written."""
    if len(set(random)) >= 24:
        assert guessable(written(random)) == ""  # type: ignore[operator]


def test_a_whole_secret_may_come_twice() -> None:
    """A block that would do by itself is not made worse."""
    block = bytes(range(100, 132))
    assert guessable(block * 2) == ""
    assert guessable(block[:31] * 2) == "repeats a short text"
