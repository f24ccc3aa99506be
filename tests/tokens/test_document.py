"""Members of a JSON object replaced, all else untouched."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.tokens.document import Document, NotAnObject

_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)


def test_other_members_keep_their_bytes() -> None:
    """Digits, escapes, spaces inside values and the order of members survive; ours take the place of theirs."""
    content = b' { "big":12345678901234567890.10 ,"expiresIn" : 5, "e":1E+2,"t":"\\u00fc\\/", "o" : { "a" :  [ 1 ] } } '
    changed = Document(content).with_members({"expiresIn": 900, "tokenType": "Bearer"}, append=True)
    assert changed == (
        b'{"big":12345678901234567890.10,"expiresIn":900,"e":1E+2,"t":"\\u00fc\\/","o" : { "a" :  [ 1 ] }'
        b',"tokenType":"Bearer"}'
    )


def test_members_are_removed_and_not_added_when_so_asked() -> None:
    """None takes a member out; without `append` nothing new appears; inner members of the same name stay."""
    content = b'{"accessToken":"x","user":{"accessToken":"y"},"expiresIn":1}'
    members = {"accessToken": None, "refreshToken": None, "expiresIn": 9, "tokenType": "Bearer"}
    assert Document(content).with_members(members, append=False) == b'{"user":{"accessToken":"y"},"expiresIn":9}'


def test_duplicates_of_a_replaced_member_go() -> None:
    """A backend's second member of the same name cannot win over ours; an escaped spelling is the same name."""
    content = b'{"refreshToken":"x","a":1,"refresh\\u0054oken":"y"}'
    assert Document(content).with_members({"refreshToken": "ours"}, append=True) == b'{"refreshToken":"ours","a":1}'


@pytest.mark.parametrize(
    "content",
    [b"", b"[]", b'"x"', b"1", b"{", b"{}x", b'{"a":NaN}', b'{"a":Infinity}', b"\xff{}", b"\xef\xbb\xbf{}",
     b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}", b"<html>"],
    ids=range(12),
)  # fmt: skip
def test_anything_but_an_object_is_refused(content: bytes) -> None:
    """Other JSON, broken JSON, Python's extensions of it, other encodings and bombs."""
    with pytest.raises(NotAnObject):
        Document(content)


@given(st.dictionaries(st.text(max_size=6) | st.just("a"), _VALUES, max_size=5), st.sampled_from([None, 0, 2]))
def test_what_comes_out_says_the_same(value: dict[str, Any], indent: int | None) -> None:
    """For any object in any layout: the same members with the same values, but for the replaced ones."""
    document = Document(json.dumps(value, indent=indent).encode())
    assert json.loads(document.with_members({}, append=True)) == value
    assert json.loads(document.with_members({"a": "ours"}, append=True)) == {**value, "a": "ours"}
