"""simple-salesforce, unmodified, straight against the simulated Salesforce."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
import requests
from simple_salesforce import Salesforce
from simple_salesforce.exceptions import (
    SalesforceAuthenticationFailed,
    SalesforceMalformedRequest,
    SalesforceRefusedRequest,
)

from gateway.demo import salesforce
from gateway.demo.ports import HOST
from gateway.demo.salesforce_key import private_pem
from gateway.demo.services import Services
from tests.demo import simple_salesforce_client as login
from tests.demo.simple_salesforce_calls import CALLS, metadata, names
from tests.support.tls import Authority


@pytest.fixture
async def services(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Services]:
    """The simulated Salesforce with TLS, as quick as it can be; `requests` trusts it."""
    authority = Authority(tmp_path)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(authority.file))
    quick = salesforce.Salesforce(latency=0, long_latency=0, login_latency=0, job_seconds=0)
    async with Services(only=("salesforce",), salesforce=quick, tls=authority.server_side(HOST)) as running:
        yield running


@pytest.fixture
def http(services: Services) -> Iterator[requests.Session]:
    """What the client sends with."""
    with login.session(services.addresses["salesforce"]) as made:
        yield made


@pytest.mark.parametrize(
    ("log_in", "grant"),
    [
        (login.with_security_token, "soap"),
        (login.with_password, "password"),
        (login.with_client_credentials, "client_credentials"),
        (lambda http: login.with_key(http, private_pem()), "jwt_bearer"),
    ],
    ids=["soap", "password", "client_credentials", "jwt_bearer"],
)
async def test_every_login_reads_all_pages(
    services: Services, http: requests.Session, log_in: Callable[[requests.Session], Salesforce], grant: str
) -> None:
    """Whichever way it logs in, it follows nextRecordsUrl to the last contact and reads the daily usage."""

    def talk() -> None:
        client = log_in(http)
        assert len(names(client)) == 12
        assert client.api_usage["api-usage"].total == 100_000

    await asyncio.to_thread(talk)
    assert services.salesforce.report(60)["logins"]["by_grant"] == {grant: 1}


@pytest.mark.parametrize("call", CALLS, ids=lambda call: call.__name__)
async def test_each_api(services: Services, http: requests.Session, call: Callable[[Salesforce], None]) -> None:
    """Queries, records, both Bulk APIs and metadata answer as the client expects it of Salesforce."""
    services.salesforce.behaviour.bulk_page_records = 5
    log_in = login.with_security_token if call is metadata else login.with_password
    await asyncio.to_thread(lambda: call(log_in(http)))


async def test_a_session_that_ended_is_opened_again(services: Services, http: requests.Session) -> None:
    """By itself the client logs in again on REST's 401, and only there: Bulk and metadata calls fail."""
    simulator = services.salesforce

    def talk() -> None:
        client = login.with_password(http)
        simulator.sessions.end_all()
        assert len(names(client)) == 12
        simulator.sessions.end_all()
        with pytest.raises(SalesforceMalformedRequest, match="InvalidSessionId"):
            client.bulk.Contact.query("SELECT Id FROM Contact")
        with pytest.raises(Exception, match="INVALID_SESSION_ID"):
            client.mdapi.describe_metadata()
        client.mdapi._client.transport.session.close()

    await asyncio.to_thread(talk)
    report = simulator.report(60)
    assert report["logins"]["count"] == 2
    assert report["expired_answers"] == {"bulk1_json": 1, "rest": 1, "soap": 1}


async def test_refused_logins_and_calls(services: Services, http: requests.Session) -> None:
    """The client understands why a login failed in both forms, and a limit."""
    simulator = services.salesforce

    def talk() -> None:
        simulator.behaviour.login_fault = "login_rate_exceeded"
        with pytest.raises(SalesforceAuthenticationFailed, match="login rate exceeded"):
            login.with_password(http)
        simulator.behaviour.login_fault = "authentication_failure"
        with pytest.raises(SalesforceAuthenticationFailed, match="INVALID_LOGIN"):
            login.with_security_token(http)
        simulator.behaviour.login_fault = "none"
        client = login.with_password(http)
        simulator.behaviour.daily_limit = 0
        with pytest.raises(SalesforceRefusedRequest, match="TotalRequests Limit exceeded"):
            names(client)

    await asyncio.to_thread(talk)
