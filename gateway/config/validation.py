"""A document against its settings model: pydantic validates, this module says where and in plain words.

The one idea: one section's mistake does not keep the others from being looked at. What is sound after the first
pass is validated again without the unsound keys, so that the checks across keys can run on it.
"""

from __future__ import annotations

import copy
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from gateway.config import secret_files
from gateway.config.document import Document, Failed, KeyPath
from gateway.config.problems import Problem, did_you_mean, enumerate_words
from gateway.config.schema import known_keys, may_be_null, secret_keys, words_for
from gateway.config.wording import describe
from gateway.settings import Settings

S = TypeVar("S", bound=Settings)

_UNKNOWN: Final = "extra_forbidden"


@dataclass(frozen=True, slots=True)
class Checked(Generic[S]):
    """A document after validation."""

    document: Document
    settings: S | None
    """The sound parts, defaults in the place of the others; None when that makes no whole."""
    unsound: frozenset[str]
    """Keys of the top level that hold an error."""

    def sound(self, *names: str) -> bool:
        """Whether none of these keys of the top level holds an error."""
        return self.unsound.isdisjoint(names)


def validate(model: type[S], document: Document) -> tuple[Checked[S], list[Problem]]:
    """Return what is sound in the document, and a problem for everything that is not."""
    _take_nulls(model, document)
    problems = secret_files.take(model, document)
    try:
        settings = model.model_validate(document.data)
    except ValidationError as error:
        checked, found = _salvage(model, document, error)
        return checked, [*problems, *found]
    return Checked(document, settings, frozenset(str(path[0]) for path in document.failed)), problems


def _take_nulls(model: type[S], document: Document) -> None:
    """Let a variable say `null` where the key takes it; a literal `null` is null in YAML already."""
    for path in document.variables:
        if _value_at(document.data, path) == "null" and may_be_null(model, path):
            document.give(path, None, document.given.get(path))


def _salvage(model: type[S], document: Document, error: ValidationError) -> tuple[Checked[S], list[Problem]]:
    found: dict[KeyPath, list[ErrorDetails]] = defaultdict(list)
    for details in error.errors(include_url=False):
        found[_resolve(details, document.data)].append(details)
    problems = [
        _problem(model, document, path, found[path])
        for path in found
        if not _has_inner(path, found) and not _is_reported(path, document)
    ]
    unknown = {path for path, details in found.items() if details[0]["type"] == _UNKNOWN}
    unsound = frozenset(str(path[0]) for path in (found.keys() - unknown) | document.failed if path)
    data = copy.deepcopy(document.data)
    for path in unknown:
        del _value_at(data, path[:-1])[path[-1]]
    try:
        settings = model.model_validate({key: value for key, value in data.items() if key not in unsound})
    except ValidationError:
        return Checked(document, None, unsound), problems
    return Checked(document, settings, unsound), problems


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
    raw = _value_at(document.data, path)
    words = words_for(model, path)
    needs, hints = zip(*(describe(one, raw, words) for one in details), strict=True)
    need = " or ".join(dict.fromkeys(needs)).replace(" or must be ", " or ")
    variables = () if path in document.given else document.variables.get(path, ())
    source = f" (the value comes from {enumerate_words(variables, 'and')})" if variables else ""
    return document.problem(path, f"{need}{''.join(hints)}{source}")


def _value_at(data: Any, path: KeyPath) -> Any:
    here = data
    for part in path:
        if isinstance(here, Failed):
            return here
        here = here[part]
    return here
