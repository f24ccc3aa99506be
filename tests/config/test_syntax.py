"""From bytes to nodes. The syntax errors themselves are in `fixtures/syntax_*.yaml`."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config.syntax import SyntaxProblem, compose


@pytest.mark.parametrize("content", [b"", b"\n\n", b"# only a comment\n", b"---\n", b"\xef\xbb\xbf"])
def test_empty(content: bytes) -> None:
    """A file without content has no root, or an empty one, and is no error."""
    root = compose(content)
    assert root is None or root.value == ""


def test_byte_order_mark_is_no_content() -> None:
    """A byte order mark and CRLF, as editors on Windows write them, change nothing."""
    root = compose(b"\xef\xbb\xbfa: 1\r\nb: 2\r\n")
    assert root is not None
    assert [(key.value, key.start_mark.line, key.start_mark.column) for key, _ in root.value] == [
        ("a", 0, 0),
        ("b", 1, 0),
    ]


def test_anchor_alone_is_harmless() -> None:
    """An anchor that nothing refers to is taken as a comment."""
    assert compose(b"a: &name 1\n") is not None


def test_expansion_bomb() -> None:
    """Nested aliases are refused at the first one, before they grow."""
    bomb = "a: &a [x, x]\n" + "".join(f"{b}: &{b} [*{a}, *{a}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True))
    with pytest.raises(SyntaxProblem) as refused:
        compose(bomb.encode())
    assert (refused.value.line, refused.value.column) == (2, 8)


def outcome(content: bytes) -> SyntaxProblem | None:
    """Return what is wrong with the content; None when it parses."""
    try:
        compose(content)
    except SyntaxProblem as problem:
        return problem
    return None


@given(st.text(st.sampled_from(list("ab:-? {}[],&*!|>'\"%@`#\t\n${}<\\\x00\x85é😀")), max_size=60))
def test_never_crashes(text: str) -> None:
    """Any text is a tree or a problem with a place in it."""
    problem = outcome(text.encode())
    assert problem is None or (problem.line >= 1 and problem.column >= 1 and problem.text)


@given(st.binary(max_size=60))
def test_any_bytes(content: bytes) -> None:
    """Any bytes are a tree or a problem with a place in them."""
    problem = outcome(content)
    assert problem is None or (problem.line >= 1 and problem.column >= 1 and problem.text)
