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


def test_a_line_below_the_level_is_not_written() -> None:
    """`log.level: warning` keeps what is merely of interest out."""
    stream = io.StringIO()
    handler = logs.configure(LogSettings(level="warning"), stream)
    try:
        log = structlog.stdlib.get_logger("gateway.test")
        log.info("Hello")
        log.warning("Beware")
    finally:
        logging.getLogger().removeHandler(handler)
    assert [json.loads(line)["event"] for line in stream.getvalue().splitlines()] == ["Beware"]


def test_a_handler_that_was_taken_away_gets_no_more_lines(stream: io.StringIO) -> None:
    """The gateway's own lines go where the libraries' go: to the handlers that are there."""
    other = io.StringIO()
    logging.getLogger().removeHandler(logs.configure(LogSettings(), other))
    structlog.stdlib.get_logger("gateway.test").info("Hello")
    assert (len(stream.getvalue().splitlines()), other.getvalue()) == (1, "")


def test_a_stream_that_takes_nothing_harms_nobody(
    stream: io.StringIO, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A full disk or a closed pipe is told of on stderr, and no request ends for it."""

    def full(text: str) -> int:
        raise OSError("no space left")

    monkeypatch.setattr(stream, "write", full)
    structlog.stdlib.get_logger("gateway.audit").info("Hello", user="u-1")
    assert "no space left" in capsys.readouterr().err


def test_secrets_in_a_traceback_are_redacted(stream: io.StringIO) -> None:
    """An exception whose text holds a password is logged with its traceback, without the password."""
    try:
        raise ValueError("cannot connect to redis://:hush-9@host")
    except ValueError as error:
        structlog.stdlib.get_logger("gateway.test").error("Failed", exc_info=error)
    line = json.loads(stream.getvalue())
    assert "Traceback" in line["exception"]
    assert "hush-9" not in stream.getvalue()
