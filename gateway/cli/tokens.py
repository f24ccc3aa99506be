"""`gateway tokens …`: sessions seen and ended straight on Redis, and the old backend's taken over.

This file spells the commands out; what they do is in `administration`.

Exit codes: 0 done, 1 it failed (Redis does not answer, no such family), 2 the configuration is invalid.
"""

from __future__ import annotations

import os
from typing import Annotated

import typer

from gateway.cli.options import BatchOption, ConfigOption, DryRunOption, Output, OutputOption

app = typer.Typer(no_args_is_help=True, help="Look after sessions, straight on Redis.")

User = Annotated[str, typer.Argument(metavar="USER", help="Whose: the `sub` of the tokens.")]


@app.command("list")
def _list(user: User, config: ConfigOption = None, output: OutputOption = Output.text) -> None:
    """List a user's sessions, the one used last first."""
    from gateway.cli import administration  # only here: the other verbs start faster without it

    raise typer.Exit(administration.show(user, config, output, os.environ))


@app.command("revoke")
def _revoke(
    user: User,
    family: Annotated[str | None, typer.Argument(metavar="[FAMILY]", help="Only this one. Default: all.")] = None,
    config: ConfigOption = None,
    output: OutputOption = Output.text,
) -> None:
    """End a user's sessions, those of the old scheme too, or one of them."""
    from gateway.cli import administration

    raise typer.Exit(administration.revoke(user, family, config, output, os.environ))


@app.command("stats")
def _stats(config: ConfigOption = None, output: OutputOption = Output.text, batch: BatchOption = 1000) -> None:
    """Count users, their sessions, and the keys of the old scheme. Reads only, in batches."""
    from gateway.cli import administration

    raise typer.Exit(administration.stats(config, output, batch, os.environ))


@app.command("migrate")
def _migrate(
    dry_run: DryRunOption = False,
    config: ConfigOption = None,
    output: OutputOption = Output.text,
    batch: BatchOption = 1000,
) -> None:
    """Take the old backend's sessions over. Its keys stay; may be run again at any time, while the gateway serves."""
    from gateway.cli import administration

    raise typer.Exit(administration.migrate(dry_run, config, output, batch, os.environ))


@app.command("cleanup")
def _cleanup(
    dry_run: DryRunOption = False,
    config: ConfigOption = None,
    output: OutputOption = Output.text,
    batch: BatchOption = 1000,
) -> None:
    """Remove the old backend's keys that were taken over or lead nowhere. What a session needs stays."""
    from gateway.cli import administration

    raise typer.Exit(administration.cleanup(dry_run, config, output, batch, os.environ))
