"""The waits over time as an SVG, readable on a light page and on a dark one.

The one idea: the picture is text. Colours are classes of its own style sheet, which follows the reader's preference.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple
from xml.sax.saxutils import escape, quoteattr

from gateway.cli.axis import Axis
from gateway.throttle.tally import Slice

SLICES: Final = 120
"""How finely the time is cut, at most."""

_WIDTH: Final = 960
_LEFT: Final = 76
_RIGHT: Final = 24
_INNER: Final = _WIDTH - _LEFT - _RIGHT

_STYLE: Final = """
svg { font: 13px system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; }
.page { fill: #ffffff; } text { fill: #3f3f46; } .title { fill: #18181b; font-size: 17px; font-weight: 600; }
.grid { stroke: #e4e4e7; } .axis { stroke: #71717a; }
.p50 { fill: #2563eb; fill-opacity: 0.25; stroke: #2563eb; stroke-width: 1.5; }
.p95 { fill: none; stroke: #c2410c; stroke-width: 2; }
.longest { fill: none; stroke: #71717a; stroke-width: 1.2; stroke-dasharray: 2 3; }
.refused { fill: #dc2626; } .away { fill: #a16207; fill-opacity: 0.14; }
@media (prefers-color-scheme: dark) {
.page { fill: #18181b; } text { fill: #d4d4d8; } .title { fill: #fafafa; }
.grid { stroke: #3f3f46; } .axis { stroke: #a1a1aa; }
.p50 { fill: #7aa2ff; stroke: #7aa2ff; } .p95 { stroke: #ff9e64; } .longest { stroke: #a1a1aa; }
.refused { fill: #f87171; } .away { fill: #facc15; }
}
"""


class Panel(NamedTuple):
    """Where a chart stands."""

    top: int
    height: int

    @property
    def bottom(self) -> int:
        return self.top + self.height


_WAITS: Final = Panel(96, 300)
_REFUSALS: Final = Panel(430, 64)


def svg(title: str, subtitle: str, slices: Sequence[Slice], away: tuple[float, float] | None = None) -> str:
    """Return the picture; `away` is when Redis was away, in seconds since the first arrival."""
    waits = Axis.of_seconds(max(each.longest or 0.0 for each in slices), 5)
    times = Axis.of_seconds(slices[-1].end, 8, whole=False)
    refusals = any(each.refused for each in slices)
    lowest = _REFUSALS if refusals else _WAITS
    height = lowest.bottom + 56
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}" height="{height}" '
        f'role="img" aria-label={quoteattr(title)}>',
        f"<style>{_STYLE}</style>",
        _box(0, 0, _WIDTH, height, "page"),
        _text(_LEFT, 30, title, "title"),
        _text(_LEFT, 52, subtitle),
        *_band(away, times, lowest.bottom),
        *_wait_axis(waits),
        *_curves(slices, waits, times),
        *_legend(away is not None),
        *(_refusals(slices, times) if refusals else ()),
        *_time_axis(times, lowest.bottom),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _wait_axis(axis: Axis) -> Iterator[str]:
    for tick in axis.ticks():
        y = _WAITS.bottom - tick / axis.top * _WAITS.height
        yield _line(_LEFT, y, _LEFT + _INNER, y, "axis" if tick == 0 else "grid")
        yield _text(_LEFT - 8, y + 4, f"{tick:g}", anchor="end")
    middle = _WAITS.top + _WAITS.height / 2
    yield _text(20, middle, f"wait ({axis.unit})", anchor="middle", turn=f"rotate(-90 20 {middle:g})")


def _time_axis(axis: Axis, bottom: int) -> Iterator[str]:
    for tick in axis.ticks():
        x = _LEFT + tick / axis.top * _INNER
        yield _line(x, bottom, x, bottom + 5, "axis")
        yield _text(x, bottom + 20, f"{tick:g}", anchor="middle")
    yield _text(_LEFT + _INNER / 2, bottom + 42, f"time of arrival ({axis.unit})", anchor="middle")


def _curves(slices: Sequence[Slice], waits: Axis, times: Axis) -> Iterator[str]:
    """Draw steps, a slice each: what is known of a slice is known of all of it."""

    def point(at: float, wait: float) -> str:
        return f"{_LEFT + times.share(at) * _INNER:.1f},{_WAITS.bottom - waits.share(wait) * _WAITS.height:.1f}"

    for stretch in _stretches(slices):
        tops: dict[str, list[str]] = {"p50": [], "p95": [], "longest": []}
        for each in stretch:
            for name, steps in tops.items():
                value = getattr(each, name)
                steps += [point(each.begin, value), point(each.end, value)]
        base = [point(stretch[-1].end, 0.0), point(stretch[0].begin, 0.0)]
        yield f'<polygon class="p50" points="{" ".join(tops["p50"] + base)}"/>'
        for name in ("longest", "p95"):
            yield f'<polyline class="{name}" points="{" ".join(tops[name])}"/>'


def _stretches(slices: Sequence[Slice]) -> Iterator[list[Slice]]:
    """Yield runs of slices in which calls were served."""
    run: list[Slice] = []
    for each in slices:
        if each.p50 is not None:
            run.append(each)
        elif run:
            yield run
            run = []
    if run:
        yield run


def _refusals(slices: Sequence[Slice], times: Axis) -> Iterator[str]:
    for share in (0.0, 0.5, 1.0):
        y = _REFUSALS.bottom - share * _REFUSALS.height
        yield _line(_LEFT, y, _LEFT + _INNER, y, "grid" if share else "axis")
        yield _text(_LEFT - 8, y + 4, f"{share:.0%}", anchor="end")
    middle = _REFUSALS.top + _REFUSALS.height / 2
    yield _text(20, middle, "refused", anchor="middle", turn=f"rotate(-90 20 {middle:g})")
    for each in slices:
        if each.refused:
            tall = each.refused / each.calls * _REFUSALS.height
            x, wide = _LEFT + times.share(each.begin) * _INNER, times.share(each.end - each.begin) * _INNER
            yield _box(x, _REFUSALS.bottom - tall, wide, tall, "refused")


def _band(away: tuple[float, float] | None, times: Axis, bottom: int) -> Iterator[str]:
    if away is not None:
        begin, end = (min(1.0, times.share(at)) * _INNER for at in away)
        yield _box(_LEFT + begin, _WAITS.top, end - begin, bottom - _WAITS.top, "away")


def _legend(away: bool) -> Iterator[str]:
    entries = [("p50", "median"), ("p95", "95th percentile"), ("longest", "longest")]
    x = _LEFT
    for name, words in entries:
        if name == "p50":
            yield _box(x, 68, 22, 10, name)
        else:
            yield _line(x, 73, x + 22, 73, name)
        yield _text(x + 28, 77, words)
        x += 48 + 7 * len(words)
    if away:
        yield _box(x, 68, 22, 10, "away")
        yield _text(x + 28, 77, "Redis away")


def _text(x: float, y: float, words: str, kind: str = "", anchor: str = "start", turn: str = "") -> str:
    more = (f' class="{kind}"' if kind else "") + (f' transform="{turn}"' if turn else "")
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{more}>{escape(words)}</text>'


def _line(x: float, y: float, to_x: float, to_y: float, kind: str) -> str:
    return f'<line x1="{x:.1f}" y1="{y:.1f}" x2="{to_x:.1f}" y2="{to_y:.1f}" class="{kind}"/>'


def _box(x: float, y: float, wide: float, tall: float, kind: str) -> str:
    return f'<rect x="{x:.1f}" y="{y:.1f}" width="{wide:.1f}" height="{tall:.1f}" class="{kind}"/>'
