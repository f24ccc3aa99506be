"""The verbs of the command line, one file each; this one only spells the commands out.

Exit codes: 0 done (or drained), 1 it failed while starting or running, 2 the configuration is invalid.
"""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from gateway import __version__
from gateway.cli import config as config_verbs
from gateway.cli import policies, tokens
from gateway.cli.demo import Vendor, demo
from gateway.cli.options import ConfigOption
from gateway.cli.run import run

INTERRUPTED = 130

app = typer.Typer(
    name="gateway", no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None
)
config_app = typer.Typer(no_args_is_help=True, help="Look at the configuration.")
app.add_typer(config_app, name="config")
app.add_typer(tokens.app, name="tokens")
app.add_typer(policies.app, name="policies")


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"gateway {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print it.")] = False,
) -> None:
    """A sidecar gateway in front of a backend: maintenance, Redis availability, refresh tokens, throttling."""


@app.command("run")
def _run(config: ConfigOption = None) -> None:
    """Serve until SIGTERM or SIGINT, then drain."""
    raise typer.Exit(run(config, os.environ))


@app.command("demo")
def _demo(
    backend: Annotated[
        str | None, typer.Option(metavar="URL", help="Your own service, in the place of the demo backend.")
    ] = None,
    only: Annotated[
        Vendor | None, typer.Option(help="Only this vendor's simulator: no gateway, no Redis, no backend.")
    ] = None,
) -> None:
    """Serve on 127.0.0.1 with an embedded Redis, a demo backend and simulated vendors."""
    if backend is not None and only is not None:
        raise typer.BadParameter("a simulator alone has no backend; leave out --backend or --only")
    raise typer.Exit(demo(backend, only, os.environ))


@config_app.command("check")
def _check(config: ConfigOption = None) -> None:
    """Validate the configuration and the policies: every error at once, then warnings."""
    raise typer.Exit(config_verbs.check(config, os.environ, sys.stdout, sys.stderr))


def main() -> None:
    """Run the command line. An interrupt before anything is served ends it without a word."""
    try:
        app()
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
