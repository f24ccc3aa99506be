"""Variables inside a scalar."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config.expansion import expand

ENVIRON = {"HOST": "cache", "EMPTY": "", "TRICKY": "${HOST} }: [", "BYTES": "caf\udce9"}


@pytest.mark.parametrize(
    ("text", "expanded"),
    [
        ("plain", "plain"),
        ("${HOST}", "cache"),
        ("redis://${HOST}:6379/${DB:-0}", "redis://cache:6379/0"),
        ("${HOST:-other}", "cache"),
        ("${AWAY:-other}", "other"),
        ("${EMPTY:-other}", "other"),
        ("${EMPTY}", ""),
        ("${AWAY:-}", ""),
        ("${AWAY:-http://127.0.0.1:3000}", "http://127.0.0.1:3000"),
        ("$${HOST}", "${HOST}"),
        ("$$${HOST}", "$${HOST}"),
        ("$HOST $$ $", "$HOST $$ $"),
        ("${TRICKY}", "${HOST} }: ["),
        ("${AWAY:-30000}ms", "30000ms"),
    ],
)
def test_expands(text: str, expanded: str) -> None:
    """References are replaced once, defaults stand in for unset and empty variables, and `$${` stays a plain `${`."""
    result = expand(text, ENVIRON)
    assert (result.text, result.errors) == (expanded, ())


@pytest.mark.parametrize("text", ["${", "${}", "${1ST}", "${HOST", "${HOST-other}", "${HOST:other}", "${A:-${HOST}}"])
def test_malformed(text: str) -> None:
    """Anything else that begins with `${` is an error, and not passed on."""
    assert len(expand(text, ENVIRON).errors) == 1


def test_every_unset_variable_is_named() -> None:
    """Each variable that is not set gets its own error."""
    errors = expand("${USER_NAME}:${PASS_WORD}@${HOST}", ENVIRON).errors
    assert [name in error for name, error in zip(("USER_NAME", "PASS_WORD"), errors, strict=True)] == [True, True]


def test_not_utf8() -> None:
    """A variable whose bytes are not UTF-8 is an error, and not a crash later."""
    assert expand("${BYTES}", ENVIRON).errors == ("the environment variable BYTES is not valid UTF-8",)


def test_variables_are_remembered() -> None:
    """Every variable a scalar refers to is known afterwards, also where its default stood in."""
    assert expand("${HOST}:${PORT:-1}:${HOST}", ENVIRON).variables == ("HOST", "PORT")


FRAGMENTS = st.sampled_from(["${", "}", "$", "$${", ":-", "A", "B", "${A}", "${B:-x}", "${C}", " ", "\n", "é"])


@given(st.lists(FRAGMENTS | st.text(max_size=4)).map("".join), st.text(max_size=8))
def test_never_crashes_and_never_tells(text: str, value: str) -> None:
    """Any text expands or is refused, and no error holds what a variable holds."""
    secret = f"hush-{value}"
    result = expand(text, {"A": secret, "B": ""})
    assert all("hush-" not in error for error in result.errors if "hush-" not in text)
    if "${" not in text:
        assert result.text == text


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
def test_value_arrives_as_it_is(value: str) -> None:
    """What a variable holds is neither parsed nor expanded again."""
    assert expand("<${A}>", {"A": value}).text == f"<{value}>"
