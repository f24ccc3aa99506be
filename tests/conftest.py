"""What holds for every test: log lines are collected, and searched for secrets when all else is done."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterator

import pytest

from gateway.observability import logs
from gateway.observability.settings import LogSettings
from tests.support import leaks

pytest_plugins = ["tests.support.fixtures"]

LAST = "test_no_log_line_of_the_suite_holds_a_secret"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the search for secrets after everything else."""
    items.sort(key=lambda item: item.name == LAST)


@pytest.fixture(scope="session", autouse=True)
def collected_logs() -> Iterator[None]:
    """Log at debug level, through the gateway's own processors, into the folder that is searched at the end."""
    with (leaks.FOLDER / "suite.log").open("w", encoding="utf-8", buffering=1) as stream:
        handler = logs.configure(LogSettings(level="debug"), stream)
        yield
        logging.getLogger().removeHandler(handler)
    shutil.rmtree(leaks.FOLDER, ignore_errors=True)
