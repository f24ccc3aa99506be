"""What the verbs print for people."""

from __future__ import annotations

import pytest

from gateway.cli import administration


def test_numbers_of_a_group_stand_under_its_name(capsys: pytest.CaptureFixture[str]) -> None:
    """One number a line, words instead of underscores."""
    administration._tree({"dry_run": True, "found": {"token": {"no_family": 3}}, "kept": {}})
    assert [line.split() for line in capsys.readouterr().out.splitlines()] == [
        ["dry", "run", "True"],
        ["found:", "token:", "no", "family", "3"],
    ]


def test_words_of_a_device_are_no_markup(capsys: pytest.CaptureFixture[str]) -> None:
    """What a client says of itself is printed as it is."""
    administration._rows([{"device": "[red]x[/red] :smile:"}], "1 session")
    assert "[red]x[/red] :smile:" in capsys.readouterr().out
