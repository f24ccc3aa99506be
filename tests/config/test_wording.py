"""Error types in plain words. Most are held by the fixtures; here is what they do not reach."""

from __future__ import annotations

from typing import Annotated, Any

import pytest
from pydantic import AfterValidator, Field, ValidationError

from gateway.config.wording import describe
from gateway.settings import Duration, Settings, Size, Unsuitable


def _refuse(value: str) -> str:
    raise ValueError(f"{value} is not welcome")


def _refuse_in_our_words(value: str) -> str:
    raise Unsuitable("a friend, such as hush-friend")


class Everything(Settings):
    whole: int = 0
    number: float = 0.0
    short: Annotated[str, Field(max_length=3)] = ""
    long: Annotated[str, Field(min_length=3)] = "long"
    few: Annotated[tuple[int, ...], Field(min_length=2)] = (1, 2)
    code: Annotated[str, Field(pattern="^[a-z]+$")] = "a"
    wait: Annotated[Duration, Field(lt=60)] = 0.0
    size: Annotated[Size, Field(le=10)] = 0
    guest: Annotated[str, AfterValidator(_refuse)] = ""
    friend: Annotated[str, AfterValidator(_refuse_in_our_words)] = ""


@pytest.mark.parametrize(
    ("key", "raw", "text"),
    [
        ("whole", "1.5", "must be a whole number"),
        ("whole", [], "must be a whole number"),
        ("number", "x", "must be a number"),
        ("number", "inf", "must be a finite number"),
        ("short", "four", "must have at most 3 characters or entries"),
        ("long", "x", "must have at least 3 characters"),
        ("few", ["1"], "needs at least 2 entries"),
        ("code", "A", "must have the form ^[a-z]+$"),
        ("wait", "1m", "must be less than 60s"),
        ("size", "1KiB", "must be at most 10B"),
        ("whole", None, "must not be null; give it a value, or leave the key out"),
        ("guest", "hush-guest", "is not valid"),
        ("friend", "hush-friend", "a friend, such as hush-friend"),
    ],
)
def test_words(key: str, raw: Any, text: str) -> None:
    """Every error says what the value must be, with the unit it was written in, and never repeats the value."""
    with pytest.raises(ValidationError) as error:
        Everything.model_validate({key: raw})
    assert describe(error.value.errors()[0], raw, "") == (text, "")


def test_description_stands_for_the_pattern() -> None:
    """Where the model describes the form in words, nobody has to read the pattern."""
    with pytest.raises(ValidationError) as error:
        Everything.model_validate({"code": "A"})
    assert describe(error.value.errors()[0], "A", "small letters") == ("must be small letters", "")


def test_unknown_type_is_not_passed_on() -> None:
    """An error type that nobody thought of is still told without the library's words."""
    assert describe({"type": "new_in_2030", "loc": (), "msg": "Input should", "input": 1}, "1", "") == (
        "is not valid",
        "",
    )
