"""Log lines: structlog over the standard library, JSON or console, redacted.

The one idea: lines of the gateway and of its libraries run through the same processors, so that one rule about secrets
and one shape hold for all of them.
"""

from __future__ import annotations

import logging
import sys
from typing import TextIO

import structlog

from gateway.observability.redaction import redact_event
from gateway.observability.settings import LogSettings


def configure(settings: LogSettings, stream: TextIO | None = None) -> logging.Handler:
    """Set up logging for the process; returns the handler, so that a caller can take it away again."""
    shared: list[structlog.types.Processor] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        redact_event,
    ]
    renderer: structlog.types.Processor
    if settings.format == "json":
        renderer = structlog.processors.JSONRenderer(sort_keys=False)
    else:
        out = stream or sys.stdout
        renderer = structlog.dev.ConsoleRenderer(colors=out.isatty(), exception_formatter=structlog.dev.plain_traceback)
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(stream or sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    root = logging.getLogger()
    root.addHandler(handler)
    level = settings.level.upper()
    logging.getLogger("gateway").setLevel(level)
    logging.getLogger("gateway.audit").setLevel(logging.INFO)  # the trail is complete at every level
    root.setLevel(max(logging.getLevelName(level), logging.INFO))
    logging.getLogger("watchfiles").setLevel(logging.WARNING)  # it tells of every change in a folder
    logging.captureWarnings(True)
    return handler
