"""`gateway policies …`, as an operator types it."""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import yaml
from typer.testing import CliRunner, Result

from gateway.cli import app, simulation

POLICY = {
    "upstream": "whmcs",
    "listen": "127.0.0.1:9181",
    "rate": {"cap": 10, "per": "1m"},
    "lanes": [
        {"name": "long_running", "match": [{"path": "/long"}], "concurrency": 2, "timeout": "1m"},
        {"name": "default", "concurrency": "${CONCURRENCY:-4}", "timeout": "30s"},
    ],
}

Run = Callable[..., Result]


@pytest.fixture
def gateway(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Give a way to run `gateway policies` on a configuration with one policy."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "policies").mkdir()
    (tmp_path / "policies" / "whmcs.yaml").write_text(yaml.safe_dump(POLICY))
    (tmp_path / "config.yaml").write_text("policies: policies\n")

    def run(*arguments: str) -> Result:
        result = CliRunner().invoke(app, ["policies", *arguments])
        assert result.exception is None or isinstance(result.exception, SystemExit)
        return result

    return run


def document(result: Result) -> Any:
    assert (result.exit_code, result.stderr) == (0, "")
    return json.loads(result.stdout)


def test_show_tells_each_limit_and_where_it_comes_from(gateway: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the policy writes it: a line, what filled it, a variable of its own, or the default."""
    monkeypatch.setenv("CONCURRENCY", "7")
    shown = gateway("show")
    assert (shown.exit_code, shown.stderr) == (0, "")
    lines = [line.split() for line in shown.stdout.splitlines()]
    assert ["whmcs", "(off:", "base_url", "is", "empty),", "policies/whmcs.yaml"] in lines
    for expected in (
        "rate.cap 10 line 12", "rate.per 1m line 13", "rate.guard 50ms default", "pace null default",
        "lanes[0].match[0].path /long line 4", "lanes[1].concurrency 7 line 7, from CONCURRENCY",
        "queue.max_wait 2m default", "lanes[0].timeout 1m line 6",
    ):  # fmt: skip
        assert expected.split() in lines
    (policy,) = document(gateway("show", "-o", "json"))
    assert (policy["upstream"], policy["on"], policy["file"]) == ("whmcs", False, "policies/whmcs.yaml")
    assert (policy["limits"]["queue.max_wait"], policy["limits"]["lanes[1].concurrency"]) == (120.0, 7)
    assert policy["origins"]["lanes[1].concurrency"] == "line 7, from CONCURRENCY"
    assert policy["limits"].keys() == policy["origins"].keys()


def test_show_tells_a_variable_that_gives_a_left_out_key(gateway: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """The variable of an operator is the origin then."""
    monkeypatch.setenv("WHMCS_QUEUE_INTERVAL_CAP", "77")
    left_out = {**POLICY, "rate": {"per": "1m"}, "base_url": "https://billing.example"}
    Path("policies/whmcs.yaml").write_text(yaml.safe_dump(left_out))
    (policy,) = document(gateway("show", "-o", "json"))
    assert (policy["limits"]["rate.cap"], policy["origins"]["rate.cap"]) == (77, "WHMCS_QUEUE_INTERVAL_CAP")
    assert policy["on"]
    assert "billing.example" not in json.dumps(policy)


def test_show_without_policies(gateway: Run) -> None:
    """Says so; as JSON it is an empty list."""
    Path("policies/whmcs.yaml").unlink()
    assert gateway("show").stdout == "There are no policies.\n"
    assert document(gateway("show", "-o", "json")) == []


def test_a_bad_configuration_is_told_as_by_the_other_verbs(gateway: Run) -> None:
    """Exit 2, every error with its place, nothing on stdout; also for a policy's file by itself."""
    Path("policies/whmcs.yaml").write_text(yaml.safe_dump({**POLICY, "rate": {"cap": 0}, "lane": []}))
    for arguments in (
        ("show",),
        ("simulate", "whmcs", "--rate", "1"),
        ("simulate", "policies/whmcs.yaml", "--rate", "1"),
    ):
        ran = gateway(*arguments)
        assert (ran.exit_code, ran.stdout) == (2, "")
        assert "policies/whmcs.yaml:1:1: lane: is not a known key (did you mean lanes?)" in ran.stderr
        assert "rate.cap: must be at least 1" in ran.stderr


def test_simulate_a_rate(gateway: Run, tmp_path: Path) -> None:
    """The figures as JSON and as a table with a chart; the same seed says the same; a policy's file will do."""
    arguments = ("--rate", "0.2", "--duration", "20m", "--seed", "3")
    found = document(gateway("simulate", "whmcs", *arguments, "-o", "json"))
    assert found == document(gateway("simulate", "policies/whmcs.yaml", *arguments, "-o", "json"))
    assert found != document(gateway("simulate", "whmcs", "--rate", "0.2", "--duration", "20m", "-o", "json"))
    total = found["all"]
    assert total["calls"] == total["served"] + sum(total["refused"].values()) == found["lanes"]["default"]["calls"]
    assert total["p50"] <= total["p95"] <= total["p99"] <= total["longest"] <= 120
    assert found["window"]["busiest"] == found["window"]["allowed"] == 10
    assert 0.9 < found["window"]["share"] <= 1
    assert sum(each["calls"] for each in found["over_time"]) == total["calls"]
    text = gateway("simulate", "whmcs", *arguments)
    assert (text.exit_code, text.stderr) == (0, "")
    assert "Busiest 60 s: 10 calls, the cap is 10." in text.stdout
    for words in ("long_running", "queue-timeout", "p95", "wait (s)", "time of arrival (min)", "refused"):
        assert words in text.stdout


def test_simulate_a_trace(gateway: Run, tmp_path: Path) -> None:
    """Each lane by itself, with the durations that the trace tells."""
    rows = io.StringIO()
    writer = csv.writer(rows)
    writer.writerow(["time", "lane", "duration"])
    writer.writerows([at, lane, "20s"] for at in range(3) for lane in ("long_running", "default"))
    Path("calls.csv").write_text(rows.getvalue())
    found = document(gateway("simulate", "whmcs", "--trace", "calls.csv", "-o", "json"))
    assert found["offer"] == {"trace": "calls.csv"}
    assert found["lanes"]["long_running"]["longest"] == 18.0  # two at a time, 20 s each
    assert found["lanes"]["default"]["longest"] == 0.0


def test_replicas_share_the_limits_or_keep_them_alone(gateway: Run) -> None:
    """By the scope of the policy; what the vendor then sees is told."""
    arguments = ("--rate", "2", "--duration", "5m", "--replicas", "3", "--redis-away", "1m..2m")
    fleet = gateway("simulate", "whmcs", *arguments)
    assert "Busiest 60 s: 10 calls, the cap is 10. Use" in fleet.stdout
    assert "Redis away changes nothing" not in fleet.stdout
    Path("policies/whmcs.yaml").write_text(yaml.safe_dump({**POLICY, "scope": "pod"}))
    pod = gateway("simulate", "whmcs", *arguments)
    assert "Busiest 60 s: 30 calls, the cap is 10 in each of 3 replicas (scope: pod)." in pod.stdout
    assert "Redis away changes nothing" in pod.stdout


def test_the_chart_is_a_file(gateway: Run) -> None:
    """Well-formed, and the table is told all the same."""
    ran = gateway("simulate", "whmcs", "--rate", "1", "--chart", "waits.svg")
    assert (ran.exit_code, "p95" in ran.stdout) == (0, True)
    assert ElementTree.fromstring(Path("waits.svg").read_text()).tag.endswith("svg")
    Path("taken.svg").mkdir()
    ran = gateway("simulate", "whmcs", "--rate", "1", "--chart", "taken.svg")
    assert (ran.exit_code, ran.stderr) == (2, "taken.svg: the chart cannot be written: is a directory\n")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["whmc", "--rate", "1"], "POLICY: no policy has the upstream 'whmc' (did you mean whmcs?); there is whmcs"),
        (["gone.yaml", "--rate", "1"], "gone.yaml:1:1: the file cannot be read: no such file or directory"),
        (["whmcs"], "give either --trace FILE or --rate R"),
        (["whmcs", "--rate", "1", "--trace", "x.csv"], "give either --trace FILE or --rate R"),
        (["whmcs", "--trace", "x.csv", "--duration", "1m"], "--duration: goes with --rate; a trace has its own length"),
        (["whmcs", "--trace", "x.csv"], "x.csv: the trace cannot be read: no such file or directory"),
        (["whmcs", "--rate", "0"], "--rate, --duration: must be more than zero"),
        (["whmcs", "--rate", "1e9"], "--rate, --duration: that is more than 10,000,000 calls"),
        (["whmcs", "--rate", "nan"], "--rate, --duration: must be more than zero"),
        (["whmcs", "--rate", "1", "--duration", "9"], "--duration: a duration needs a number and a unit"),
        (["whmcs", "--rate", "1", "--service", "fast"], "--service: a duration needs a number and a unit"),
        (["whmcs", "--rate", "1", "--redis-away", "2m"], "--redis-away: must be FROM..TO"),
        (["whmcs", "--rate", "1", "--redis-away", "2m..1m"], "--redis-away: must be FROM..TO"),
        (
            ["whmcs", "--rate", "1", "--chart", "a.png"],
            "--chart: the chart is drawn as SVG; name a file that ends in .svg",
        ),
        (
            ["whmcs", "--rate", "1", "--chart", "no/a.svg"],
            "--chart: there is no folder no; make it, or correct the path",
        ),
    ],
)
def test_what_cannot_be_used_is_told(gateway: Run, arguments: list[str], words: str) -> None:
    """Exit 2, one line on stderr that says what to do, nothing on stdout."""
    ran = gateway("simulate", *arguments)
    assert (ran.exit_code, ran.stdout) == (2, "")
    assert words in ran.stderr


def test_a_trace_with_mistakes_is_told_line_by_line(gateway: Run) -> None:
    """With file and line; exit 2."""
    Path("calls.csv").write_text("time,lane\n1,defualt\nx,default\n")
    ran = gateway("simulate", "whmcs", "--trace", "calls.csv")
    assert (ran.exit_code, ran.stdout) == (2, "")
    first, second = ran.stderr.splitlines()
    assert first == "calls.csv:2: lane: must be long_running or default (did you mean default?)"
    assert second.startswith("calls.csv:3: time: must be seconds")


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def test_a_bar_is_shown_where_somebody_watches(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a terminal, on stderr; into a file nothing is written."""
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    with simulation._bar("simulating", 10) as tell:
        tell(5)
        tell(10)
    assert "simulating" in terminal.getvalue()
    monkeypatch.setattr(sys, "stderr", stream := io.StringIO())
    with simulation._bar("simulating", 10) as tell:
        tell(5)
    assert stream.getvalue() == ""
