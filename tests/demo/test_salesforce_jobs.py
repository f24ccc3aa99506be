"""The simulated Bulk APIs, through real sockets."""

from __future__ import annotations

import io
import re

import pytest
from aiohttp import ClientSession

from gateway.demo.services import Services
from tests.demo.salesforce_client import PASSWORD, log_in

JOBS = "/services/data/v62.0/jobs"


@pytest.fixture
async def token(services: Services, client: ClientSession) -> str:
    """A good session's token."""
    _, answer = await log_in(client, services, PASSWORD)
    return str(answer["access_token"])


async def test_a_query_job_is_done_after_its_time(services: Services, client: ClientSession, token: str) -> None:
    """A query job is in progress first, has no results then, and has them once it is complete."""
    services.salesforce.behaviour["job_seconds"] = 3600
    base, session = services.addresses["salesforce"] + JOBS, {"Authorization": f"Bearer {token}"}
    asked = {"operation": "query", "query": "SELECT Id FROM Contact"}
    async with client.post(f"{base}/query", json=asked, headers=session) as response:
        job = await response.json()
        assert job["state"] == "InProgress"
    async with client.get(f"{base}/query/{job['id']}/results", headers=session) as response:
        assert (response.status, (await response.json())[0]["errorCode"]) == (400, "INVALIDJOBSTATE")
    services.salesforce.behaviour["job_seconds"] = 0
    async with client.post(f"{base}/query", json=asked, headers=session) as response:
        job = await response.json()
    async with client.get(f"{base}/query/{job['id']}/results", headers=session) as response:
        assert (response.status, response.headers["Sforce-Locator"]) == (200, "null")
        assert (await response.text()).startswith('"Id"')


async def test_an_ingest_job_takes_data_and_is_closed(services: Services, client: ClientSession, token: str) -> None:
    """An ingest job is open until its upload is complete, and takes more than a megabyte."""
    base, session = services.addresses["salesforce"], {"Authorization": f"Bearer {token}"}
    asked = {"operation": "insert", "object": "Contact"}
    async with client.post(f"{base}{JOBS}/ingest", json=asked, headers=session) as response:
        job = await response.json()
        assert (job["state"], job["object"]) == ("Open", "Contact")
    async with client.put(
        f"{base}/{job['contentUrl']}", data=io.BytesIO(b"x" * (2 << 20)), headers=session
    ) as response:
        assert response.status == 201
    one = f"{base}{JOBS}/ingest/{job['id']}"
    async with client.patch(one, json={"state": "UploadComplete"}, headers=session) as response:
        assert (await response.json())["state"] == "JobComplete"
    async with client.get(one, headers=session) as response:
        assert (await response.json())["state"] == "JobComplete"


async def test_a_job_that_is_not_there(services: Services, client: ClientSession, token: str) -> None:
    """An unknown job is a 404 in Salesforce's form."""
    url = f"{services.addresses['salesforce']}{JOBS}/query/750"
    async with client.get(url, headers={"Authorization": f"Bearer {token}"}) as response:
        assert (response.status, (await response.json())[0]["errorCode"]) == (404, "NOT_FOUND")


async def test_a_bulk_v1_job_from_open_to_closed(services: Services, client: ClientSession, token: str) -> None:
    """The old Bulk API speaks XML, with the session in a header of its own."""
    base, session = f"{services.addresses['salesforce']}/services/async/62.0/job", {"X-SFDC-Session": token}
    async with client.post(base, data="<jobInfo/>", headers=session) as response:
        told = await response.text()
        assert (response.status, "<state>Open</state>" in told) == (201, True)
    found = re.search("<id>(.*)</id>", told)
    assert found is not None
    async with client.post(f"{base}/{found[1]}/batch", data="Id\n1\n", headers=session) as response:
        assert response.status == 201
    async with client.post(f"{base}/{found[1]}", data="<jobInfo/>", headers=session) as response:
        assert "<state>Closed</state>" in await response.text()
    async with client.get(f"{base}/{found[1]}", headers=session) as response:
        assert "<numberBatchesCompleted>1</numberBatchesCompleted>" in await response.text()
