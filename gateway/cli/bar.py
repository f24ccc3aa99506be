"""The bar of a long job, and the lines of its audit trail, on one terminal.

The one idea: lines gather while a batch is worked on and are then put above the bar in one go. The bar is redrawn once
a batch and not once a line, which would take ten times as long as the job.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TextIO

from rich.console import Console, ConsoleOptions
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.segment import Segment

from gateway.cli.options import Output
from gateway.tokens import bulk


@dataclass(frozen=True, slots=True)
class Screen:
    """Where a job tells how far it is, and where its audit lines go."""

    progress: bulk.Progress
    trail: TextIO


class Above(io.StringIO):
    """A stream whose text waits until it is put above the bar."""

    def isatty(self) -> bool:
        return True

    def put(self, console: Console) -> None:
        """Write what has gathered; whatever is drawn below is drawn again."""
        if text := self.getvalue():
            self.seek(0)
            self.truncate()
            console.print(_Raw(text), crop=False, end="")


@dataclass(frozen=True, slots=True)
class _Raw:
    """A text that is neither wrapped nor read for markup."""

    text: str

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Segment]:
        yield Segment(self.text)


@contextmanager
def screen(output: Output) -> Iterator[Screen]:
    """Show how far a job is, where somebody watches; the lines of the trail then run above the bar."""
    console = Console(stderr=True)
    if output is Output.json or not console.is_terminal:
        yield Screen(bulk.no_progress, sys.stderr)
        return
    name = TextColumn("{task.description}")
    columns = (SpinnerColumn(), name, BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    steps: dict[str, TaskID] = {}
    above = Above()
    with Progress(*columns, console=console) as progress:

        def tell(step: str, done: int, total: int) -> None:
            above.put(console)
            if step not in steps:
                steps[step] = progress.add_task(step, total=None)
            progress.update(steps[step], completed=done, total=total or None)

        try:
            yield Screen(tell, above)
        finally:
            above.put(console)
