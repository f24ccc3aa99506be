"""`gateway run`: load, then serve."""

from __future__ import annotations

import asyncio
import gc
import sys
from collections.abc import Coroutine, Mapping
from pathlib import Path
from typing import Any, Final

import structlog

from gateway.cli.config import report
from gateway.config import ConfigInvalid, load, locate
from gateway.observability import logs

INVALID = 2

COLLECTOR: Final = (700, 10, 500)
"""When garbage is looked for (`gc.set_threshold`): among young objects as always, among all fifty times less often.

A look at all walks every call that waits, ten objects each. With 200,000 waiting that stops everything for longer than
a policy's `guard`, so that slots are lost, and a line that grows made it happen again and again: more than all else
that a call costs.
"""


def run(config: Path | None, environ: Mapping[str, str]) -> int:
    """Serve until a signal; returns the exit code."""
    try:
        loaded = load(locate(config, environ), environ)
    except ConfigInvalid as invalid:
        report(invalid.problems, sys.stderr)
        report(invalid.warnings, sys.stderr)
        return INVALID
    from gateway.app import serve  # only here: the other verbs start faster without it

    logs.configure(loaded.settings.file.log)
    log = structlog.stdlib.get_logger("gateway.config")
    for problem in loaded.warnings:
        tell = log.warning if problem.severity == "warning" else log.info
        tell("Configuration", problem=str(problem))
    gc.set_threshold(*COLLECTOR)
    gc.collect()
    # What is there when the gateway is ready stays for good; the collector would walk it again and again.
    return on_loop(serve(loaded, on_ready=gc.freeze))


def on_loop(work: Coroutine[Any, Any, int]) -> int:
    """Run to the end on uvloop, where there is one."""
    try:
        import uvloop
    except ImportError:  # not made for this platform
        return asyncio.run(work)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(work)
