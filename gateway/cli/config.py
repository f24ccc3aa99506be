"""`gateway config check`: every error of every file, then the warnings, then a summary."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, TextIO

from gateway.config import ConfigInvalid, Problem, load, locate

VALID: Final = 0
INVALID: Final = 2

_PREFIX: Final = {"error": "", "warning": "warning: ", "info": "note: "}


def report(problems: Sequence[Problem], stream: TextIO) -> None:
    """Write a line a problem; warnings and notes say what they are."""
    for problem in problems:
        print(f"{_PREFIX[problem.severity]}{problem}", file=stream)


def check(config: Path | None, environ: Mapping[str, str], out: TextIO, err: TextIO) -> int:
    """Validate the configuration; returns the exit code."""
    try:
        path = locate(config, environ)
        loaded = load(path, environ)
    except ConfigInvalid as invalid:
        report(invalid.problems, err)
        report(invalid.warnings, err)
        return INVALID
    report(loaded.warnings, err)
    policies = loaded.settings.policies
    on = sum(policy.on for policy in policies)
    print(f"{path}: OK (policies: {on} on, {len(policies) - on} off)", file=out)
    return VALID
