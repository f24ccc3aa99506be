"""A JSON object whose members can be replaced without touching the others.

The one idea: the text is cut into its top-level members and put together again; what is not replaced keeps its bytes,
so numbers keep their digits, escapes their form and members their order.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any, Final

_BLANK: Final = re.compile(r"[ \t\n\r]*")


class NotAnObject(Exception):
    """The content is no JSON object (RFC 8259) in UTF-8."""


class Document:
    """A JSON object and its text.

    Attributes:
        value: the object as Python sees it.
    """

    def __init__(self, content: bytes) -> None:
        """Parse.

        Raises:
            NotAnObject: when the content is anything else.
        """
        try:
            self._text = content.decode("utf-8")
            value = _DECODER.decode(self._text)
        except (ValueError, RecursionError):
            raise NotAnObject from None
        if not isinstance(value, dict):
            raise NotAnObject
        self.value: dict[str, Any] = value

    def with_members(self, members: dict[str, Any], *, append: bool) -> bytes:
        """Return the text with `members` in place of those of the same names.

        A value of None removes the member. Members that are not there are added at the end when `append` is true.
        """
        missing = dict(members)
        parts: list[str] = []
        for name, text in self._members():
            if name not in members:
                parts.append(text)
            elif name in missing and (value := missing.pop(name)) is not None:
                parts.append(_member(name, value))
        if append:
            parts += [_member(name, value) for name, value in missing.items() if value is not None]
        return ("{" + ",".join(parts) + "}").encode("utf-8")

    def _members(self) -> list[tuple[str, str]]:
        text, members = self._text, []
        at = _skip(text, text.index("{") + 1)
        while text[at] != "}":
            start = at
            name, at = _DECODER.raw_decode(text, at)
            at = _skip(text, _skip(text, at) + 1)  # the colon
            _, at = _DECODER.raw_decode(text, at)
            members.append((name, text[start:at]))
            at = _skip(text, at)
            if text[at] == ",":
                at = _skip(text, at + 1)
        return members


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is not JSON")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):  # such as 1e400, which no token could carry as JSON
        raise ValueError(f"{text} is too large")
    return number


_DECODER: Final = json.JSONDecoder(parse_constant=_refuse, parse_float=_finite)


def _skip(text: str, at: int) -> int:
    match = _BLANK.match(text, at)
    return match.end() if match else at


def _member(name: str, value: Any) -> str:
    return f"{json.dumps(name)}:{json.dumps(value, separators=(',', ':'))}"
