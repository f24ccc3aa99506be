"""A command whose stderr is a terminal, or a pipe, and what somebody who watches it reads there.

The one idea: the terminal is real (a pty), and of the bytes it gets two things are of interest: the lines that stay,
and how often something was erased to be drawn anew.
"""

from __future__ import annotations

import errno
import os
import pty
import re
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

_ERASE: Final = "\x1b[2K"
_CONTROL: Final = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


@dataclass(frozen=True, slots=True)
class Seen:
    """How a command ended, what it printed, and all that its terminal, or pipe, got."""

    code: int
    out: str
    terminal: str

    @property
    def lines(self) -> list[str]:
        """The lines that stay: of each, what was written after the last erasure, without colours."""
        rows = self.terminal.replace("\r\n", "\n").split("\n")
        return [_CONTROL.sub("", row.rpartition(_ERASE)[2]).lstrip("\r") for row in rows]

    @property
    def redrawn(self) -> int:
        """How often a line was erased."""
        return self.terminal.count(_ERASE)


def piped(command: Sequence[str], environ: Mapping[str, str]) -> Seen:
    """Run a command to its end with a pipe for stderr."""
    ran = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, env=environ, text=True, check=False)
    return Seen(ran.returncode, ran.stdout, ran.stderr)


def watched(command: Sequence[str], environ: Mapping[str, str]) -> Seen:
    """Run a command to its end with a terminal for stderr."""
    ours, theirs = pty.openpty()
    try:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=theirs, env={**environ, "TERM": "xterm"}
        )
    finally:
        os.close(theirs)
    with process, os.fdopen(ours, "rb", buffering=0) as screen:
        shown = bytearray()
        while part := _read(screen.fileno()):
            shown += part
        assert process.stdout is not None
        out = process.stdout.read().decode()
    return Seen(process.returncode, out, shown.decode())


def _read(descriptor: int) -> bytes:
    """Return what a terminal got, nothing when nobody writes to it any more."""
    try:
        return os.read(descriptor, 65_536)
    except OSError as gone:
        if gone.errno != errno.EIO:
            raise
        return b""
