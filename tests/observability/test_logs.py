"""The shape of log lines."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from gateway.observability import logs
from gateway.observability.journal import Journal
from gateway.observability.settings import LogSettings
from gateway.tokens.events import Audit


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    """A stream that receives JSON lines for one test."""
    stream = io.StringIO()
    handler = logs.configure(LogSettings(), stream)
    yield stream
    logging.getLogger().removeHandler(handler)


def test_a_line_is_one_json_object_with_time_level_and_logger(stream: io.StringIO) -> None:
    """A structlog line and a library's line have the same shape."""
    structlog.stdlib.get_logger("gateway.test").info("Hello", number=1)
    logging.getLogger("aiohttp").warning("odd %s", "thing")
    ours, theirs = map(json.loads, stream.getvalue().splitlines())
    assert (ours["event"], ours["number"], ours["level"], ours["logger"]) == ("Hello", 1, "info", "gateway.test")
    assert (theirs["event"], theirs["level"]) == ("odd thing", "warning")
    assert ours["timestamp"].endswith("Z")


def test_the_audit_trail_is_complete_at_every_level() -> None:
    """`log.level: error` silences what is merely of interest, and no audit line."""
    stream = io.StringIO()
    handler = logs.configure(LogSettings(level="error"), stream)
    try:
        journal = Journal()
        journal(Audit("refresh", "rotated", "u", "f", token="9f2c"))
        structlog.stdlib.get_logger("gateway.test").warning("Hello")
    finally:
        logging.getLogger().removeHandler(handler)
    (line,) = map(json.loads, stream.getvalue().splitlines())
    assert (line["event"], line["audit"], line["token_hash"]) == ("Token audit", True, "9f2c")


def test_secrets_in_a_traceback_are_redacted(stream: io.StringIO) -> None:
    """An exception whose text holds a password is logged with its traceback, without the password."""
    try:
        raise ValueError("cannot connect to redis://:hush-9@host")
    except ValueError as error:
        structlog.stdlib.get_logger("gateway.test").error("Failed", exc_info=error)
    line = json.loads(stream.getvalue())
    assert "Traceback" in line["exception"]
    assert "hush-9" not in stream.getvalue()
