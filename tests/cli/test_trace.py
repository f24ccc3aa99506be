"""Traces: what is understood, and how mistakes are told."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.cli.trace import TraceInvalid, read
from gateway.throttle.arrivals import Arrival, Draw

LANES = ("long_running", "default")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "calls.csv"


def trace(file: Path, text: str | bytes) -> list[Arrival]:
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read(file, LANES, Draw(1, 0.0), lambda lines: None)


CSV = """time,lane,tenant,priority,duration
13.5,long_running,acme,high,250ms
12,,,,0.75
"""
NDJSON = """{"time": 13.5, "lane": "long_running", "tenant": "acme", "priority": "high", "duration": "250ms"}

{"time": "12", "duration": 0.75}
"""


@pytest.mark.parametrize("text", [CSV, NDJSON, "\ufeff" + CSV, CSV.replace("\n", "\r\n")])
def test_both_forms_say_the_same(file: Path, text: str) -> None:
    """Calls in the order of time, the first at 0; what is left out is the last lane, no tenant, normal."""
    assert trace(file, text) == [
        Arrival(0.0, "default", 0.75),
        Arrival(1.5, "long_running", 0.25, "acme", "high"),
    ]


def test_moments_are_times_too(file: Path) -> None:
    """With a zone or without one (UTC); a duration that nobody tells is drawn, here as nothing."""
    rows = "time\n2026-03-01T09:30:00+01:00\n2026-03-01T08:30:02Z\n2026-03-01T08:30:03.5\n"
    assert trace(file, rows) == [Arrival(at, "default", 0.0) for at in (0.0, 2.0, 3.5)]


@pytest.mark.parametrize(
    ("text", "problems"),
    [
        ("", ["calls.csv:1: time: is missing: each call needs its time; name the column `time`"]),
        ("time\n", ["calls.csv: holds no calls"]),
        ("time,prority\n1,low\n", ["calls.csv:1: prority: is not a known column (did you mean priority?)"]),
        (
            "time,x\n1,2\n",
            ["calls.csv:1: x: is not a known column; take it out, known are time, lane, tenant, priority and duration"],
        ),
        ("time,time\n1,2\n", ["calls.csv:1: time: is a column twice; take one out"]),
        ("lane\ndefault\n", ["calls.csv:1: time: is missing: each call needs its time; name the column `time`"]),
        ("time,lane\n1\n", ["calls.csv:2: has 1 values where the header has 2"]),
        ('time\n"1\n', ["calls.csv:2: is not CSV: unexpected end of data"]),
        (
            "time,lane,priority,duration\nsoon,defalt,urgent,-1\n1,default,low,3 parsecs\n",
            [
                "calls.csv:2: time: must be seconds, such as 12.5, or a moment, such as 2026-03-01T09:30:00Z",
                "calls.csv:2: duration: must be seconds, such as 0.25, or have a unit, such as 250ms, and not be less "
                "than zero",
                "calls.csv:2: lane: must be long_running or default (did you mean default?)",
                "calls.csv:2: priority: must be high, normal or low",
                "calls.csv:3: duration: must be seconds, such as 0.25, or have a unit, such as 250ms, and not be less "
                "than zero",
            ],
        ),
        ('{"time": 1}\n[1]\n', ['calls.csv:2: is not a JSON object such as {"time": 12.5}; write one a line']),
        ('{"time": 1}\n{"time": 2,\n', ['calls.csv:2: is not a JSON object such as {"time": 12.5}; write one a line']),
        ('{"time": 1, "lan": "x"}\n', ["calls.csv:1: lan: is not a known key (did you mean lane?)"]),
        ('{"lane": "default"}\n', ["calls.csv:1: time: is missing: each call needs its time; name the key `time`"]),
        ('{"time": 1, "tenant": 5}\n', ["calls.csv:1: tenant: must be a text"]),
        (
            '{"time": 1, "lane": ["default"]}\n',
            ["calls.csv:1: lane: must be long_running or default (did you mean default?)"],
        ),
        (b"time\n\xff\n", ["calls.csv: is not UTF-8; convert it first"]),
    ],
)
def test_mistakes_are_told_with_their_line(file: Path, text: str | bytes, problems: list[str]) -> None:
    """All that are found, each with what to do."""
    with pytest.raises(TraceInvalid) as raised:
        trace(file, text)
    assert [str(problem).removeprefix(f"{file.parent}/") for problem in raised.value.problems] == problems


@pytest.mark.parametrize("value", ["NaN", "Infinity", "true", "null", "[]", "1e999", '"1T"', "9" * 400, '"0x10"'])
def test_a_time_is_a_finite_number(file: Path, value: str) -> None:
    """Whatever JSON may hold in its place is told, and nothing breaks."""
    with pytest.raises(TraceInvalid, match="time: must be seconds"):
        trace(file, f'{{"time": {value}}}\n')


def test_many_mistakes_are_enough(file: Path) -> None:
    """A file of another kind is not told line by line to its end."""
    with pytest.raises(TraceInvalid) as raised:
        trace(file, "time\n" + "x\n" * 1000)
    assert len(raised.value.problems) == 21
    assert str(raised.value.problems[-1]).endswith("calls.csv:21: 20 mistakes; what follows was not read")


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    """Says so."""
    with pytest.raises(TraceInvalid, match="the trace cannot be read: no such file or directory"):
        read(tmp_path / "gone.csv", LANES, Draw(1, 0.0), lambda lines: None)
