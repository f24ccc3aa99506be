"""What is printed of a simulator that runs alone."""

from __future__ import annotations

import pytest

from gateway.demo.guide import GUIDES

ADDRESS = "http://127.0.0.1:1234"


@pytest.mark.parametrize("vendor", GUIDES)
def test_every_command_is_complete(vendor: str) -> None:
    """Each names the address, closes its quotes, and has a line before it that says what it does."""
    lines = GUIDES[vendor](ADDRESS).splitlines()
    commands = [place for place, line in enumerate(lines) if line.startswith("curl ")]
    assert len(commands) >= 7
    for place in commands:
        assert ADDRESS in lines[place]
        assert lines[place].count("'") % 2 == 0
        assert lines[place - 1].endswith(":")
