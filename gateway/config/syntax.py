"""Bytes to YAML nodes: the subset of YAML that a configuration needs, and its errors in operators' words.

The one idea: what nobody needs here and what has hurt others (aliases, tags, several documents, endless nesting) is
refused where it stands. PyYAML's own messages are never passed on: they can quote the file, and so a secret.
"""

from __future__ import annotations

from typing import Final

from yaml.composer import Composer
from yaml.error import MarkedYAMLError
from yaml.events import AliasEvent, Event, NodeEvent
from yaml.nodes import Node
from yaml.parser import Parser
from yaml.reader import Reader, ReaderError
from yaml.resolver import Resolver
from yaml.scanner import Scanner

_DEEPEST: Final = 32
_NO_TAGS: Final = "tags (!name) are not supported; quote a value that begins with !"

_WORDS: Final = (
    (
        "mapping values are not allowed",
        "`: ` cannot stand here; quote the value, or look at the indentation and the line above",
    ),
    ("cannot start any token", "no value can begin with this character; quote it (and indent with spaces, not tabs)"),
    ("could not find expected ':'", "this line has no `: ` after its key"),
    ("found unexpected end of stream", "this quote is never closed"),
    ("found unknown escape character", "this escape is unknown; use single quotes to keep a backslash"),
    ("expected <block end>", "this does not fit the lines above; check the indentation, and quotes around values"),
    ("expected ',' or", "this [list] or {mapping} is not closed; inside one, quote values with ${...}"),
    ("undefined tag handle", _NO_TAGS),
    ("another document", "a second document begins here; one file holds one"),
)
"""A part of PyYAML's message, and what is said instead."""


class SyntaxProblem(Exception):
    """The file is not the YAML that is asked for; `line` and `column` count from 1."""

    def __init__(self, line: int, column: int, text: str) -> None:
        super().__init__(f"{line}:{column}: {text}")
        self.line = line
        self.column = column
        self.text = text


def compose(content: bytes) -> Node | None:
    """Return the root node, or None for an empty file.

    Raises:
        SyntaxProblem: for bytes that are not UTF-8, for a syntax error, and for what is refused.
    """
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = error.object[: error.start].decode("utf-8")
        raise _at_end_of(before, "this byte is not UTF-8; save the file as UTF-8") from None
    try:
        return _Composer(text).get_single_node()
    except ReaderError as error:
        raise _at_end_of(text[: error.position], "this control character is not allowed") from None
    except MarkedYAMLError as error:
        raise _translate(error) from None


def _at_end_of(before: str, problem: str) -> SyntaxProblem:
    line = before.count("\n") + 1
    return SyntaxProblem(line, len(before) - (before.rfind("\n") + 1) + 1, problem)


def _translate(error: MarkedYAMLError) -> SyntaxProblem:
    mark = error.problem_mark or error.context_mark
    if error.context_mark and (error.context or "").startswith(("while scanning", "while parsing a flow")):
        mark = error.context_mark  # where the quote, key or bracket begins, not where the parser gave up
    problem = error.problem or ""
    words = next((words for part, words in _WORDS if part in problem), "this is not valid YAML")
    return SyntaxProblem(mark.line + 1 if mark else 1, mark.column + 1 if mark else 1, words)


class _Composer(Reader, Scanner, Parser, Composer, Resolver):
    """PyYAML up to nodes, without the constructors that turn scalars into Python's types."""

    def __init__(self, text: str) -> None:
        Reader.__init__(self, text)
        Scanner.__init__(self)
        Parser.__init__(self)
        Composer.__init__(self)
        Resolver.__init__(self)
        self._depth = 0

    def compose_node(self, parent: Node | None, index: int) -> Node | None:
        event: Event = self.peek_event()  # type: ignore[no-untyped-call]
        if isinstance(event, AliasEvent):
            raise _refused(event, "aliases (*name) are not supported; write the value out")
        if isinstance(event, NodeEvent) and getattr(event, "tag", None) is not None:
            raise _refused(event, _NO_TAGS)
        if self._depth == _DEEPEST:
            raise _refused(event, "this is nested too deeply")
        self._depth += 1
        try:
            return super().compose_node(parent, index)
        finally:
            self._depth -= 1


def _refused(event: Event, text: str) -> SyntaxProblem:
    mark = event.start_mark
    return SyntaxProblem(mark.line + 1 if mark else 1, mark.column + 1 if mark else 1, text)
