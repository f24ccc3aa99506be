"""Axes, and the charts in characters and as SVG."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.cli.axis import Axis
from gateway.cli.chart import WIDTH, chart
from gateway.cli.svg import svg
from gateway.throttle.tally import Slice

SVG = "{http://www.w3.org/2000/svg}"


def slices(*waits: float | None, refused: int = 0) -> list[Slice]:
    """Slices of 10 s with so long waits; None for one without a served call."""
    return [
        Slice(at * 10.0, at * 10.0 + 10.0, 10, refused, wait, wait and wait * 1.5, wait and wait * 2)
        for at, wait in enumerate(waits)
    ]


@pytest.mark.parametrize(
    ("longest", "ticks", "unit"),
    [
        (0.0, [0, 0.2, 0.4, 0.6, 0.8, 1], "ms"),
        (0.2, [0, 50, 100, 150, 200], "ms"),
        (20.7, [0, 5, 10, 15, 20, 25], "s"),
        (120.0, [0, 50, 100, 150], "s"),
        (1000.0, [0, 5, 10, 15, 20], "min"),
        (86_400.0, [0, 5, 10, 15, 20, 25], "h"),
    ],
)
def test_axes_have_few_round_ticks_in_a_unit_that_suits(longest: float, ticks: list[float], unit: str) -> None:
    """From milliseconds to hours."""
    axis = Axis.of_seconds(longest, 5)
    assert (axis.ticks(), axis.unit) == (pytest.approx(ticks), unit)


@given(st.floats(0, 1e7), st.integers(1, 8), st.booleans())
def test_every_length_has_an_axis(longest: float, steps: int, whole: bool) -> None:
    """It holds the longest value, begins at 0 and has not many more ticks than asked for."""
    axis = Axis.of_seconds(longest, steps, whole=whole)
    assert axis.share(longest) <= 1 + 1e-9
    assert axis.ticks()[0] == 0
    assert len(axis.ticks()) <= steps + 2


def test_the_chart_in_characters() -> None:
    """Bars for median and 95th percentile, a dot for the longest, refusals below, axes with units."""
    lines = [line.plain for line in chart(slices(0.0, None, 5.0, refused=5))]
    assert lines[0] == "wait (s)   █ median  ▒ to p95  · longest"
    third = [line[8:][48:49] for line in lines[1:11]]
    assert third == ["·", " ", "▒", "▒", "▒", "█", "█", "█", "█", "█"]
    assert all(line[8:56].strip() == "" for line in lines[1:11])
    assert (lines[1][:8], lines[12][:8]) == ("    10 ┤", "     0 └")
    assert lines[11] == "refused│" + "▅" * 72 + " up to 50%"
    assert lines[13].endswith("time of arrival (s)")
    assert max(map(len, lines)) <= WIDTH + 20


@pytest.mark.parametrize("waits", [(0.0,), (None,), (0.0, 0.0), tuple(float(n) for n in range(72)), (None, 3.0, None)])
def test_charts_of_anything(waits: tuple[float | None, ...]) -> None:
    """One slice or many, no waits, nobody served: both forms draw it."""
    assert len(list(chart(slices(*waits)))) >= 13
    ElementTree.fromstring(svg("t", "s", slices(*waits)))


def test_the_svg_is_well_formed_and_says_what_it_shows() -> None:
    """Title and subtitle are escaped; axes have titles with units; each series stands in the legend."""
    picture = ElementTree.fromstring(
        svg("Waits of <a&b>", '3 calls of "x".csv', slices(1.0, None, 30.0, refused=2), away=(5.0, 500.0))
    )
    texts = [text.text for text in picture.iter(f"{SVG}text")]
    assert {"Waits of <a&b>", '3 calls of "x".csv', "wait (s)", "time of arrival (s)", "refused", "median"} < set(texts)
    assert {"95th percentile", "longest", "Redis away"} < set(texts)
    assert len(picture.findall(f"{SVG}polygon")) == 2  # nobody was served in between
    assert [rect.get("class") for rect in picture.iter(f"{SVG}rect")].count("refused") == 3
    style = picture.find(f"{SVG}style")
    assert style is not None
    assert "prefers-color-scheme: dark" in (style.text or "")


def test_nothing_is_drawn_outside() -> None:
    """Points stay inside the picture, also of an outage that lasts longer than the calls come."""
    picture = ElementTree.fromstring(svg("t", "s", slices(1.0, 30.0, refused=10), away=(5.0, 5000.0)))
    wide, tall = float(picture.attrib["width"]), float(picture.attrib["height"])
    for curve in (*picture.iter(f"{SVG}polyline"), *picture.iter(f"{SVG}polygon")):
        for point in curve.attrib["points"].split():
            x, y = map(float, point.split(","))
            assert 0 <= x <= wide
            assert 0 <= y <= tall
    for rect in picture.iter(f"{SVG}rect"):
        assert float(rect.attrib["x"]) + float(rect.attrib["width"]) <= wide
        assert float(rect.attrib["y"]) + float(rect.attrib["height"]) <= tall
