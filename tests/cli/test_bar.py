"""What is drawn while a long job runs, and where the audit lines go meanwhile."""

from __future__ import annotations

import io
import sys

import pytest

from gateway.cli.bar import screen
from gateway.cli.options import Output


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def test_a_bar_is_shown_where_somebody_watches(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a terminal the steps are drawn; in JSON, or into a file, nothing is."""
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    with screen(Output.text) as shown:
        shown.progress("taking over", 1, 2)
        shown.progress("taking over", 2, 2)
    assert "taking over" in terminal.getvalue()
    for output, stream in ((Output.json, Terminal()), (Output.text, io.StringIO())):
        monkeypatch.setattr(sys, "stderr", stream)
        with screen(output) as shown:
            shown.progress("taking over", 1, 2)
        assert stream.getvalue() == ""
