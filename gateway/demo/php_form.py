"""Reads form fields as PHP does: `custom[0]`, `items[]` and `line[1][amount]` become lists and mappings.

The one idea: a name is a path. The part before the first bracket is the field, each bracket a step into it, and an
empty bracket the next free number. Source: PHP manual, "Variables from external sources".
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Final

_NAME: Final = re.compile(r"([^\[]+)((?:\[[^\]]*\])*)")
_STEP: Final = re.compile(r"\[([^\]]*)\]")


def read(fields: Iterable[tuple[str, str]]) -> dict[str, Any]:
    """Return the fields as nested mappings; those numbered from zero without a gap are lists."""
    found: dict[str, Any] = {}
    for name, value in fields:
        match = _NAME.fullmatch(name)
        path = [match[1], *_STEP.findall(match[2])] if match is not None else [name]
        place = found
        for step in path[:-1]:
            key = step or str(len(place))
            if not isinstance(place.get(key), dict):
                place[key] = {}
            place = place[key]
        place[path[-1] or str(len(place))] = value
    return {name: _lists(value) for name, value in found.items()}


def _lists(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    inner = {name: _lists(one) for name, one in value.items()}
    return list(inner.values()) if list(inner) == [str(number) for number in range(len(inner))] else inner
