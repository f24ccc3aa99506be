"""What `gateway policies show` does: the limits in force, and where each value comes from."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

from pydantic.fields import FieldInfo
from rich.console import Console
from rich.table import Table
from rich.text import Text

from gateway.cli.config import INVALID, VALID, report
from gateway.cli.options import Output
from gateway.config import ConfigInvalid, load, locate
from gateway.config.document import Document, KeyPath, dotted
from gateway.config.policy import Policy
from gateway.config.schema import fields
from gateway.settings import RoutePattern, Settings, parse_duration
from gateway.throttle.settings import LaneMatch

_OTHERS: Final = frozenset({"upstream", "base_url", "tls", "auth"})
"""Keys of a policy that are no limits, or hold secrets; `base_url` is told as on or off."""
_WIDE: Final = 140


def show(config: Path | None, output: Output, environ: Mapping[str, str]) -> int:
    """Tell the limits of every policy; returns the exit code."""
    try:
        loaded = load(locate(config, environ), environ)
    except ConfigInvalid as invalid:
        report(invalid.problems, sys.stderr)
        return INVALID
    pairs = list(zip(loaded.settings.policies, loaded.policies, strict=True))
    if output is Output.json:
        json.dump([_as_json(policy, document, environ) for policy, document in pairs], sys.stdout, indent=2)
        print()
        return VALID
    console = Console(width=None if sys.stdout.isatty() else _WIDE, highlight=False)
    for policy, document in pairs:
        state = "on" if policy.on else "off: base_url is empty"
        console.print(Text(f"{policy.upstream} ({state}), {document.file}", style="bold"))
        console.print(_table(policy, document, environ), end="\n\n")
    if not pairs:
        console.print("There are no policies.")
    return VALID


def _as_json(policy: Policy, document: Document, environ: Mapping[str, str]) -> dict[str, Any]:
    limits = list(_limits(policy))
    return {
        "upstream": policy.upstream,
        "file": document.file,
        "on": policy.on,
        "limits": {dotted(limit.path): limit.value for limit in limits},
        "origins": {dotted(limit.path): document.origin(limit.path, environ) for limit in limits},
    }


def _table(policy: Policy, document: Document, environ: Mapping[str, str]) -> Table:
    table = Table(box=None, pad_edge=False)
    for name in ("limit", "value", "from"):
        table.add_column(name, overflow="fold")
    for limit in _limits(policy):
        table.add_row(Text(dotted(limit.path)), Text(limit.words), Text(document.origin(limit.path, environ)))
    return table


class Limit(NamedTuple):
    """A value of a policy; durations in seconds."""

    path: KeyPath
    value: Any
    duration: bool

    @property
    def words(self) -> str:
        """The value as it is written in a policy."""
        if self.duration and self.value is not None:
            return _duration(self.value)
        return f"{self.value:g}" if isinstance(self.value, float) else json.dumps(self.value).strip('"')


def _limits(policy: Policy) -> Iterator[Limit]:
    for name, info in fields(type(policy)).items():
        if name not in _OTHERS:
            yield from _inside((name,), getattr(policy, name), info)


def _inside(path: KeyPath, value: Any, info: FieldInfo) -> Iterator[Limit]:
    """Yield every value below `path`, an empty list too."""
    if isinstance(value, RoutePattern):
        yield Limit(path, str(value), duration=False)
    elif isinstance(value, Settings):
        for name, inner in fields(type(value)).items():
            if not (isinstance(value, LaneMatch) and getattr(value, name) is None):  # either a path or a header
                yield from _inside((*path, name), getattr(value, name), inner)
    elif isinstance(value, tuple) and value:
        for place, entry in enumerate(value):
            yield from _inside((*path, place), entry, info)
    else:
        yield Limit(path, value, any(getattr(note, "func", None) is parse_duration for note in info.metadata))


def _duration(seconds: float) -> str:
    for unit, long in (("h", 3600), ("m", 60), ("s", 1)):
        if seconds >= long and seconds % long == 0:
            return f"{seconds / long:g}{unit}"
    return f"{seconds:g}s" if seconds >= 1 else f"{seconds * 1000:g}ms"
