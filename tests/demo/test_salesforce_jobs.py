"""The simulated Bulk APIs, through real sockets."""

from __future__ import annotations

import io
from typing import Any

import pytest
from aiohttp import ClientSession

from gateway.demo.salesforce_wire import element, elements
from gateway.demo.services import Services
from tests.demo.salesforce_client import PASSWORD, log_in

V2, V1 = "/services/data/v62.0/jobs", "/services/async/62.0/job"


class Caller:
    """Calls either API with a good session."""

    def __init__(self, client: ClientSession, base: str, token: str) -> None:
        self._client = client
        self._base = base
        self._headers = {"Authorization": f"Bearer {token}", "X-SFDC-Session": token}

    async def json(self, method: str, path: str, json: Any = None) -> tuple[int, Any]:
        headers = {**self._headers, "Content-Type": "application/json"}
        async with self._client.request(method, self._base + path, json=json, headers=headers) as response:
            return response.status, await response.json()

    async def text(self, method: str, path: str, data: str = "", kind: str = "application/xml") -> tuple[int, str]:
        headers = {**self._headers, "Content-Type": kind}
        body = io.BytesIO(data.encode()) if data else None
        async with self._client.request(method, self._base + path, data=body, headers=headers) as response:
            return response.status, await response.text()


@pytest.fixture
async def caller(services: Services, client: ClientSession) -> Caller:
    """Somebody who has logged in."""
    _, answer = await log_in(client, services, PASSWORD)
    return Caller(client, services.addresses["salesforce"], answer["access_token"])


async def test_a_query_job_is_done_after_its_time(services: Services, caller: Caller) -> None:
    """A query job waits first, has no results then, and has them once it is complete."""
    services.salesforce.behaviour.job_seconds = 3600
    asked = {"operation": "query", "query": "SELECT Id FROM Contact LIMIT 2"}
    _, job = await caller.json("POST", f"{V2}/query", asked)
    assert job["state"] == "UploadComplete"
    status, refused = await caller.json("GET", f"{V2}/query/{job['id']}/results")
    assert (status, refused[0]["errorCode"]) == (400, "INVALIDJOBSTATE")
    services.salesforce.behaviour.job_seconds = 0
    _, job = await caller.json("POST", f"{V2}/query", asked)
    assert (job["state"], job["numberRecordsProcessed"]) == ("JobComplete", 2)
    assert await caller.text("GET", f"{V2}/query/{job['id']}/results") == (
        200,
        '"Id"\n"003000000000001"\n"003000000000002"\n',
    )


async def test_an_ingest_job_takes_data_and_is_closed(caller: Caller) -> None:
    """An ingest job is open until its upload is complete, takes megabytes, and tells what became of each record."""
    asked = {"operation": "insert", "object": "Contact", "columnDelimiter": "SEMICOLON"}
    _, job = await caller.json("POST", f"{V2}/ingest", asked)
    assert (job["state"], job["object"]) == ("Open", "Contact")
    rows = "".join(f"Name {n};{'x' * 1000}\n" for n in range(2000)) + ";nobody\n"
    status, _ = await caller.text("PUT", f"/{job['contentUrl']}", f"LastName;Note\n{rows}", "text/csv")
    assert status == 201
    one = f"{V2}/ingest/{job['id']}"
    _, job = await caller.json("PATCH", one, {"state": "UploadComplete"})
    assert job["state"] == "JobComplete"
    _, job = await caller.json("GET", one)
    assert (job["numberRecordsProcessed"], job["numberRecordsFailed"]) == (2001, 1)
    _, failed = await caller.text("GET", f"{one}/failedResults")
    assert failed.splitlines()[1].startswith('"";"REQUIRED_FIELD_MISSING:')
    assert (await caller.text("GET", f"{one}/unprocessedRecords"))[1] == '"LastName";"Note"\n'
    assert (await caller.json("PATCH", one, {"state": "UploadComplete"}))[0] == 400
    assert (await caller.text("PUT", f"{one}/batches", "LastName\nX\n", "text/csv"))[0] == 400
    assert (await caller.text("DELETE", one))[0] == 204
    assert (await caller.json("GET", one))[0] == 404


async def test_data_that_is_none_fails_the_job(caller: Caller) -> None:
    """An upload is taken whatever it holds; the job tells that it failed, and why."""
    _, job = await caller.json("POST", f"{V2}/ingest", {"operation": "insert", "object": "Contact"})
    assert (await caller.text("PUT", f"/{job['contentUrl']}", "x" * (2 << 20), "text/csv"))[0] == 201
    _, job = await caller.json("PATCH", f"{V2}/ingest/{job['id']}", {"state": "UploadComplete"})
    assert (job["state"], job["errorMessage"].split(" : ")[0]) == ("Failed", "InvalidBatch")


async def test_an_aborted_job_stays_so(caller: Caller) -> None:
    """A job can be given up before its data is complete, and takes none afterwards."""
    _, job = await caller.json("POST", f"{V2}/ingest", {"operation": "delete", "object": "Contact"})
    _, job = await caller.json("PATCH", f"{V2}/ingest/{job['id']}", {"state": "Aborted"})
    assert job["state"] == "Aborted"
    assert (await caller.text("PUT", f"/{job['contentUrl']}", "Id\n1\n", "text/csv"))[0] == 400


