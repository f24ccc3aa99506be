"""The simulated Bulk API 2.0: JSON jobs whose data goes up and comes back as CSV.

The one idea: a job's results come in pages that `Sforce-Locator` strings together, and the last one says `null`.
Source: Salesforce, Bulk API 2.0 developer guide.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from aiohttp import web

from gateway.clock import Clock
from gateway.demo.accounts import SALESFORCE
from gateway.demo.behaviour import SalesforceBehaviour
from gateway.demo.salesforce_jobs import QUERIES, Job, change
from gateway.demo.salesforce_records import Records
from gateway.demo.salesforce_wire import SalesforceError, not_found, read_csv, read_json, stamp, write_csv
from gateway.demo.soql import parse

_DELIMITERS: Final = {"BACKQUOTE": "`", "CARET": "^", "COMMA": ",", "PIPE": "|", "SEMICOLON": ";", "TAB": "\t"}
_STATES: Final = {"UploadComplete", "Aborted"}


class Bulk2:
    """Every job of Bulk API 2.0. `behaviour` is asked when it matters."""

    def __init__(self, clock: Clock, records: Records, behaviour: Callable[[], SalesforceBehaviour]) -> None:
        self._clock = clock
        self._records = records
        self._behaviour = behaviour
        self._jobs: dict[str, Job] = {}

    def routes(self) -> list[web.RouteDef]:
        """Return its routes."""
        jobs = r"/services/data/v{version:\d+\.\d}/jobs"
        both, ingest = jobs + "/{kind:ingest|query}", jobs + "/{kind:ingest}"
        return [
            web.post(both, self._create),
            web.get(both + "/{id}", self._state),
            web.patch(both + "/{id}", self._move),
            web.delete(both + "/{id}", self._delete),
            web.put(ingest + "/{id}/batches", self._receive),
            web.get(ingest + "/{id}/{which:(?i:successfulResults|failedResults|unprocessedrecords)}", self._outcomes),
            web.get(jobs + "/{kind:query}/{id}/results", self._results),
        ]

    async def _create(self, request: web.Request) -> web.Response:
        asked = read_json(await request.read())
        query = str(asked.get("query", ""))
        operation = str(asked.get("operation", "query"))
        if (operation in QUERIES) != (request.match_info["kind"] == "query"):
            raise SalesforceError(400, "INVALIDOPERATION", f"The operation {operation!r} is none of this resource")
        job = Job(
            operation,
            parse(query).kind if query else str(asked.get("object", "")),
            "CSV",
            stamp(self._clock),
            float(request.match_info["version"]),
            external_id=str(asked.get("externalIdFieldName") or ""),
            delimiter=_DELIMITERS.get(asked.get("columnDelimiter") or "COMMA", ","),
            query=query,
        )
        if query:
            job.rows = parse(query).run(self._records)
            self._complete(job)
        self._jobs[job.id] = job
        return web.json_response(self._told(job))

    async def _state(self, request: web.Request) -> web.Response:
        return web.json_response(self._told(self._find(request)))

    async def _move(self, request: web.Request) -> web.Response:
        job, state = self._find(request), read_json(await request.read()).get("state")
        if state not in _STATES or job.aborted or (job.done_at is not None and state == "UploadComplete"):
            raise SalesforceError(400, "INVALIDJOBSTATE", f"The job cannot become {state!r}")
        if state == "Aborted":
            job.aborted = True
        else:
            self._complete(job)
        return web.json_response(self._told(job))

    async def _delete(self, request: web.Request) -> web.Response:
        del self._jobs[self._find(request).id]
        return web.Response(status=204)

    async def _receive(self, request: web.Request) -> web.Response:
        job = self._find(request)
        if job.done_at is not None or job.aborted:
            raise SalesforceError(400, "INVALIDJOBSTATE", "The job takes no data any more")
        text = (await request.read()).decode("utf-8", "replace")
        try:
            job.outcomes += change(self._records, job, read_csv(text, job.delimiter))
        except SalesforceError as broken:
            job.error = f"{broken.code} : {broken.message}"
        return web.Response(status=201)

    async def _outcomes(self, request: web.Request) -> web.Response:
        job, which = self._done_job(request), request.match_info["which"].lower()
        given = list(dict.fromkeys(name for outcome in job.outcomes for name in outcome.record))
        if which == "successfulresults":
            rows = [{"sf__Id": o.id, "sf__Created": str(o.created).lower(), **o.record} for o in job.outcomes if o.id]
            return _csv(["sf__Id", "sf__Created", *given], rows, job.delimiter)
        if which == "failedresults":
            rows = [{"sf__Id": "", "sf__Error": f"{o.code}:{o.error}", **o.record} for o in job.outcomes if o.error]
            return _csv(["sf__Id", "sf__Error", *given], rows, job.delimiter)
        return _csv(given, [], job.delimiter)

    async def _results(self, request: web.Request) -> web.Response:
        job = self._done_job(request)
        start, most = request.query.get("locator", "0"), request.query.get("maxRecords", "50000")
        if not (start.isdecimal() and most.isdecimal() and int(most)):
            raise SalesforceError(400, "INVALID_QUERY_LOCATOR", "invalid locator or maxRecords")
        end = int(start) + min(int(most), self._behaviour().bulk_page_records)
        rows = job.rows[int(start) : end]
        answer = _csv(list(job.rows[0]) if job.rows else list(parse(job.query).fields), rows, job.delimiter)
        answer.headers["Sforce-Locator"] = str(end) if end < len(job.rows) else "null"
        answer.headers["Sforce-NumberOfRecords"] = str(len(rows))
        return answer

    def _complete(self, job: Job) -> None:
        job.done_at = self._clock.monotonic() + self._behaviour().job_seconds

    def _find(self, request: web.Request) -> Job:
        job = self._jobs.get(request.match_info["id"])
        if job is None or (job.operation in QUERIES) != (request.match_info["kind"] == "query"):
            raise not_found()
        return job

    def _done_job(self, request: web.Request) -> Job:
        job = self._find(request)
        if not job.done(self._clock):
            raise SalesforceError(400, "INVALIDJOBSTATE", "The job is not complete")
        return job

    def _told(self, job: Job) -> dict[str, Any]:
        done, query = job.done(self._clock), job.operation in QUERIES
        state = "UploadComplete" if job.done_at is not None else "Open"
        if done:
            state = "Failed" if job.error else "JobComplete"
        told = {
            "id": job.id,
            "operation": job.operation,
            "object": job.object,
            "createdById": SALESFORCE.user_id,
            "createdDate": job.created_at,
            "systemModstamp": job.created_at,
            "state": "Aborted" if job.aborted else state,
            "concurrencyMode": "Parallel",
            "contentType": job.content_type,
            "apiVersion": job.version,
            "jobType": "V2Query" if query else "V2Ingest",
            "lineEnding": "LF",
            "columnDelimiter": next(name for name, char in _DELIMITERS.items() if char == job.delimiter),
            "numberRecordsProcessed": len(job.rows if query else job.outcomes) if done else 0,
            "retries": 0,
            "totalProcessingTime": 0,
        }
        if query:
            return told
        url = f"services/data/v{job.version}/jobs/ingest/{job.id}/batches"
        failed = {"errorMessage": job.error} if job.error else {}
        return told | failed | {"contentUrl": url, "numberRecordsFailed": job.failed if done else 0}


def _csv(columns: list[str], rows: list[dict[str, Any]], delimiter: str) -> web.Response:
    return web.Response(text=write_csv(columns, rows, delimiter), content_type="text/csv", charset="utf-8")
