"""Read a trace of calls: CSV with a header, or NDJSON, whichever the file looks like.

The one idea: every mistake is told with its line, many at once, as those of a configuration are; nothing is guessed.
"""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from operator import itemgetter
from pathlib import Path
from typing import Any, Final

from gateway.config.problems import Problem, did_you_mean, enumerate_words
from gateway.settings import Unsuitable, parse_duration
from gateway.throttle.arrivals import Arrival, Draw
from gateway.throttle.line import AGEING

COLUMNS: Final = ("time", "lane", "tenant", "priority", "duration")
_PRIORITIES: Final = tuple(AGEING)
_MANY: Final = 20
"""Mistakes after which a trace is not read on."""
_TIME: Final = "must be seconds, such as 12.5, or a moment, such as 2026-03-01T09:30:00Z"
_DURATION: Final = "must be seconds, such as 0.25, or have a unit, such as 250ms, and not be less than zero"

Progress = Callable[[int], None]
"""Told how many lines were read."""


class TraceInvalid(Exception):
    """The trace cannot be used; `problems` says why, line by line."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = problems
        super().__init__("\n".join(map(str, problems)))


def read(path: Path, lanes: Sequence[str], draw: Draw, progress: Progress) -> list[Arrival]:
    """Return the calls of the trace in the order of their times, the first of which becomes 0.

    What a row leaves out: the lane is the last one of `lanes`, the priority normal, the duration drawn.

    Raises:
        TraceInvalid: when anything in it cannot be understood, or it holds no calls.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            reader = _Reader(path, lanes, draw)
            arrivals = reader.all(_watched(stream, progress))
    except OSError as error:
        reason = (error.strerror or "unknown reason").lower()
        raise TraceInvalid([Problem(str(path), 0, 0, "", f"the trace cannot be read: {reason}")]) from None
    except UnicodeDecodeError:
        raise TraceInvalid([Problem(str(path), 0, 0, "", "is not UTF-8; convert it first")]) from None
    if not arrivals:
        raise TraceInvalid([Problem(str(path), 0, 0, "", "holds no calls")])
    begin = min(arrival.time for arrival in arrivals)
    return sorted((arrival._replace(time=arrival.time - begin) for arrival in arrivals), key=itemgetter(0))


def _watched(lines: Iterable[str], progress: Progress) -> Iterator[str]:
    for number, line in enumerate(lines, 1):
        if number % 10_000 == 0:
            progress(number)
        yield line


class _Reader:
    """Turns rows into arrivals, and keeps what is wrong with them."""

    def __init__(self, path: Path, lanes: Sequence[str], draw: Draw) -> None:
        self._path = path
        self._lanes = {name: name for name in lanes}  # one string a lane, whatever the number of rows
        self._tenants: dict[str, str] = {}
        self._draw = draw
        self._problems: list[Problem] = []

    def all(self, lines: Iterator[str]) -> list[Arrival]:
        first = next(lines, "")
        rows = self._json_rows if first.lstrip().startswith("{") else self._csv_rows
        arrivals = []
        for line, row in rows(_again(first, lines)):
            arrival = self._arrival(line, row)
            if arrival is not None:
                arrivals.append(arrival)
            elif len(self._problems) >= _MANY:
                self._wrong(line, "", f"{_MANY} mistakes; what follows was not read")
                break
        if self._problems:
            raise TraceInvalid(self._problems)
        return arrivals

    def _csv_rows(self, lines: Iterator[str]) -> Iterator[tuple[int, Mapping[str, Any]]]:
        reader = csv.reader(lines, strict=True)
        try:
            header = [name.strip() for name in next(reader, [])]
            self._check_names(1, header, "column")
            if self._problems:
                return
            for cells in reader:
                if len(cells) == len(header):
                    yield reader.line_num, dict(zip(header, cells, strict=True))
                elif cells:
                    self._wrong(reader.line_num, "", f"has {len(cells)} values where the header has {len(header)}")
        except csv.Error as error:
            self._wrong(reader.line_num, "", f"is not CSV: {error}")

    def _json_rows(self, lines: Iterator[str]) -> Iterator[tuple[int, Mapping[str, Any]]]:
        for number, text in enumerate(lines, 1):
            if not text.strip():
                continue
            try:
                row = json.loads(text)
            except (ValueError, RecursionError):
                row = None
            if not isinstance(row, dict):
                self._wrong(number, "", 'is not a JSON object such as {"time": 12.5}; write one a line')
            elif set(row) <= _KNOWN and "time" in row:
                yield number, row
            else:
                self._check_names(number, list(row), "key")

    def _check_names(self, line: int, names: Sequence[str], kind: str) -> None:
        for name in dict.fromkeys(names):
            if name not in _KNOWN:
                known = enumerate_words(COLUMNS, "and")
                hint = did_you_mean(name, COLUMNS) or f"; take it out, known are {known}"
                self._wrong(line, name[:64] or "(empty)", f"is not a known {kind}{hint}")
            elif names.count(name) > 1:
                self._wrong(line, name, f"is a {kind} twice; take one out")
        if "time" not in names:
            self._wrong(line, "time", f"is missing: each call needs its time; name the {kind} `time`")

    def _arrival(self, line: int, row: Mapping[str, Any]) -> Arrival | None:
        before = len(self._problems)
        try:
            at = _time(row["time"])
        except (ValueError, OverflowError):
            self._wrong(line, "time", _TIME)
        try:
            given = row.get("duration")
            duration = self._draw.duration() if given is None or given == "" else _duration(given)
        except (ValueError, OverflowError):
            self._wrong(line, "duration", _DURATION)
        lane = self._lanes.get(str(row.get("lane") or next(reversed(self._lanes))))
        if lane is None:
            self._not_one_of(line, "lane", row["lane"], list(self._lanes))
        priority: Any = row.get("priority") or "normal"
        if priority not in _PRIORITIES:
            self._not_one_of(line, "priority", priority, _PRIORITIES)
        tenant = row.get("tenant") or ""
        if not isinstance(tenant, str):
            self._wrong(line, "tenant", "must be a text")
        if lane is None or len(self._problems) > before:
            return None
        return Arrival(at, lane, duration, self._tenants.setdefault(tenant, tenant), priority)

    def _not_one_of(self, line: int, name: str, value: object, known: Sequence[str]) -> None:
        self._wrong(line, name, f"must be {enumerate_words(known)}{did_you_mean(str(value), known)}")

    def _wrong(self, line: int, name: str, text: str) -> None:
        self._problems.append(Problem(f"{self._path}:{line}", 0, 0, name, text))


_KNOWN: Final = frozenset(COLUMNS)


def _again(first: str, rest: Iterator[str]) -> Iterator[str]:
    if first:
        yield first
    yield from rest


def _time(value: Any) -> float:
    """Return seconds; a moment without a zone is taken as UTC, as only differences count.

    Raises:
        ValueError: when it is neither.
    """
    if isinstance(value, str) and "T" in value:
        moment = datetime.fromisoformat(value.strip())
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    return _number(value)


def _duration(value: Any) -> float:
    if isinstance(value, str) and value.rstrip()[-1:].isalpha():
        try:
            return parse_duration(value)
        except Unsuitable:
            raise ValueError from None
    seconds = _number(value)
    if seconds < 0:
        raise ValueError
    return seconds


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ValueError
    number = float(value)
    if not math.isfinite(number):
        raise ValueError
    return number
