"""Secrets from files: beside a secret `KEY`, `KEY_file` names the file that holds it.

The one idea: the file's content takes the key's place before anything is validated, so that every secret of every model
has its `_file` without saying so, and all checks hold for it. No message repeats the path: whoever writes the secret
itself there by mistake must not find it in a log.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel

from gateway.config.document import Document, Failed, KeyPath, digest
from gateway.config.problems import Problem, enumerate_words
from gateway.config.schema import secret_keys

SUFFIX: Final = "_file"
LARGEST: Final = 64 * 1024
"""Bytes; a key or a secret is never so large, and something else is then meant."""

_LAST_NEWLINE: Final = re.compile(r"\r?\n\Z")


class _Unusable(Exception):
    """Why a file gives no secret."""


def take(model: type[BaseModel], document: Document) -> list[Problem]:
    """Put the content of each `KEY_file` in the place of `KEY`; return what is wrong with the files."""
    problems: list[Problem] = []
    for path, mapping in list(_mappings(document.data, ())):
        for name in secret_keys(model, path):
            if name + SUFFIX in mapping:
                problems += _take_one(document, mapping, path, name)
    return problems


def _mappings(data: Any, path: KeyPath) -> Iterator[tuple[KeyPath, dict[str, Any]]]:
    if isinstance(data, dict):
        yield path, data
    inner = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    for part, value in inner:
        yield from _mappings(value, (*path, part))


def _take_one(document: Document, mapping: dict[str, Any], path: KeyPath, name: str) -> list[Problem]:
    given = mapping.pop(name + SUFFIX)
    here, there = (*path, name), (*path, name + SUFFIX)
    if given is None:
        return []
    if mapping.get(name) is not None:
        document.failed.add(here)  # which of the two is meant is not known
        return [document.problem(there, f"cannot stand beside {name}; leave one of them out", of_key=True)]
    for places in (document.values, document.keys):
        places[here] = places[there]
    if isinstance(given, Failed):  # reported where it could not be expanded
        return _fail(document, mapping, here, [])
    try:
        mapping[name] = _content(document, given)
    except _Unusable as unusable:
        variables = document.variables.get(there)
        source = f" (the path comes from {enumerate_words(variables, 'and')})" if variables else ""
        return _fail(document, mapping, here, [document.problem(there, f"{unusable}{source}")])
    return []


def _fail(document: Document, mapping: dict[str, Any], path: KeyPath, problems: list[Problem]) -> list[Problem]:
    mapping[path[-1]] = Failed()  # type: ignore[index]  # a mapping's key
    document.failed.add(path)
    return problems


def _content(document: Document, given: Any) -> str:
    """Return a file's text without one newline at its end, and note what was read."""
    if not isinstance(given, str) or not given:
        raise _Unusable("must be the path of a file")
    path = Path(document.file).parent / given
    try:
        if not path.is_file():
            raise _Unusable("there is no such file; a relative path begins at the folder of this configuration file")
        if path.stat().st_size > LARGEST:
            raise _Unusable(f"the file is larger than {LARGEST // 1024} KiB")
        content = path.read_bytes()
        text = content.decode()
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path, or bytes that are not UTF-8
        reason = (error.strerror or "unknown reason").lower() if isinstance(error, OSError) else "it is not UTF-8 text"
        raise _Unusable(f"the file cannot be read: {reason}") from None
    document.sources[path] = digest(content)
    text = _LAST_NEWLINE.sub("", text)
    if not text:
        raise _Unusable("the file is empty")
    return text
