"""The tour's text."""

from __future__ import annotations

import io
import re
from dataclasses import astuple

import pytest

from gateway.demo.tour import Places, Scene, tour, wants_color

PLACES = Places(*(f"http://127.0.0.1:{port}" for port in range(1001, 1008)))
SCENES = {
    "demo": Scene(PLACES, calls=10, per=5),
    "own": Scene(PLACES, calls=10, per=5, own_backend=True),
    "maintenance": Scene(PLACES, calls=300, per=60, maintenance=True),
}


@pytest.fixture(params=SCENES)
def text(request: pytest.FixtureRequest) -> str:
    """The tour of each scene."""
    return tour(SCENES[request.param], color=False)


def test_there_are_five_numbered_lines_to_paste(text: str) -> None:
    """Each of five numbers has one command below it, complete in one line."""
    lines = text.splitlines()
    numbered = [place for place, line in enumerate(lines) if re.match(r"\d\. ", line)]
    assert [lines[place][0] for place in numbered] == list("12345")
    assert [place for place, line in enumerate(lines) if line.startswith("curl ")] == [n + 1 for n in numbered]


def test_every_address_is_told(text: str) -> None:
    """No listener is left unmentioned."""
    assert all(place in text for place in astuple(PLACES))


def test_it_fits_on_a_screen(text: str) -> None:
    """At most thirty lines, and no escape sequence without colour."""
    assert len(text.splitlines()) <= 30
    assert "\x1b" not in text


def test_every_quote_is_closed(text: str) -> None:
    """A command leaves no shell waiting for its end."""
    for command in (line for line in text.splitlines() if line.startswith("curl ")):
        assert command.count("'") % 2 == 0
        assert command.count('"') % 2 == 0
        assert command.count("(") == command.count(")")


def test_the_maintenance_variable_is_told(text: str) -> None:
    """Whether on or off, the switch is named."""
    assert "AUTH_MAINTENANCE_MODE" in text


def test_maintenance_is_told_when_it_is_on() -> None:
    """A newcomer who switched it on learns what to expect."""
    assert "Maintenance is on" in tour(SCENES["maintenance"], color=False)
    assert "Maintenance is on" not in tour(SCENES["demo"], color=False)


def test_colour_changes_no_word() -> None:
    """Without its escape sequences the coloured tour is the plain one."""
    coloured = tour(SCENES["demo"], color=True)
    assert re.sub(r"\x1b\[\d*m", "", coloured) == tour(SCENES["demo"], color=False) != coloured


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_colour_is_for_terminals_that_want_it() -> None:
    """A pipe, NO_COLOR and a dumb terminal get none; an empty NO_COLOR says nothing."""
    assert wants_color(Terminal(), {})
    assert wants_color(Terminal(), {"NO_COLOR": ""})
    assert not wants_color(io.StringIO(), {})
    assert not wants_color(Terminal(), {"NO_COLOR": "1"})
    assert not wants_color(Terminal(), {"TERM": "dumb"})
