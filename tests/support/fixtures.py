"""Fixtures that every room's tests may ask for.

The one idea: a test that breaks its server gets one of its own (`valkey`); all others share one that is emptied
before each use (`shared_valkey`), because starting a server costs more than most tests.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.valkey import ValkeyServer


@pytest.fixture
def valkey() -> Iterator[ValkeyServer]:
    """A server of the test's own: kill it, freeze it, restart it."""
    server = ValkeyServer()
    server.launch()
    yield server
    server.finish()


@pytest.fixture(scope="session")
def _session_valkey() -> Iterator[ValkeyServer]:
    server = ValkeyServer()
    server.launch()
    yield server
    server.finish()


@pytest.fixture
def shared_valkey(_session_valkey: ValkeyServer) -> ValkeyServer:
    """The session's server, empty and without scripts; leave it running and configured as it was."""
    _session_valkey.command("FLUSHALL")
    _session_valkey.command("SCRIPT", "FLUSH")
    return _session_valkey
