"""The simulated Salesforce's REST API, through real sockets."""

from __future__ import annotations

from typing import Any

import pytest
from aiohttp import ClientSession

from gateway.demo.services import Services
from tests.demo.salesforce_client import PASSWORD, log_in

DATA = "/services/data/v62.0"


@pytest.fixture
async def session(services: Services, client: ClientSession) -> dict[str, str]:
    """The header of a good session."""
    _, answer = await log_in(client, services, PASSWORD)
    return {"Authorization": f"Bearer {answer['access_token']}"}


async def test_a_query_is_told_page_by_page(services: Services, client: ClientSession, session: dict[str, str]) -> None:
    """Following nextRecordsUrl gives every record once, and each page tells the calls used today."""
    base, used, names = services.addresses["salesforce"], [], []
    path: str | None = f"{DATA}/query?q=SELECT+Id,+Name+FROM+Contact"
    while path:
        async with client.get(base + path, headers=session) as response:
            page: dict[str, Any] = await response.json()
            used.append(response.headers["Sforce-Limit-Info"])
        names += [record["Name"] for record in page["records"]]
        path = page.get("nextRecordsUrl")
        assert page["done"] == (path is None)
    assert len(set(names)) == len(names) == page["totalSize"] == 12
    assert used == ["api-usage=1/100000", "api-usage=2/100000", "api-usage=3/100000"]


@pytest.mark.parametrize(("query", "code"), [("SELECT", "MALFORMED_QUERY"), ("SELECT+Id+FROM+Nothing", "INVALID_TYPE")])
async def test_a_wrong_query_is_refused(
    services: Services, client: ClientSession, session: dict[str, str], query: str, code: str
) -> None:
    """A query that makes no sense is a 400 in Salesforce's form."""
    url = f"{services.addresses['salesforce']}{DATA}/query?q={query}"
    async with client.get(url, headers=session) as response:
        assert (response.status, (await response.json())[0]["errorCode"]) == (400, code)


async def test_a_record_lives_from_create_to_delete(
    services: Services, client: ClientSession, session: dict[str, str]
) -> None:
    """A record can be created, read, changed and deleted; its id cannot be changed."""
    base = f"{services.addresses['salesforce']}{DATA}/sobjects/Case"
    async with client.post(base, json={"Subject": "a"}, headers=session) as response:
        created = await response.json()
        assert (response.status, created["success"]) == (201, True)
    one = f"{base}/{created['id']}"
    async with client.patch(one, json={"Subject": "b", "Id": "x"}, headers=session) as response:
        assert response.status == 204
    async with client.get(one, headers=session) as response:
        found = await response.json()
        assert (found["Subject"], found["Id"], found["attributes"]["type"]) == ("b", created["id"], "Case")
    async with client.delete(one, headers=session) as response:
        assert response.status == 204
    async with client.get(one, headers=session) as response:
        assert (response.status, (await response.json())[0]["errorCode"]) == (404, "NOT_FOUND")


@pytest.mark.parametrize("body", [b"", b"[1]", b"{"])
async def test_a_body_that_is_no_object_is_refused(
    services: Services, client: ClientSession, session: dict[str, str], body: bytes
) -> None:
    """Anything but a JSON object is a 400 in Salesforce's form."""
    async with client.post(
        f"{services.addresses['salesforce']}{DATA}/sobjects/Case", data=body, headers=session
    ) as response:
        assert (response.status, (await response.json())[0]["errorCode"]) == (400, "JSON_PARSER_ERROR")


async def test_an_ended_session_is_told_as_rest_tells_it(
    services: Services, client: ClientSession, session: dict[str, str]
) -> None:
    """A session that was ended gives 401 INVALID_SESSION_ID, and a new login works again with another token."""
    base = services.addresses["salesforce"]
    async with client.post(f"{base}/_simulator/end-sessions") as response:
        assert response.status == 204
    async with client.get(f"{base}{DATA}/sobjects/Contact/x", headers=session) as response:
        assert response.status == 401
        assert await response.json() == [{"message": "Session expired or invalid", "errorCode": "INVALID_SESSION_ID"}]


async def test_long_running_calls_are_reported_by_themselves(
    services: Services, client: ClientSession, session: dict[str, str]
) -> None:
    """Calls to either Bulk API are a class of their own, also those that are refused, and so are logins."""
    base = services.addresses["salesforce"]
    for path in (f"{DATA}/jobs/query/x", f"{DATA}/jobs/ingest", "/services/async/62.0/job/x", f"{DATA}/jobsearch"):
        async with client.get(base + path, headers=session):
            pass
    classes = services.salesforce.report(60)["classes"]
    assert {name: seen["calls"] for name, seen in classes.items()} == {"default": 1, "login": 1, "long_running": 3}