@pytest.mark.parametrize(
    ("kind", "asked", "code"),
    [
        ("query", {"operation": "query", "query": "SELECT"}, "MALFORMED_QUERY"),
        ("query", {"operation": "insert", "object": "Contact"}, "INVALIDOPERATION"),
        ("ingest", {"operation": "query", "query": "SELECT Id FROM Contact"}, "INVALIDOPERATION"),
        ("ingest", {"operation": "merge", "object": "Contact"}, "INVALIDOPERATION"),
    ],
)
async def test_a_job_that_makes_no_sense_is_refused(caller: Caller, kind: str, asked: Any, code: str) -> None:
    """What cannot be done is a 400 in Salesforce's form."""
    status, refused = await caller.json("POST", f"{V2}/{kind}", asked)
    assert (status, refused[0]["errorCode"]) == (400, code)


async def test_a_job_that_is_not_there(caller: Caller) -> None:
    """An unknown job is a 404 in Bulk API 2.0, and a 400 in the caller's language in the old one."""
    status, refused = await caller.json("GET", f"{V2}/query/750")
    assert (status, refused[0]["errorCode"]) == (404, "NOT_FOUND")
    status, text = await caller.text("GET", f"{V1}/750")
    assert (status, element(text, "exceptionCode")) == (400, "InvalidJob")
    assert (await caller.json("GET", f"{V1}/750"))[1]["exceptionCode"] == "InvalidJob"


def job_info(**values: str) -> str:
    inner = "".join(f"<{name}>{value}</{name}>" for name, value in values.items())
    return f'<jobInfo xmlns="http://www.force.com/2009/06/asyncapi/dataload">{inner}</jobInfo>'


@pytest.mark.parametrize(
    ("content", "body"),
    [
        ("CSV", "LastName,Email\nOne,a@example.com\n,b@example.com\n"),
        (
            "XML",
            "<sObjects><sObject><LastName>One</LastName><Email>a@example.com</Email></sObject>"
            "<sObject><Email>b@example.com</Email></sObject></sObjects>",
        ),
    ],
)
async def test_a_bulk_v1_job_in_xml(services: Services, caller: Caller, content: str, body: str) -> None:
    """A job from open to closed: its batch is in progress, then completed, with a result for each record."""
    services.salesforce.behaviour.job_seconds = 3600
    asked = job_info(operation="insert", object="Contact", contentType=content)
    status, told = await caller.text("POST", V1, asked)
    assert (status, element(told, "state")) == (201, "Open")
    job = f"{V1}/{element(told, 'id')}"
    _, waiting = await caller.text("POST", f"{job}/batch", body)
    assert element(waiting, "state") == "InProgress"
    assert (await caller.text("GET", f"{job}/batch/{element(waiting, 'id')}/result"))[0] == 400
    services.salesforce.behaviour.job_seconds = 0
    _, told = await caller.text("POST", f"{job}/batch", body)
    batch = f"{job}/batch/{element(told, 'id')}"
    _, told = await caller.text("GET", batch)
    assert (element(told, "state"), element(told, "numberRecordsFailed")) == ("Completed", "1")
    _, result = await caller.text("GET", f"{batch}/result")
    assert "REQUIRED_FIELD_MISSING" in result
    assert (await caller.text("GET", f"{batch}/request"))[1] == body
    assert len(elements((await caller.text("GET", f"{job}/batch"))[1], "batchInfo")) == 2
    _, told = await caller.text("POST", job, job_info(state="Closed"))
    assert (element(told, "state"), element(told, "numberBatchesCompleted")) == ("Closed", "1")
    assert (await caller.text("POST", f"{job}/batch", body))[0] == 400


@pytest.mark.parametrize(("content", "found"), [("CSV", '"Ada Lovelace"'), ("XML", "<Name>Ada Lovelace</Name>")])
async def test_a_bulk_v1_query_in_xml(caller: Caller, content: str, found: str) -> None:
    """A query's batch names its results in a list, and each is fetched by itself, in the content's language."""
    _, told = await caller.text("POST", V1, job_info(operation="query", object="Contact", contentType=content))
    job = f"{V1}/{element(told, 'id')}"
    _, told = await caller.text("POST", f"{job}/batch", "SELECT Id, Name FROM Contact", "text/csv")
    result = f"{job}/batch/{element(told, 'id')}/result"
    _, listed = await caller.text("GET", result)
    assert found in (await caller.text("GET", f"{result}/{element(listed, 'result')}"))[1]
    assert (await caller.text("GET", f"{result}/752"))[0] == 400


async def test_a_bulk_v1_query_that_makes_no_sense_fails_its_batch(caller: Caller) -> None:
    """The batch is taken, and tells in its state what was wrong."""
    _, job = await caller.json("POST", V1, {"operation": "query", "object": "Contact", "contentType": "JSON"})
    _, batch = await caller.text("POST", f"{V1}/{job['id']}/batch", "SELECT", "application/json")
    assert '"state": "Failed"' in batch
    assert "InvalidBatch : MALFORMED_QUERY" in batch
