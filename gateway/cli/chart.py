"""The waits over time, drawn with characters.

The one idea: a column is a slice of time; in it a solid bar up to the median, a shaded one from there to the 95th
percentile, and a dot at the longest wait. It reads the same without colour.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.text import Text

from gateway.cli.axis import Axis
from gateway.throttle.tally import Slice

WIDTH = 72
"""Columns at most."""
_ROWS = 10
_MARGIN = 8
"""Columns of the labels on the left."""
_EIGHTHS = "▁▂▃▄▅▆▇█"
_TICK_COLUMNS = 14


def chart(slices: Sequence[Slice]) -> Iterator[Text]:
    """Yield the lines of the chart."""
    waits = Axis.of_seconds(max(each.longest or 0.0 for each in slices), 4)
    times = Axis.of_seconds(slices[-1].end, max(1, len(slices) // _TICK_COLUMNS), whole=False)
    wide = max(1, WIDTH // len(slices))
    yield Text.assemble(
        f"wait ({waits.unit})   ", ("█", "blue"), " median  ", ("▒", "yellow"), " to p95  ", ("·", "dim"), " longest"
    )
    for row in reversed(range(_ROWS)):
        line = Text(_label(waits, row))
        for each in slices:
            line.append(*_cell(each, waits, row, wide))
        yield line
    if any(each.refused for each in slices):
        yield _refusals(slices, wide)
    yield from _time_axis(times, wide * len(slices))


def _label(axis: Axis, row: int) -> str:
    """Return the label of the tick that lies in this row."""
    inside = (tick for tick in axis.ticks() if tick and _row(tick / axis.top) == row)
    tick = next(inside, None)
    return f"{tick:>{_MARGIN - 2}g} ┤" if tick is not None else " " * (_MARGIN - 1) + "│"


def _row(share: float) -> int:
    return max(0, min(_ROWS - 1, int(share * _ROWS - 1e-9)))


def _cell(each: Slice, axis: Axis, row: int, wide: int) -> tuple[str, str]:
    if each.p50 is None or each.p95 is None or each.longest is None:
        return " " * wide, ""
    middle = (row + 0.5) / _ROWS
    if axis.share(each.p50) >= middle:
        return "█" * wide, "blue"
    if axis.share(each.p95) >= middle:
        return "▒" * wide, "yellow"
    if each.longest > 0 and _row(axis.share(each.longest)) == row:
        return "·" * wide, "dim"
    return " " * wide, ""


def _refusals(slices: Sequence[Slice], wide: int) -> Text:
    line = Text("refused│")
    for each in slices:
        share = each.refused / each.calls if each.calls else 0.0
        line.append((_EIGHTHS[min(7, int(share * 8))] if share else " ") * wide, "red")
    most = max(each.refused / each.calls for each in slices if each.calls)
    line.append(f" up to {most:.0%}")
    return line


def _time_axis(axis: Axis, columns: int) -> Iterator[Text]:
    rule, labels = ["─"] * (columns + 1), " " * (_MARGIN - 1)
    for tick in axis.ticks():
        place = round(tick / axis.top * columns)
        rule[place] = "┴"
        labels = labels.ljust(_MARGIN - 1 + place) + f"{tick:g}"
    yield Text(f"{'0':>{_MARGIN - 2}} └{''.join(rule[1:])}")
    yield Text(f"{labels}   time of arrival ({axis.unit})")
