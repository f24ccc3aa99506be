"""Fixtures of the token tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.valkey import ValkeyServer
from tests.tokens.legacy_support import LegacyPortal
from tests.tokens.support import Portal, TimedClient, on_valkey


@pytest.fixture
def stage(shared_valkey: ValkeyServer) -> Iterator[tuple[Portal, TimedClient]]:
    """Give a portal whose families are in the session's server, by the test's time, and its client."""
    portal, client = on_valkey(shared_valkey)
    yield portal, client
    client.close()


@pytest.fixture
def portal(shared_valkey: ValkeyServer) -> Iterator[LegacyPortal]:
    """Give a portal that knows the old backend's secret, on the session's server, by the test's time."""
    portal = LegacyPortal(shared_valkey)
    yield portal
    portal.client.close()
