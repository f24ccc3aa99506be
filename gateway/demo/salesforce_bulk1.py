"""The simulated Bulk API v1: jobs of batches, in XML or in JSON.

The one idea: a job speaks the language of its content. A JSON job is told in JSON, a CSV or XML one in XML, and only
the records that a CSV job brings back are CSV. Source: Salesforce, Bulk API developer guide.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from aiohttp import web

from gateway.clock import Clock
from gateway.demo.accounts import SALESFORCE
from gateway.demo.behaviour import SalesforceBehaviour
from gateway.demo.salesforce_jobs import QUERIES, Job, Outcome, change
from gateway.demo.salesforce_records import Record, Records
from gateway.demo.salesforce_wire import (
    SalesforceError,
    element,
    elements,
    read_csv,
    read_json,
    stamp,
    tag,
    write_csv,
    xml,
)
from gateway.demo.soql import parse

_NAMESPACE: Final = 'xmlns="http://www.force.com/2009/06/asyncapi/dataload"'
_RESULT_COLUMNS: Final = ("Id", "Success", "Created", "Error")


@dataclass(slots=True)
class Batch:
    """What was brought at once, and what came of it; `error` when it made no sense."""

    request: bytes
    created_at: str
    done_at: float
    id: str = field(default_factory=lambda: f"751{secrets.token_hex(6)}")
    result: str = field(default_factory=lambda: f"752{secrets.token_hex(6)}")
    error: str = ""
    outcomes: list[Outcome] = field(default_factory=list)
    rows: list[Record] = field(default_factory=list)


def speaks_json(request: web.Request) -> bool:
    """Whether a caller of the Bulk API speaks JSON."""
    return "json" in request.headers.get("Content-Type", "") + request.headers.get("Accept", "")


def refused(request: web.Request, code: str, message: str, status: int = 400) -> web.Response:
    """Return how the Bulk API refuses, in the language of the caller."""
    told = {"exceptionCode": code, "exceptionMessage": message}
    if speaks_json(request):
        return web.json_response(told, status=status)
    return xml(tag(f"error {_NAMESPACE}", told), status, "application/xml")


class Bulk1:
    """Every job of the Bulk API v1. `behaviour` is asked when it matters."""

    def __init__(self, clock: Clock, records: Records, behaviour: Callable[[], SalesforceBehaviour]) -> None:
        self._clock = clock
        self._records = records
        self._behaviour = behaviour
        self._jobs: dict[str, tuple[Job, dict[str, Batch]]] = {}

    def routes(self) -> list[web.RouteDef]:
        """Return its routes."""
        jobs = r"/services/async/{version:\d+\.\d}/job"
        batch = jobs + "/{id}/batch/{batch}"
        return [
            web.post(jobs, self._create),
            web.get(jobs + "/{id}", self._state),
            web.post(jobs + "/{id}", self._move),
            web.post(jobs + "/{id}/batch", self._receive),
            web.get(jobs + "/{id}/batch", self._list),
            web.get(batch, self._batch_state),
            web.get(batch + "/request", self._request),
            web.get(batch + "/result", self._outcomes),
            web.get(batch + "/result/{result}", self._rows),
        ]

    async def _create(self, request: web.Request) -> web.Response:
        asked = _read(request, await request.read(), ("operation", "object", "contentType", "externalIdFieldName"))
        job = Job(
            asked["operation"],
            asked["object"],
            asked["contentType"] or "XML",
            stamp(self._clock),
            float(request.match_info["version"]),
            external_id=asked["externalIdFieldName"],
        )
        self._jobs[job.id] = (job, {})
        return self._job_info(job, 201)

    async def _state(self, request: web.Request) -> web.Response:
        return self._job_info(self._find(request)[0])

    async def _move(self, request: web.Request) -> web.Response:
        job, _ = self._find(request)
        state = _read(request, await request.read(), ("state",))["state"]
        if state not in ("Closed", "Aborted"):
            raise SalesforceError(400, "InvalidJobState", f"The job cannot become {state!r}")
        job.done_at, job.aborted = self._clock.monotonic(), state == "Aborted"
        return self._job_info(job)

    async def _receive(self, request: web.Request) -> web.Response:
        job, batches = self._find(request)
        if job.done_at is not None:
            raise SalesforceError(400, "InvalidJobState", "The job is closed")
        body = await request.read()
        batch = Batch(body, stamp(self._clock), self._clock.monotonic() + self._behaviour().job_seconds)
        try:
            if job.operation in QUERIES:
                batch.rows = parse(body.decode("utf-8", "replace")).run(self._records)
            else:
                batch.outcomes = change(self._records, job, _rows_of(job, body))
        except SalesforceError as broken:
            batch.error = f"InvalidBatch : {broken.code}: {broken.message}"
        batches[batch.id] = batch
        return _told(job, "batchInfo", self._batch_info(job, batch), 201)

    async def _list(self, request: web.Request) -> web.Response:
        job, batches = self._find(request)
        infos = [self._batch_info(job, batch) for batch in batches.values()]
        return _told(job, "batchInfoList", {"batchInfo": infos})

    async def _batch_state(self, request: web.Request) -> web.Response:
        job, batch = self._find_batch(request)
        return _told(job, "batchInfo", self._batch_info(job, batch))

    async def _request(self, request: web.Request) -> web.Response:
        job, batch = self._find_batch(request)
        return web.Response(body=batch.request, content_type=_content_type(job))

    async def _outcomes(self, request: web.Request) -> web.Response:
        job, batch = self._find_batch(request)
        if not self._done(batch):
            raise SalesforceError(400, "InvalidBatch", "The batch is not completed")
        if job.operation in QUERIES:
            if job.content_type == "JSON":
                return web.json_response([batch.result])
            return _told(job, "result-list", {"result": batch.result})
        if job.content_type == "CSV":
            rows = [dict(zip(_RESULT_COLUMNS, _result(outcome), strict=True)) for outcome in batch.outcomes]
            return web.Response(text=write_csv(_RESULT_COLUMNS, rows), content_type="text/csv", charset="utf-8")
        results = [_result_object(outcome) for outcome in batch.outcomes]
        return web.json_response(results) if job.content_type == "JSON" else _told(job, "results", {"result": results})

    async def _rows(self, request: web.Request) -> web.Response:
        job, batch = self._find_batch(request)
        if request.match_info["result"] != batch.result:
            raise SalesforceError(400, "InvalidBatch", "There is no such result")
        if job.content_type == "JSON":
            return web.json_response([{"attributes": {"type": job.object}, **row} for row in batch.rows])
        if job.content_type == "XML":
            return _told(job, "queryResult", {"records": batch.rows})
        columns = list(batch.rows[0]) if batch.rows else ["Records not found for this query"]
        return web.Response(text=write_csv(columns, batch.rows), content_type="text/csv", charset="utf-8")

    def _find(self, request: web.Request) -> tuple[Job, dict[str, Batch]]:
        if request.match_info["id"] not in self._jobs:
            raise SalesforceError(400, "InvalidJob", "Unable to find object")
        return self._jobs[request.match_info["id"]]

    def _find_batch(self, request: web.Request) -> tuple[Job, Batch]:
        job, batches = self._find(request)
        if request.match_info["batch"] not in batches:
            raise SalesforceError(400, "InvalidBatch", "Unable to find object")
        return job, batches[request.match_info["batch"]]

    def _done(self, batch: Batch) -> bool:
        return self._clock.monotonic() >= batch.done_at

    def _job_info(self, job: Job, status: int = 200) -> web.Response:
        batches = list(self._jobs[job.id][1].values())
        done = [batch for batch in batches if self._done(batch)]
        info = {
            "id": job.id,
            "operation": job.operation,
            "object": job.object,
            "createdById": SALESFORCE.user_id,
            "createdDate": job.created_at,
            "systemModstamp": job.created_at,
            "state": "Aborted" if job.aborted else "Open" if job.done_at is None else "Closed",
            "externalIdFieldName": job.external_id or None,
            "concurrencyMode": "Parallel",
            "contentType": job.content_type,
            "numberBatchesQueued": 0,
            "numberBatchesInProgress": len(batches) - len(done),
            "numberBatchesCompleted": len(done),
            "numberBatchesFailed": 0,
            "numberBatchesTotal": len(batches),
            "numberRecordsProcessed": sum(len(batch.outcomes) + len(batch.rows) for batch in done),
            "numberRetries": 0,
            "apiVersion": job.version,
        }
        return _told(job, "jobInfo", info, status)

    def _batch_info(self, job: Job, batch: Batch) -> dict[str, Any]:
        done = self._done(batch)
        state = "NotProcessed" if job.aborted else "InProgress"
        if done:
            state = "Failed" if batch.error else "Completed"
        return {
            "id": batch.id,
            "jobId": job.id,
            "state": state,
            "stateMessage": batch.error or None,
            "createdDate": batch.created_at,
            "systemModstamp": batch.created_at,
            "numberRecordsProcessed": len(batch.outcomes) + len(batch.rows) if done else 0,
            "numberRecordsFailed": sum(1 for outcome in batch.outcomes if outcome.error) if done else 0,
            "totalProcessingTime": 0,
            "apiActiveProcessingTime": 0,
            "apexProcessingTime": 0,
        }


def _read(request: web.Request, body: bytes, names: tuple[str, ...]) -> dict[str, str]:
    """Return the named values of a `jobInfo`, whichever language it is in; empty for one that is missing."""
    if speaks_json(request):
        asked = read_json(body)
        return {name: str(asked.get(name) or "") for name in names}
    return {name: element(body.decode("utf-8", "replace"), name) for name in names}


def _rows_of(job: Job, body: bytes) -> list[dict[str, Any]]:
    text = body.decode("utf-8", "replace")
    if job.content_type == "CSV":
        return read_csv(text)
    if job.content_type == "XML":
        names = [name for name in dict.fromkeys(_names(text)) if name not in ("sObjects", "sObject")]
        return [{name: element(one, name) for name in names if f"<{name}" in one} for one in elements(text, "sObject")]
    try:
        rows = json.loads(text)
    except ValueError:
        rows = None
    if not isinstance(rows, list):
        raise SalesforceError(400, "InvalidBatch", "Failed to parse JSON")
    return rows


def _names(text: str) -> list[str]:
    return [part.split(">")[0].split()[0] for part in text.split("<")[1:] if part[:1].isalpha()]


def _told(job: Job, name: str, value: Mapping[str, Any], status: int = 200) -> web.Response:
    if job.content_type == "JSON":
        return web.json_response(value, status=status)
    return xml(tag(f"{name} {_NAMESPACE}", value), status, "application/xml")


def _result(outcome: Outcome) -> tuple[str, str, str, str]:
    error = f"{outcome.code}:{outcome.error}:--" if outcome.error else ""
    return outcome.id, str(not outcome.error).lower(), str(outcome.created).lower(), error


def _result_object(outcome: Outcome) -> dict[str, Any]:
    errors = [{"message": outcome.error, "statusCode": outcome.code, "fields": []}] if outcome.error else []
    return {"success": not outcome.error, "created": outcome.created, "id": outcome.id or None, "errors": errors}


def _content_type(job: Job) -> str:
    return {"JSON": "application/json", "CSV": "text/csv"}.get(job.content_type, "application/xml")
