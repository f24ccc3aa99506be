"""Log lines: structlog over the standard library, JSON or console, redacted.

The one idea: lines of the gateway and of its libraries run through the same processors, so that one rule about secrets
and one shape hold for all of them. The gateway's own, of which an audit trail makes one a refresh, are rendered once
and go straight to the stream: a `LogRecord` and its formatting would cost as much again.
"""

from __future__ import annotations

import logging
import sys
from typing import TextIO

import structlog

from gateway.observability.redaction import redact_event
from gateway.observability.settings import LogSettings


class Lines(logging.StreamHandler[TextIO]):
    """The handler of all lines: the libraries' records, and what the gateway has rendered by itself."""

    def write(self, line: str) -> None:
        """Write a line; like a record, one that cannot be written is told of on stderr and harms nobody."""
        self.acquire()
        try:
            self.stream.write(line + self.terminator)
            self.flush()
        except Exception:
            self.handleError(logging.makeLogRecord({"msg": "a line of the gateway's own"}))
        finally:
            self.release()


class _Logger:
    """A logger of the standard library to structlog: it has its name and level, and takes lines that are rendered."""

    disabled = False

    def __init__(self, name: str) -> None:
        self.name = name
        self.getEffectiveLevel = logging.getLogger(name).getEffectiveLevel

    def _write(self, line: str) -> None:
        for handler in logging.root.handlers:
            if isinstance(handler, Lines):
                handler.write(line)

    debug = info = warning = error = critical = _write


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
        processors=[structlog.stdlib.filter_by_level, *shared, renderer],
        logger_factory=_Logger,
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    handler = Lines(stream or sys.stdout)
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
