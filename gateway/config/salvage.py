"""Settings out of a document that holds errors, for the checks between keys to run on.

The one idea: the result has the document's shape. An unsound key keeps its default, or is left out where it has none;
an unsound entry of a list or a free mapping is None, so that the others keep their places. Whoever reads such settings
asks first whether what it reads is sound.
"""

from __future__ import annotations

from collections.abc import Collection
from contextlib import suppress
from typing import Any, TypeVar, get_args, get_origin

from pydantic import BaseModel, TypeAdapter, ValidationError

from gateway.config.document import KeyPath
from gateway.config.schema import fields, kinds

M = TypeVar("M", bound=BaseModel)


def salvage(model: type[M], data: dict[str, Any], bad: Collection[KeyPath]) -> M:
    """Return `data` as settings, without what stands at the paths in `bad`; these are all that pydantic refuses."""
    around = frozenset(path[:length] for path in bad for length in range(len(path)))
    return _Salvage(frozenset(bad), around).settings(model, data, ())


class _Salvage:
    """Walks down to every value that is sound as a whole, and lets pydantic validate that."""

    def __init__(self, bad: frozenset[KeyPath], around: frozenset[KeyPath]) -> None:
        self._bad = bad
        self._around = around

    def settings(self, model: type[M], data: dict[str, Any], path: KeyPath) -> M:
        return model.model_construct(
            **{
                key: self._value(info.rebuild_annotation(), data[key], (*path, key))
                for key, info in fields(model).items()
                if key in data and (*path, key) not in self._bad
            }
        )

    def _value(self, annotation: Any, data: Any, path: KeyPath) -> Any:
        if path in self._bad:
            return None
        if path not in self._around:
            return TypeAdapter(annotation).validate_python(data)
        for kind in kinds(annotation):
            if isinstance(data, list) and get_origin(kind) is tuple:
                return tuple(self._value(get_args(kind)[0], item, (*path, i)) for i, item in enumerate(data))
            if isinstance(data, dict) and get_origin(kind) is dict:
                return {key: self._value(get_args(kind)[1], item, (*path, key)) for key, item in data.items()}
            if isinstance(data, dict) and fields(kind):
                with suppress(ValidationError):  # the keys of another member of a union
                    return self.settings(kind, data, path)
        return None
