"""What the settings models say about a key: which names a mapping knows, whether it may be null, what it has to be.

The one idea: pydantic's models are the only description of the configuration; whatever else needs it asks them here.
"""

from __future__ import annotations

import types
from collections.abc import Iterator
from typing import Annotated, Any, NamedTuple, Union, get_args, get_origin

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from gateway.config.document import KeyPath


class _Form(NamedTuple):
    """One of the forms that a value may take."""

    kind: Any
    words: str
    """The field's description, or nothing."""


def fields(kind: Any) -> dict[str, FieldInfo]:
    """Return the fields of a settings model by the names that operators use; none for any other type."""
    if not (isinstance(kind, type) and issubclass(kind, BaseModel)):
        return {}
    return {info.alias or name: info for name, info in kind.model_fields.items()}


def kinds(annotation: Any) -> tuple[Any, ...]:
    """Return the types that an annotation allows, without what else it asks of them."""
    return tuple(form.kind for form in _forms(annotation, ""))


def known_keys(model: type[BaseModel], path: KeyPath) -> tuple[str, ...]:
    """Return the names that the mapping at `path` may hold; none where any name is allowed."""
    return tuple(name for form in _at(model, path) for name in fields(form.kind))


def secret_keys(model: type[BaseModel], path: KeyPath) -> tuple[str, ...]:
    """Return the names of the secrets that the mapping at `path` may hold."""
    return tuple(
        name
        for form in _at(model, path)
        for name, info in fields(form.kind).items()
        if any(inner.kind is SecretStr for inner in _forms(info.annotation, ""))
    )


def may_be_null(model: type[BaseModel], path: KeyPath) -> bool:
    """Whether the value at `path` may be null."""
    return any(form.kind is type(None) for form in _at(model, path))


def words_for(model: type[BaseModel], path: KeyPath) -> str:
    """Return the description of the value at `path`, or nothing."""
    return next((form.words for form in _at(model, path) if form.words), "")


def _at(model: type[BaseModel], path: KeyPath) -> tuple[_Form, ...]:
    forms: tuple[_Form, ...] = (_Form(model, ""),)
    for part in path:
        forms = tuple(inner for form in forms for inner in _inside(form.kind, part))
    return forms


def _inside(kind: Any, part: str | int) -> Iterator[_Form]:
    info = fields(kind).get(str(part))
    if info is not None:
        yield from _forms(info.annotation, info.description or "")
    elif get_origin(kind) is dict:
        yield from _forms(get_args(kind)[1], "")
    elif get_origin(kind) is tuple and isinstance(part, int):
        yield from _forms(get_args(kind)[0], "")


def _forms(annotation: Any, words: str) -> Iterator[_Form]:
    """Take `Annotated` and unions apart."""
    origin = get_origin(annotation)
    if origin is Annotated:
        inner, *metadata = get_args(annotation)
        own = next((note.description for note in metadata if isinstance(note, FieldInfo) and note.description), words)
        yield from _forms(inner, own)
    elif origin in (Union, types.UnionType):
        for member in get_args(annotation):
            yield from _forms(member, words)
    else:
        yield _Form(annotation, words)
