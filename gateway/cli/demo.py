"""`gateway demo`: what `make run` starts."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from gateway.cli.run import on_loop

MISSING: Final = 1


class Vendor(StrEnum):
    """A vendor whose simulator can run alone."""

    salesforce = "salesforce"
    whmcs = "whmcs"


def demo(backend: str | None, only: Vendor | None, environ: Mapping[str, str]) -> int:
    """Serve the demo, or `only` one vendor's simulator, until a signal; returns the exit code."""
    try:
        from gateway.demo import start  # only here: the demo is not part of the image
    except ModuleNotFoundError:
        print("The demo is not part of this installation; run it from a checkout with: make run", file=sys.stderr)
        return MISSING
    if only is not None:
        return on_loop(start.run_only(only.value))
    return on_loop(start.run(backend, environ))
