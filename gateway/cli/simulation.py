"""What `gateway policies simulate` does: read, check, run, tell.

The one idea: everything that can be wrong is found before the run begins, and told in words that say what to do.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from math import isfinite
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from gateway.cli import trace as traces
from gateway.cli.config import INVALID, VALID, report
from gateway.cli.findings import print_findings
from gateway.cli.options import Output
from gateway.cli.svg import SLICES, svg
from gateway.config import ConfigInvalid, load, load_policy, locate
from gateway.config.policy import Policy
from gateway.config.problems import did_you_mean, enumerate_words
from gateway.settings import Unsuitable, parse_duration
from gateway.throttle.arrivals import Arrival, Draw
from gateway.throttle.settings import PolicySettings
from gateway.throttle.simulate import simulate
from gateway.throttle.tally import Tally

_MOST: Final = 10_000_000
"""Calls that one simulation takes."""
_DURATION: Final = "10m"
_STEP: Final = 5000
"""Calls between two looks at the bar."""

Tell = Callable[[int], None]


class Unusable(Exception):
    """An option cannot be used; the text says why, and what to do."""


@dataclass(frozen=True, slots=True)
class Wish:
    """The command line."""

    policy: str
    trace: Path | None
    rate: float | None
    duration: str | None
    service: str
    seed: int
    replicas: int | None
    redis_away: str | None
    chart: Path | None
    config: Path | None
    output: Output


@dataclass(frozen=True, slots=True)
class Offer:
    """The calls of a run, and what is said of them."""

    words: str
    facts: dict[str, Any]
    count: int
    """How many there are; about so many, when they are drawn."""
    arrivals: Iterable[Arrival]


def run(wish: Wish, environ: Mapping[str, str]) -> int:
    """Simulate; returns the exit code."""
    try:
        policy = _policy(wish, environ)
        policy = policy.model_copy(update={"replicas": wish.replicas or policy.replicas})
        away = _away(wish.redis_away)
        _check_chart(wish.chart)
        with _bar("reading") as tell:
            offer = _offer(wish, policy, tell)
    except ConfigInvalid as invalid:
        report(invalid.problems, sys.stderr)
        return INVALID
    except traces.TraceInvalid as invalid:
        report(invalid.problems, sys.stderr)
        return INVALID
    except Unusable as unusable:
        print(unusable, file=sys.stderr)
        return INVALID
    tally = Tally(lane.name for lane in policy.lanes)
    with _bar("simulating", offer.count) as tell:
        simulate(policy, _watched(offer.arrivals, tell), tally, away)
    return _tell(wish, policy, offer, away, tally)


def _tell(wish: Wish, policy: PolicySettings, offer: Offer, away: tuple[float, float] | None, tally: Tally) -> int:
    rate = policy.rate
    windows = policy.replicas if policy.scope == "pod" else 1
    use = tally.use(rate.cap * windows, rate.per, rate.per + rate.guard)
    facts = {"policy": policy.upstream, "scope": policy.scope, "replicas": policy.replicas, "seed": wish.seed}
    if wish.output is Output.json:
        document = facts | {
            "offer": offer.facts,
            "window": {"cap": rate.cap, "per": rate.per, "guard": rate.guard, **asdict(use)},
            "all": asdict(tally.total()),
            "lanes": {name: asdict(figures) for name, figures in tally.lanes().items()},
            "over_time": [asdict(each) for each in tally.slices(SLICES)],
        }
        json.dump(document, sys.stdout, indent=2)
        print()
    else:
        print_findings(policy, offer.words, tally, use)
        if away is not None and policy.scope == "pod":
            print("Redis away changes nothing: with `scope: pod` each replica keeps the limits by itself.")
    if wish.chart is None:
        return VALID
    several = f" · {policy.replicas} replicas" if policy.replicas > 1 else ""
    subtitle = f"{offer.words} · cap {rate.cap} in {rate.per:g} s{several}"
    try:
        wish.chart.write_text(svg(f"Waits of {policy.upstream}", subtitle, tally.slices(SLICES), away), "utf-8")
    except OSError as error:
        print(f"{wish.chart}: the chart cannot be written: {(error.strerror or str(error)).lower()}", file=sys.stderr)
        return INVALID
    return VALID


def _policy(wish: Wish, environ: Mapping[str, str]) -> Policy:
    """Return the policy: of a file by itself, or of an upstream that the configuration knows."""
    if wish.policy.endswith((".yaml", ".yml")):
        return load_policy(Path(wish.policy), environ)
    policies = {policy.upstream: policy for policy in load(locate(wish.config, environ), environ).settings.policies}
    if wish.policy in policies:
        return policies[wish.policy]
    names = list(policies)
    there = f"there {'is' if len(names) == 1 else 'are'} {enumerate_words(names, 'and')}" if names else "there are none"
    hint = did_you_mean(wish.policy, names)
    raise Unusable(f"POLICY: no policy has the upstream {wish.policy!r}{hint}; {there}, or name a file.yaml")


def _offer(wish: Wish, policy: PolicySettings, tell: Tell) -> Offer:
    if (wish.trace is None) == (wish.rate is None):
        raise Unusable("give either --trace FILE or --rate R")
    service = _seconds("--service", wish.service)
    draw = Draw(wish.seed, service)
    if wish.trace is not None:
        if wish.duration is not None:
            raise Unusable("--duration: goes with --rate; a trace has its own length")
        calls = traces.read(wish.trace, [lane.name for lane in policy.lanes], draw, tell)
        return Offer(f"{len(calls):,} calls of {wish.trace.name}", {"trace": str(wish.trace)}, len(calls), calls)
    assert wish.rate is not None
    seconds = _seconds("--duration", wish.duration or _DURATION)
    if not (isfinite(wish.rate) and wish.rate > 0 and seconds > 0):
        raise Unusable("--rate, --duration: must be more than zero")
    if wish.rate * seconds > _MOST:
        raise Unusable(f"--rate, --duration: that is more than {_MOST:,} calls; make one of them smaller")
    words = f"{wish.rate:g} calls a second for {wish.duration or _DURATION}"
    facts = {"rate": wish.rate, "duration": seconds, "service": service}
    arrivals = draw.poisson(wish.rate, seconds, policy.lanes[-1].name)
    return Offer(words, facts, round(wish.rate * seconds), arrivals)


def _away(text: str | None) -> tuple[float, float] | None:
    if text is None:
        return None
    begin, dots, end = text.partition("..")
    away = (_seconds("--redis-away", begin), _seconds("--redis-away", end)) if dots else (0.0, 0.0)
    if away[0] >= away[1]:
        raise Unusable("--redis-away: must be FROM..TO, the later one last, such as 2m..3m")
    return away


def _seconds(option: str, text: str) -> float:
    try:
        return parse_duration(text)
    except Unsuitable as unsuitable:
        raise Unusable(f"{option}: {unsuitable}") from None


def _check_chart(path: Path | None) -> None:
    """Find out before a long run whether the chart will have a place."""
    if path is None:
        return
    if path.suffix != ".svg":
        raise Unusable("--chart: the chart is drawn as SVG; name a file that ends in .svg")
    if not path.parent.is_dir():
        raise Unusable(f"--chart: there is no folder {path.parent}; make it, or correct the path")


@contextmanager
def _bar(step: str, total: int | None = None) -> Iterator[Tell]:
    """Show how far it is, where somebody watches."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda done: None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task(step, total=total)
        yield lambda done: progress.update(task, completed=done)


def _watched(arrivals: Iterable[Arrival], tell: Tell) -> Iterator[Arrival]:
    for number, arrival in enumerate(arrivals):
        if number % _STEP == 0:
            tell(number)
        yield arrival
