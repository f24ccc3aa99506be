"""What the verbs print for people."""

from __future__ import annotations

import io
import sys

import pytest

from gateway.cli import administration
from gateway.cli.options import Output


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def test_numbers_of_a_group_stand_under_its_name(capsys: pytest.CaptureFixture[str]) -> None:
    """One number a line, words instead of underscores."""
    administration._tree({"dry_run": True, "found": {"token": {"no_family": 3}}, "kept": {}})
    assert [line.split() for line in capsys.readouterr().out.splitlines()] == [
        ["dry", "run", "True"],
        ["found:", "token:", "no", "family", "3"],
    ]


def test_a_bar_is_shown_where_somebody_watches(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a terminal the steps are drawn; in JSON, or into a file, nothing is."""
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    with administration._bar(Output.text) as progress:
        progress("taking over", 1, 2)
        progress("taking over", 2, 2)
    assert "taking over" in terminal.getvalue()
    for output, stream in ((Output.json, Terminal()), (Output.text, io.StringIO())):
        monkeypatch.setattr(sys, "stderr", stream)
        with administration._bar(output) as progress:
            progress("taking over", 1, 2)
        assert stream.getvalue() == ""


def test_words_of_a_device_are_no_markup(capsys: pytest.CaptureFixture[str]) -> None:
    """What a client says of itself is printed as it is."""
    administration._rows([{"device": "[red]x[/red] :smile:"}], "1 session")
    assert "[red]x[/red] :smile:" in capsys.readouterr().out
