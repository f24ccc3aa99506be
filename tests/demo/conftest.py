"""The demo's services, and a client for them."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from aiohttp import ClientSession, DummyCookieJar

from gateway.demo.salesforce import Salesforce
from gateway.demo.services import Services
from gateway.demo.whmcs import Whmcs


@pytest.fixture
async def services() -> AsyncIterator[Services]:
    """All three services on free ports, as quick as they can be."""
    salesforce = Salesforce(latency=0, long_latency=0, login_latency=0, job_seconds=0)
    async with Services(whmcs=Whmcs(latency=0), salesforce=salesforce, event_interval=0.01) as running:
        yield running


@pytest.fixture
async def client() -> AsyncIterator[ClientSession]:
    """A client without a memory for cookies."""
    async with ClientSession(cookie_jar=DummyCookieJar()) as session:
        yield session
