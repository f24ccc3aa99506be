"""Options that several verbs have."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

ConfigOption = Annotated[
    Path | None,
    typer.Option("--config", metavar="FILE", help="The configuration. Default: $GATEWAY_CONFIG, then ./config.yaml."),
]


class Output(StrEnum):
    """How a verb tells what it found."""

    text = "text"
    json = "json"


OutputOption = Annotated[Output, typer.Option("--output", "-o", help="For people, or for programs.")]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Write nothing, and tell what would be done.")]
BatchOption = Annotated[int, typer.Option("--batch", min=1, max=100_000, help="Records a batch.")]
