"""Problems as lines."""

from __future__ import annotations

import pytest

from gateway.config.problems import ConfigInvalid, Problem, did_you_mean, enumerate_words


def test_line() -> None:
    """A problem reads file:line:col: key: text."""
    assert str(Problem("config.yaml", 3, 5, "log.level", "is wrong")) == "config.yaml:3:5: log.level: is wrong"


def test_parts_that_do_not_apply_are_left_out() -> None:
    """A problem without position or key has no empty parts."""
    assert str(Problem("config.yaml", 0, 0, "", "is away")) == "config.yaml: is away"


def test_sorted_once() -> None:
    """Problems are told once each, in the order of file, line and column."""
    late, early = Problem("b.yaml", 1, 1, "", "x"), Problem("a.yaml", 10, 2, "", "x")
    earlier = Problem("a.yaml", 9, 7, "", "x")
    assert ConfigInvalid([late, early, earlier, early]).problems == (earlier, early, late)


def test_exception_says_everything() -> None:
    """The exception's own text is its problems, a line each."""
    assert (
        str(ConfigInvalid([Problem("a", 1, 2, "k", "x"), Problem("a", 3, 4, "l", "y")])) == "a:1:2: k: x\na:3:4: l: y"
    )


@pytest.mark.parametrize(
    ("word", "hint"),
    [
        ("ingres", " (did you mean ingress?)"),
        ("INGRESS", " (did you mean ingress?)"),
        ("key-prefix", " (did you mean key_prefix?)"),
        ("nothing_like_it", ""),
    ],
)
def test_did_you_mean(word: str, hint: str) -> None:
    """A word gets the known one that is like it, whatever the case and the dashes."""
    assert did_you_mean(word, ("ingress", "key_prefix")) == hint


def test_enumerate_words() -> None:
    """Words are listed as one says them."""
    assert [enumerate_words(words) for words in ((), ("a",), ("a", "b"), ("a", "b", "c"))] == [
        "",
        "a",
        "a or b",
        "a, b or c",
    ]
