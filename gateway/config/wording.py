"""pydantic's error types in operators' words.

The one idea: a text says what the key needs, never what it was given, because what it was given may be a secret.
"""

from __future__ import annotations

import re
from typing import Any, Final

from pydantic_core import ErrorDetails

from gateway.config.problems import did_you_mean, enumerate_words
from gateway.settings import Unsuitable, parse_duration, parse_size

_NEEDS: Final = {
    "int_": "must be a whole number",
    "float_": "must be a number",
    "finite_number": "must be a finite number",
    "bool_": "must be true or false",
    "string_type": "must be a text",
    "string_unicode": "must be a text",
    "path_type": "must be a path",
    "tuple_type": "must be a list",
    "list_type": "must be a list",
    "dict_type": "must be a mapping of keys",
    "model_": "must be a mapping of keys",
}
"""The beginning of a type, and what is said for it."""

_BOUNDS: Final = {
    "greater_than": ("more than", "gt"),
    "greater_than_equal": ("at least", "ge"),
    "less_than": ("less than", "lt"),
    "less_than_equal": ("at most", "le"),
}
_QUOTED: Final = re.compile(r"'([^']*)'")


def describe(error: ErrorDetails, raw: Any, words: str) -> tuple[str, str]:
    """Return what the value must be, and a suggestion ` (did you mean …?)` or nothing.

    `raw` is the value as the document has it, `words` the description that the model gives of it, or nothing.
    """
    kind, context = error["type"], error.get("ctx", {})
    if raw is None:
        return "must not be null; give it a value, or leave the key out", ""
    if kind == "literal_error":
        allowed = _QUOTED.findall(str(context["expected"]))
        return f"must be {enumerate_words(allowed)}", did_you_mean(raw, allowed) if isinstance(raw, str) else ""
    if kind == "value_error":
        ours = isinstance(context["error"], Unsuitable)
        return str(context["error"]) if ours else "is not valid", ""  # a foreign text may repeat the value
    if kind in _BOUNDS:
        words_of_bound, name = _BOUNDS[kind]
        return f"must be {words_of_bound} {context[name]:g}{_unit(raw)}", ""
    if kind.endswith("too_short"):
        return _too_short(kind, context["min_length"]), ""
    if kind.endswith("too_long"):
        return f"must have at most {context['max_length']} characters or entries", ""
    if kind == "string_pattern_mismatch":
        return f"must be {words}" if words else f"must have the form {context['pattern']}", ""
    return next((text for beginning, text in _NEEDS.items() if kind.startswith(beginning)), "is not valid"), ""


def _too_short(kind: str, least: int) -> str:
    if kind != "string_too_short":
        return f"needs at least {least} {'entry' if least == 1 else 'entries'}"
    return "must not be empty" if least == 1 else f"must have at least {least} characters"


def _unit(raw: Any) -> str:
    """Return the base unit of what the value was written in."""
    for parse, unit in ((parse_duration, "s"), (parse_size, "B")):
        try:
            parse(raw)
        except ValueError:
            continue
        return unit
    return ""
