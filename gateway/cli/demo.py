"""`gateway demo`: what `make run` starts."""

from __future__ import annotations

from collections.abc import Mapping

from gateway.cli.run import on_loop


def demo(backend: str | None, environ: Mapping[str, str]) -> int:
    """Serve the demo until a signal; returns the exit code."""
    from gateway.demo import start  # only here: the demo is not part of the image

    return on_loop(start.run(backend, environ))
