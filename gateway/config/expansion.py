"""Environment variables inside one scalar: `${VAR}`, `${VAR:-default}`, and `$${` for a plain `${`.

The one idea: expansion works on a text that YAML has already parsed, so that no value can add keys or change the
structure. `:-` follows the POSIX shell (XCU section 2.6.2): the default stands in for an unset or empty variable.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final, NamedTuple

_REFERENCE: Final = re.compile(
    r"(?P<escape>\$\$\{)"
    r"|\$\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?P<default>:-[^}]*)?\}"
    r"|(?P<malformed>\$\{)"
)


class Expansion(NamedTuple):
    """A scalar after expansion."""

    text: str
    variables: tuple[str, ...]
    """Every variable the scalar refers to, also where a default stood in."""
    errors: tuple[str, ...]
    """Why it cannot be expanded; `text` is not to be used then."""


def expand(text: str, environ: Mapping[str, str]) -> Expansion:
    """Replace every reference in `text`; what a variable holds is not expanded again."""
    if "${" not in text:
        return Expansion(text, (), ())
    variables: list[str] = []
    errors: list[str] = []

    def replace(match: re.Match[str]) -> str:
        if match["escape"]:
            return "${"
        name, default = match["name"], match["default"]
        if match["malformed"] or (default is not None and "${" in default):
            errors.append("write ${NAME} or ${NAME:-default} (not nested), or $${ for the characters themselves")
            return ""
        variables.append(name)
        value = environ.get(name)
        if default is not None:
            value = value or default.removeprefix(":-")
        if value is None:
            errors.append(f"the environment variable {name} is not set; set it, or write ${{{name}:-default}}")
            return ""
        if not is_text(value):
            errors.append(f"the environment variable {name} is not valid UTF-8")
            return ""
        return value

    expanded = _REFERENCE.sub(replace, text)
    return Expansion(expanded, tuple(dict.fromkeys(variables)), tuple(dict.fromkeys(errors)))


def is_text(value: str) -> bool:
    """Whether it can be written as UTF-8; the bytes of a variable that are not arrive as lone surrogates (PEP 383)."""
    return not any("\ud800" <= character <= "\udfff" for character in value)
