"""One YAML file as plain data, with the place of every key and value.

The one idea: PyYAML parses only as far as nodes. Every scalar stays the text it is (None for YAML's null) and takes its
type from the key it belongs to, so `port: 0800`, `name: no` and an expanded variable mean what they say.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NamedTuple

from yaml.error import Mark as YamlMark
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from gateway.config.expansion import expand, is_text
from gateway.config.problems import ENVIRONMENT, Problem, Severity
from gateway.config.syntax import SyntaxProblem, compose

KeyPath = tuple[str | int, ...]
"""`("lanes", 1, "timeout")` is `lanes[1].timeout`."""

_NULL: Final = "tag:yaml.org,2002:null"
_MERGE: Final = "tag:yaml.org,2002:merge"
_LONGEST_KEY: Final = 64
_HALF: Final = (
    "holds half a character (a \\u escape from D800 to DFFF); write the whole one, as it is or as \\U0001F600"
)


class Place(NamedTuple):
    """Where something stands; both count from 1."""

    line: int
    column: int


class Failed:
    """Stands where a scalar could not be expanded, so that the rest can still be validated."""


@dataclass(slots=True)
class Document:
    """A file's data and how to point into it."""

    file: str
    data: dict[str, Any] = field(default_factory=dict)
    values: dict[KeyPath, Place] = field(default_factory=dict)
    """Where each value begins."""
    keys: dict[KeyPath, Place] = field(default_factory=dict)
    """Where each key begins."""
    variables: dict[KeyPath, tuple[str, ...]] = field(default_factory=dict)
    """The variables that each scalar refers to."""
    given: dict[KeyPath, str] = field(default_factory=dict)
    """The variable that gave the value of a key which the file leaves out."""
    failed: set[KeyPath] = field(default_factory=set)
    """Values that could not be expanded, already reported."""
    sources: dict[Path, bytes] = field(default_factory=dict)
    """Every file that was read for it, with the digest of its content."""
    problems: list[Problem] = field(default_factory=list)
    readable: bool = True
    """False: there is no data, and `problems` says why."""

    def place(self, path: KeyPath, *, of_key: bool = False) -> Place:
        """Return where `path` stands, or the nearest part around it that the file has."""
        if of_key and path in self.keys:
            return self.keys[path]
        if path in self.values:
            return self.values[path]
        for length in range(len(path) - 1, 0, -1):
            if path[:length] in self.keys:
                return self.keys[path[:length]]
            if path[:length] in self.values:
                return self.values[path[:length]]
        return self.values.get((), Place(1, 1))

    def origin(self, path: KeyPath, environ: Mapping[str, str]) -> str:
        """Return where a value comes from: a variable, a line of the file with what filled it, or `default`."""
        if path in self.given:
            return self.given[path]
        if path not in self.values:
            return "default"
        filled = ", ".join(name for name in self.variables.get(path, ()) if environ.get(name))
        return f"line {self.values[path].line}" + (f", from {filled}" if filled else "")

    def problem(self, path: KeyPath, text: str, severity: Severity = "error", *, of_key: bool = False) -> Problem:
        """Return a problem at `path`, or at the variable that gave its value."""
        variable = self.given.get(path)
        if variable is not None:
            return Problem(ENVIRONMENT, 0, 0, variable, text, severity)
        place = self.place(path, of_key=of_key)
        return Problem(self.file, place.line, place.column, dotted(path), text, severity)

    def give(self, path: KeyPath, value: Any, variable: str | None) -> None:
        """Set a key that the file leaves out, from `variable` (None: from its documented default)."""
        here: Any = self.data
        for part in path[:-1]:
            here = here.setdefault(part, {}) if isinstance(here, dict) else here[part]
        here[path[-1]] = value
        if variable is not None:
            self.given[path] = variable


def dotted(path: KeyPath) -> str:
    """Return the path as operators write it; odd characters are escaped, so that no key can forge a line."""
    parts = []
    for part in path:
        if isinstance(part, int):
            parts.append(f"[{part}]")
            continue
        name = part if part.isprintable() else part.encode("unicode_escape").decode("ascii")
        parts.append(f".{name[:_LONGEST_KEY]}" if name else ".(empty)")
    return "".join(parts).removeprefix(".")


def read(path: Path, environ: Mapping[str, str]) -> Document:
    """Return the file at `path`; what is wrong with it is in `problems`."""
    document = Document(str(path))
    try:
        content = path.read_bytes()
        document.sources[path] = digest(content)
        root = compose(content)
    except OSError as error:
        reason = (error.strerror or "unknown reason").lower()
        document.problems.append(Problem(document.file, 1, 1, "", f"the file cannot be read: {reason}"))
        document.readable = False
        return document
    except SyntaxProblem as error:
        document.problems.append(Problem(document.file, error.line, error.column, "", error.text))
        document.readable = False
        return document
    if root is not None and not _is_null(root):
        _Walk(document, environ).root(root)
    return document


def digest(content: bytes) -> bytes:
    """Return what tells one content of a file from another."""
    return hashlib.sha256(content).digest()


def _is_null(node: Node) -> bool:
    return isinstance(node, ScalarNode) and node.tag == _NULL


def _place(mark: YamlMark) -> Place:
    return Place(mark.line + 1, mark.column + 1)


class _Walk:
    """Fills a document from its nodes."""

    def __init__(self, document: Document, environ: Mapping[str, str]) -> None:
        self._document = document
        self._environ = environ

    def root(self, node: Node) -> None:
        if isinstance(node, MappingNode):
            self._document.data = self._mapping(node, ())
            return
        place = _place(node.start_mark)
        text = "the file must be a mapping of keys (`key: value` lines)"
        self._document.problems.append(Problem(self._document.file, *place, "", text))
        self._document.readable = False

    def _value(self, node: Node, path: KeyPath) -> Any:
        self._document.values[path] = _place(node.start_mark)
        if isinstance(node, MappingNode):
            return self._mapping(node, path)
        if isinstance(node, SequenceNode):
            return [self._value(item, (*path, index)) for index, item in enumerate(node.value)]
        return None if _is_null(node) else self._scalar(str(node.value), path)

    def _mapping(self, node: MappingNode, path: KeyPath) -> dict[str, Any]:
        document = self._document
        document.values[path] = _place(node.start_mark)
        data: dict[str, Any] = {}
        for key_node, value_node in node.value:
            place = _place(key_node.start_mark)
            if not isinstance(key_node, ScalarNode):
                document.problems.append(Problem(document.file, *place, dotted(path), "a key must be one plain word"))
                continue
            key = str(key_node.value)
            here = (*path, key)
            if not is_text(key):
                document.problems.append(Problem(document.file, *place, dotted(here), _HALF))
                continue
            if key_node.tag == _MERGE:
                document.problems.append(Problem(document.file, *place, dotted(here), "merge keys are not supported"))
            elif key in data:
                text = f"is given twice; the first is in line {document.keys[here].line}"
                document.problems.append(Problem(document.file, *place, dotted(here), text))
            else:
                document.keys[here] = place
                data[key] = self._value(value_node, here)
        return data

    def _scalar(self, text: str, path: KeyPath) -> Any:
        document = self._document
        if not is_text(text):
            document.failed.add(path)
            document.problems.append(document.problem(path, _HALF))
            return Failed()
        expansion = expand(text, self._environ)
        if expansion.variables:
            document.variables[path] = expansion.variables
        if not expansion.errors:
            return expansion.text
        document.failed.add(path)
        document.problems.extend(document.problem(path, error) for error in expansion.errors)
        return Failed()
