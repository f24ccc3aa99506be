"""A form as `multipart/form-data` (RFC 7578), taken apart at its boundary.

The one idea: a part is the bytes between two boundaries and is never written anew, so files, charsets and odd headers
stay as they came; only its name is read, as leniently as PHP does. Source: PHP's `rfc1867.c`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from gateway.whmcs.names import is_credential, variable

_BLANK: Final = re.compile(rb"\A\r?\n|\r?\n\r?\n")
"""The end of a part's header section."""
_FOLD: Final = re.compile(rb"\r?\n[ \t]+")
_DISPOSITION: Final = re.compile(rb"^content-disposition[ \t]*:(.*)$", re.IGNORECASE | re.MULTILINE)
_PARAMETER: Final = re.compile(rb""";\s*([^=;]*)=\s*(?:"((?:[^"\\]|\\.)*)"|'([^']*)'|([^;\s]*))""")
"""Any parameter, so that none is read out of another's quoted value."""
_ESCAPED: Final = re.compile(rb"\\(.)")


class Unreadable(ValueError):
    """Why a content is not such a form; repeats nothing of it."""


@dataclass(frozen=True, slots=True)
class Multipart:
    """A form's parts between its boundaries, header section and content together, and what stands around them."""

    boundary: bytes
    parts: tuple[bytes, ...]
    preamble: bytes = b""
    epilogue: bytes = b""

    def values(self, name: bytes) -> list[bytes]:
        """Return the contents of every part that PHP would put into the variable `name`; files are none."""
        return [_content(part) for part in self.parts if name in map(variable, _names(part, files=False))]

    def without_credentials(self) -> Multipart:
        """Return the form without the parts that hold credentials."""
        kept = tuple(part for part in self.parts if not any(map(is_credential, _names(part, files=True))))
        return Multipart(self.boundary, kept, self.preamble, self.epilogue)

    def beginning_with(self, pairs: Sequence[tuple[str, str]]) -> Multipart:
        """Return the form with further parts in front, where PHP's `max_input_vars` does not cut them off."""
        added = (f'Content-Disposition: form-data; name="{name}"\r\n\r\n{value}'.encode() for name, value in pairs)
        return Multipart(self.boundary, (*added, *self.parts), self.preamble, self.epilogue)

    def content(self) -> bytes:
        """Return the form's bytes."""
        opening = b"--" + self.boundary
        before = self.preamble + b"\r\n" if self.preamble else b""
        parts = b"".join(opening + b"\r\n" + part + b"\r\n" for part in self.parts)
        return before + parts + opening + b"--" + self.epilogue


def read_multipart(content: bytes, boundary: bytes) -> Multipart:
    """Return what a content holds between its boundaries, whose lines may end without a carriage return.

    Raises:
        Unreadable: when the boundary is missing, the last one does not close the form, or a part has no header section.
    """
    line = re.compile(rb"(?:\A|\r?\n)--" + re.escape(boundary) + rb"(--)?(?=[ \t]*(?:\r?\n|\Z))")
    found: list[re.Match[bytes]] = []
    for match in line.finditer(content):
        found.append(match)
        if match[1]:
            break
    if not found or not found[-1][1]:
        raise Unreadable("the form's boundary is missing, or does not close it")
    parts = tuple(_part(content[one.end() : two.start()]) for one, two in pairwise(found))
    before, after = content[: found[0].start()], content[found[-1].end() :]
    if b"--" + boundary in before or b"--" + boundary in after:  # PHP reads on behind the end
        raise Unreadable("the form's boundary stands outside of the form")
    return Multipart(boundary, parts, before, after)


def _part(text: bytes) -> bytes:
    part = re.sub(rb"\A[ \t]*\r?\n", b"", text, count=1)
    if part == text or _BLANK.search(part) is None:
        raise Unreadable("a part of the form has no header section")
    return part


def _names(part: bytes, *, files: bool) -> list[bytes]:
    """Return every name that the part gives itself; without `files`, none when it is one."""
    end = _BLANK.search(part)
    assert end is not None
    found: list[bytes] = []
    for disposition in _DISPOSITION.findall(_FOLD.sub(b" ", part[: end.start()])):
        for parameter, quoted, single, token in _PARAMETER.findall(disposition):
            if parameter.lower() == b"filename" and not files:
                return []
            if parameter.strip().lower() == b"name":
                found.append(_ESCAPED.sub(rb"\1", quoted) or single or token)
    return found


def _content(part: bytes) -> bytes:
    end = _BLANK.search(part)
    assert end is not None
    return part[end.end() :]
