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
    SalesforceResourceNotFound,
)

from gateway.demo import salesforce
from gateway.demo.ports import HOST
from gateway.demo.salesforce_key import private_pem
from gateway.demo.services import Services
from tests.demo import simple_salesforce_client as login
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


def contacts(client: Salesforce) -> list[str]:
    return [record["Name"] for record in client.query_all("SELECT Id, Name FROM Contact")["records"]]


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
        assert len(contacts(client)) == 12
        assert client.api_usage["api-usage"].total == 100_000

    await asyncio.to_thread(talk)
    assert services.salesforce.report(60)["logins"]["by_grant"] == {grant: 1}


async def test_a_record_from_create_to_delete(services: Services, http: requests.Session) -> None:
    """Create, read, update, upsert, describe, a query with a condition, and delete."""

    def talk() -> None:
        client = login.with_password(http)
        made = client.Contact.create({"LastName": "O'Neil", "Email": "o@example.com"})
        assert client.Contact.get(made["id"])["Name"] == "O'Neil"
        assert client.Contact.update(made["id"], {"FirstName": "Jo"}) == 204
        assert client.query(r"SELECT Name FROM Contact WHERE LastName = 'O\'Neil'")["records"][0]["Name"] == "Jo O'Neil"
        assert client.Contact.upsert("Email/o@example.com", {"FirstName": "Al"}) == 200
        assert client.Contact.upsert("Email/n@example.com", {"LastName": "New"}) == 201
        assert client.Contact.get_by_custom_id("Email", "o@example.com")["FirstName"] == "Al"
        assert "Email" in [field["name"] for field in client.Contact.describe()["fields"]]
        assert client.is_sandbox() is False
        assert client.Contact.delete(made["id"]) == 204
        with pytest.raises(SalesforceResourceNotFound):
            client.Contact.get(made["id"])
        assert client.limits()["DailyApiRequests"]["Max"] == 100_000
        assert "Contact" in [one["name"] for one in client.describe()["sobjects"]]

    await asyncio.to_thread(talk)


async def test_a_bulk_job(services: Services, http: requests.Session) -> None:
    """Bulk API v1 in JSON: insert, where one record fails, update, query, and delete."""

    def talk() -> None:
        client = login.with_password(http)
        made = client.bulk.Contact.insert([{"LastName": "One"}, {"LastName": "Two"}, {"FirstName": "None"}])
        assert [one["success"] for one in made] == [True, True, False]
        assert made[2]["errors"][0]["statusCode"] == "REQUIRED_FIELD_MISSING"
        ids = [{"Id": one["id"]} for one in made[:2]]
        changed = client.bulk.Contact.update([{**one, "FirstName": "A"} for one in ids])
        assert [one["created"] for one in changed] == [False, False]
        found = client.bulk.Contact.query("SELECT Id, Name FROM Contact WHERE FirstName = 'A'")
        assert sorted(one["Name"] for one in found) == ["A One", "A Two"]
        assert all(one["success"] for one in client.bulk.Contact.delete(ids))
        assert len(contacts(client)) == 12

    await asyncio.to_thread(talk)


async def test_a_bulk_2_job(services: Services, http: requests.Session) -> None:
    """Bulk API 2.0: insert, its results, a query in pages by the locator, and delete."""
    services.salesforce.behaviour.bulk_page_records = 5

    def talk() -> None:
        client = login.with_password(http)
        records = [{"LastName": "One", "FirstName": "A"}, {"LastName": "", "FirstName": "B"}]
        (told,) = client.bulk2.Contact.insert(records=records, wait=0)
        assert (told["numberRecordsProcessed"], told["numberRecordsFailed"]) == (2, 1)
        assert client.bulk2.Contact.get_successful_records(told["job_id"]).count("\n") == 2
        assert "REQUIRED_FIELD_MISSING" in client.bulk2.Contact.get_failed_records(told["job_id"])
        pages = list(client.bulk2.Contact.query("SELECT Id, Name FROM Contact", wait=0))
        assert [page.count("\n") - 1 for page in pages] == [5, 5, 3]
        made = next(line for line in pages[2].splitlines() if "A One" in line).split(",")[0].strip('"')
        client.bulk2.Contact.delete(records=[{"Id": made}], wait=0)
        assert len(contacts(client)) == 12

    await asyncio.to_thread(talk)


async def test_metadata_calls(services: Services, http: requests.Session) -> None:
    """The metadata API, whose answers are checked against Salesforce's WSDL."""

    def talk() -> None:
        mdapi = login.with_security_token(http).mdapi
        assert "CustomObject" in [one.xmlName for one in mdapi.describe_metadata().metadataObjects]
        query = mdapi._client.get_type("ns0:ListMetadataQuery")(type="CustomObject")
        assert "Contact" in [one.fullName for one in mdapi.list_metadata([query])]
        assert mdapi.CustomObject.read(["Contact"]).fullName == "Contact"
        mdapi.CustomObject.delete(["Old__c"])
        mdapi._client.transport.session.close()

    await asyncio.to_thread(talk)


async def test_a_session_that_ended_is_opened_again(services: Services, http: requests.Session) -> None:
    """By itself the client logs in again on REST's 401, and only there: Bulk and metadata calls fail."""
    simulator = services.salesforce

    def talk() -> None:
        client = login.with_password(http)
        simulator.sessions.end_all()
        assert len(contacts(client)) == 12
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
            contacts(client)

    await asyncio.to_thread(talk)
