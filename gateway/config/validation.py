"""A document against its settings model: pydantic validates, this module says where and in plain words.

The one idea: one mistake does not hide another. Whatever is sound is salvaged key by key, so that the checks between
keys can run on it, and the path of everything else is kept, so that they know what not to read.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from gateway.config import secret_files
from gateway.config.document import Document, Failed, KeyPath
from gateway.config.problems import Problem, did_you_mean, enumerate_words
from gateway.config.salvage import salvage
from gateway.config.schema import known_keys, may_be_null, secret_keys, words_for
from gateway.config.wording import describe
from gateway.settings import Settings

S = TypeVar("S", bound=Settings)

_UNKNOWN: Final = "extra_forbidden"
_OF_KEY: Final = ("[key]",)
"""The end of pydantic's location where not the value is wrong but its name in a free mapping."""


@dataclass(frozen=True, slots=True)
class Checked(Generic[S]):
    """A document after validation."""

    document: Document
    settings: S
    """The sound parts, in the document's shape; see `gateway.config.salvage` for what stands in the others' places."""
    unsound: frozenset[KeyPath]
    """Where the errors are."""

    def sound(self, *paths: KeyPath) -> bool:
        """Whether all of these can be read: neither they nor anything around them is wrong.

        Of a list or a mapping that is sound, single entries may not be.
        """
        return not any(path[:length] in self.unsound for path in paths for length in range(len(path) + 1))


def validate(model: type[S], document: Document) -> tuple[Checked[S], list[Problem]]:
    """Return what is sound in the document, and a problem for everything that is not."""
    _take_nulls(model, document)
    problems = secret_files.take(model, document)
    try:
        settings = model.model_validate(document.data)
    except ValidationError as error:
        checked, found = _sort_out(model, document, error)
        return checked, [*problems, *found]
    return Checked(document, settings, frozenset(document.failed)), problems


def _take_nulls(model: type[S], document: Document) -> None:
    """Let a variable say `null` where the key takes it; a literal `null` is null in YAML already."""
    for path in document.variables:
        if _value_at(document.data, path) == "null" and may_be_null(model, path):
            document.give(path, None, document.given.get(path))


def _sort_out(model: type[S], document: Document, error: ValidationError) -> tuple[Checked[S], list[Problem]]:
    found: dict[KeyPath, list[ErrorDetails]] = defaultdict(list)
    for details in error.errors(include_url=False):
        found[_resolve(details, document.data)].append(details)
    wrong = {path for path in found if not _has_inner(path, found)}
    unknown = {path for path in wrong if found[path][0]["type"] == _UNKNOWN}
    problems = [
        _problem(model, document, path, details)
        for path in found
        if path in wrong
        for details in _of_key_and_value(found[path])
        if _is_of_key(details[0]) or not _is_reported(path, document)
    ]
    settings = salvage(model, document.data, wrong | document.failed)
    return Checked(document, settings, frozenset(wrong - unknown | document.failed)), problems


def _of_key_and_value(details: list[ErrorDetails]) -> list[list[ErrorDetails]]:
    """Part two mistakes that stand at one path; what is left together are the ways in which one value was tried."""
    of_key = [one for one in details if _is_of_key(one)]
    of_value = [one for one in details if not _is_of_key(one)]
    return [group for group in (of_key, of_value) if group]


def _is_of_key(details: ErrorDetails) -> bool:
    return details["type"] == _UNKNOWN or details["loc"][-1:] == _OF_KEY


def _resolve(details: ErrorDetails, data: Any) -> KeyPath:
    """Return the path in the document: pydantic's location without its names for the members of unions."""
    path: KeyPath = ()
    here: Any = data
    for part in details["loc"]:
        inside = part in here if isinstance(here, dict) else isinstance(here, list) and part in range(len(here))
        if inside:
            here = here[part]
            path = (*path, part)
    return (*path, details["loc"][-1]) if details["type"] == "missing" else path


def _has_inner(path: KeyPath, found: Iterable[KeyPath]) -> bool:
    """Whether an error lies deeper: it tells more than what the value around it should have been instead."""
    return any(len(other) > len(path) and other[: len(path)] == path for other in found)


def _is_reported(path: KeyPath, document: Document) -> bool:
    return any(path[: len(failed)] == failed for failed in document.failed)


def _problem(model: type[S], document: Document, path: KeyPath, details: list[ErrorDetails]) -> Problem:
    kind = details[0]["type"]
    if kind == _UNKNOWN:
        files = (name + secret_files.SUFFIX for name in secret_keys(model, path[:-1]))
        hint = did_you_mean(str(path[-1]), (*known_keys(model, path[:-1]), *files))
        return document.problem(path, f"is not a known key{hint}", of_key=True)
    if kind == "missing":
        return document.problem(path, "is missing and has no default")
    of_key = _is_of_key(details[0])
    raw = path[-1] if of_key else _value_at(document.data, path)
    words = words_for(model, path)
    needs, hints = zip(*(describe(one, raw, words) for one in details), strict=True)
    need = " or ".join(dict.fromkeys(needs)).replace(" or must be ", " or ")
    variables = () if of_key or path in document.given else document.variables.get(path, ())
    source = f" (the value comes from {enumerate_words(variables, 'and')})" if variables else ""
    return document.problem(path, f"{need}{''.join(hints)}{source}", of_key=of_key)


def _value_at(data: Any, path: KeyPath) -> Any:
    here = data
    for part in path:
        if isinstance(here, Failed):
            return here
        here = here[part]
    return here
