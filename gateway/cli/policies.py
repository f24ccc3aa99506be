"""`gateway policies …`: the limits in force, and a policy tried on a virtual clock before it is deployed.

This file spells the commands out; what they do is in `limits` and `simulation`.

Exit codes: 0 done, 2 the configuration, the trace or an option cannot be used.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from gateway.cli.options import ConfigOption, Output, OutputOption

app = typer.Typer(no_args_is_help=True, help="Look at the limits, and try them before they are deployed.")


@app.command("show")
def _show(config: ConfigOption = None, output: OutputOption = Output.text) -> None:
    """Show the limits in force, policy by policy, and where each value comes from."""
    from gateway.cli import limits  # only here: the other verbs start faster without it

    raise typer.Exit(limits.show(config, output, os.environ))


@app.command("simulate")
def _simulate(
    policy: Annotated[
        str, typer.Argument(metavar="POLICY", help="An upstream's name, or the path of a policy's file.")
    ],
    trace: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="CSV or NDJSON of calls: time, lane, tenant, priority, duration."),
    ] = None,
    rate: Annotated[
        float | None,
        typer.Option(metavar="R", help="Calls a second, coming at random (Poisson), all in the policy's last lane."),
    ] = None,
    duration: Annotated[
        str | None, typer.Option(metavar="D", help="How long calls come, with --rate. Default: 10m.")
    ] = None,
    service: Annotated[
        str, typer.Option(metavar="D", help="Mean time of an answer (exponential), where no trace tells it.")
    ] = "500ms",
    seed: Annotated[int, typer.Option(help="Of the random numbers: the same seed gives the same run.")] = 1,
    replicas: Annotated[
        int | None, typer.Option(min=1, max=1000, help="Gateways that take the calls in turn. Default: the policy's.")
    ] = None,
    redis_away: Annotated[
        str | None, typer.Option(metavar="FROM..TO", help="When Redis is away, such as 2m..3m after the first call.")
    ] = None,
    chart: Annotated[Path | None, typer.Option(metavar="FILE.svg", help="Draw the waits over time there.")] = None,
    config: ConfigOption = None,
    output: OutputOption = Output.text,
) -> None:
    """Run calls through a policy's limits on a virtual clock, and tell how long they wait and what is refused."""
    from gateway.cli import simulation

    wish = simulation.Wish(
        policy, trace, rate, duration, service, seed, replicas, redis_away, chart, config, output
    )  # fmt: skip
    raise typer.Exit(simulation.run(wish, os.environ))
