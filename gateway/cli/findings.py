"""What a simulation found, for people: a table of the lanes, the use of the window, and the waits over time."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from gateway.cli.chart import WIDTH, chart
from gateway.throttle.settings import PolicySettings
from gateway.throttle.tally import Figures, Tally, Use

_WIDE: Final = 140
"""Columns of what is piped away."""


def print_findings(policy: PolicySettings, offer: str, tally: Tally, use: Use) -> None:
    """Print them on stdout."""
    console = Console(width=None if sys.stdout.isatty() else _WIDE, highlight=False)
    several = f", {policy.replicas} replicas" if policy.replicas > 1 else ""
    console.print(Text(f"{policy.upstream}: {offer}{several}", style="bold"))
    console.print(_table(tally.lanes(), tally.total()))
    console.print(_window(policy, use))
    console.print()
    for line in chart(tally.slices(WIDTH)):
        console.print(line, no_wrap=True, overflow="crop")


def _table(lanes: Mapping[str, Figures], total: Figures) -> Table:
    reasons = sorted({"queue-full", "queue-timeout"} | set(total.refused))
    table = Table()
    table.add_column("lane")
    for name in ("calls", "served", *reasons, "upstream-timeout", "p50", "p95", "p99", "max"):
        table.add_column(name, justify="right")
    for name, figures in lanes.items():
        table.add_row(Text(name), *_cells(figures, reasons))
    if len(lanes) > 1:
        table.add_section()
        table.add_row("all", *_cells(total, reasons))
    return table


def _cells(figures: Figures, reasons: Sequence[str]) -> list[str]:
    counts = [figures.calls, figures.served, *(figures.refused.get(reason, 0) for reason in reasons), figures.timed_out]
    waits = (figures.p50, figures.p95, figures.p99, figures.longest)
    return [*(f"{count:,}" for count in counts), *("-" if wait is None else _seconds(wait) for wait in waits)]


def _seconds(wait: float) -> str:
    return f"{wait:.1f} s" if wait >= 10 else f"{wait:.2f} s"


def _window(policy: PolicySettings, use: Use) -> str:
    rate = policy.rate
    busiest = f"Busiest {rate.per:g} s: {use.busiest:,} calls, the cap is {rate.cap:,}"
    if policy.scope == "pod" and policy.replicas > 1:
        busiest += f" in each of {policy.replicas} replicas (scope: pod)"
    return f"{busiest}. Use of the cap: {use.share:.1%}."
