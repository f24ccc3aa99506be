"""What is wrong with a configuration, and where.

The one idea: a problem is a value, collected and sorted, never raised alone, so that an operator sees all of them in
one go. No problem's text holds a configured value that could be a secret.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

ENVIRONMENT = "environment"
"""Stands in the place of the file name when a variable gave the value."""

Severity = Literal["error", "warning", "info"]


@dataclass(frozen=True, order=True, slots=True)
class Problem:
    """One finding. `str()` gives `file:line:col: key: text`, without the parts that do not apply.

    `line` and `column` count from 1; both are 0 where there is no file to point into.
    """

    file: str
    line: int
    column: int
    key: str
    text: str
    severity: Severity = "error"

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}:{self.column}" if self.line else self.file
        return ": ".join(part for part in (place, self.key, self.text) if part)


class ConfigInvalid(Exception):
    """The configuration cannot be used.

    Attributes:
        problems: every error, sorted by file, line and column.
        warnings: what would have been warned of besides.
    """

    def __init__(self, problems: Iterable[Problem], warnings: Iterable[Problem] = ()) -> None:
        self.problems = tuple(sorted(set(problems)))
        self.warnings = tuple(sorted(set(warnings)))
        super().__init__("\n".join(map(str, self.problems)))


def did_you_mean(word: str, known: Sequence[str]) -> str:
    """Return ` (did you mean X?)` for the known word that is most like `word`, or nothing."""
    exact = {name.lower().replace("-", "_"): name for name in known}
    close = difflib.get_close_matches(word.lower().replace("-", "_"), exact, n=1)
    return f" (did you mean {exact[close[0]]}?)" if close else ""


def enumerate_words(words: Sequence[str], last: str = "or") -> str:
    """Return `a, b or c`."""
    if len(words) < 2:
        return "".join(words)
    return f"{', '.join(words[:-1])} {last} {words[-1]}"
