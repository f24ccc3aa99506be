"""The simulated Salesforce's long-running side: Bulk API 2.0 and Bulk API v1 jobs.

The one idea: a job is done `job_seconds` after its data is complete, whoever asks; nothing runs meanwhile. Source:
Salesforce, Bulk API 2.0 and Bulk API developer guide.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import Any
from xml.sax.saxutils import escape

from aiohttp import web

from gateway.clock import Clock
from gateway.demo.salesforce_wire import not_found, read_object, refuse, xml


@dataclass(slots=True)
class Job:
    """A job. `done_at` is set when its data is complete."""

    id: str
    operation: str
    object: str
    received: int = 0
    done_at: float | None = None


class Jobs:
    """Every job of the organisation, of both APIs."""

    def __init__(self, clock: Clock, behaviour: dict[str, float]) -> None:
        self._clock = clock
        self._behaviour = behaviour
        self._jobs: dict[str, Job] = {}

    def routes(self) -> list[web.RouteDef]:
        """Return the routes of both APIs."""
        v2, v1 = "/services/data/{version}/jobs/{kind:ingest|query}", "/services/async/{version}/job"
        return [
            web.post(v2, self._create),
            web.get(v2 + "/{id}", self._state),
            web.patch(v2 + "/{id}", self._close),
            web.put(v2 + "/{id}/batches", self._receive),
            web.get(v2 + "/{id}/{which:results|successfulResults|failedResults}", self._results),
            web.post(v1, self._create_v1),
            web.get(v1 + "/{id}", self._state_v1),
            web.post(v1 + "/{id}", self._close_v1),
            web.post(v1 + "/{id}/batch", self._receive_v1),
        ]

    def _add(self, operation: str, kind: str, complete: bool) -> Job:
        job = Job(f"750{secrets.token_hex(6)}", operation, kind)
        self._jobs[job.id] = job
        if complete:
            self._complete(job)
        return job

    def _complete(self, job: Job) -> None:
        job.done_at = self._clock.monotonic() + self._behaviour["job_seconds"]

    def _find(self, request: web.Request) -> Job:
        job = self._jobs.get(request.match_info["id"])
        if job is None:
            raise not_found()
        return job

    def _done(self, job: Job) -> bool:
        return job.done_at is not None and self._clock.monotonic() >= job.done_at

    def _told(self, job: Job) -> dict[str, Any]:
        state = "Open" if job.done_at is None else "JobComplete" if self._done(job) else "InProgress"
        return {"id": job.id, "operation": job.operation, "object": job.object, "state": state}

    async def _create(self, request: web.Request) -> web.Response:
        asked = await read_object(request)
        query = request.match_info["kind"] == "query"
        job = self._add(str(asked.get("operation", "query")), str(asked.get("object", "")), complete=query)
        content = {} if query else {"contentUrl": f"{request.path.lstrip('/')}/{job.id}/batches"}
        return web.json_response(self._told(job) | content)

    async def _state(self, request: web.Request) -> web.Response:
        return web.json_response(self._told(self._find(request)))

    async def _close(self, request: web.Request) -> web.Response:
        job = self._find(request)
        if (await read_object(request)).get("state") == "UploadComplete":
            self._complete(job)
        return web.json_response(self._told(job))

    async def _receive(self, request: web.Request) -> web.Response:
        job = self._find(request)
        async for chunk in request.content.iter_any():
            job.received += len(chunk)
        return web.Response(status=201)

    async def _results(self, request: web.Request) -> web.Response:
        if not self._done(self._find(request)):
            raise refuse(400, "INVALIDJOBSTATE", "The job is not complete")
        return web.Response(
            text='"Id","Name"\n"003000000000001","Ada Lovelace"\n',
            content_type="text/csv",
            headers={"Sforce-Locator": "null", "Sforce-NumberOfRecords": "1"},
        )

    async def _create_v1(self, _: web.Request) -> web.Response:
        return self._job_info(self._add("query", "Contact", complete=False), status=201)

    async def _state_v1(self, request: web.Request) -> web.Response:
        return self._job_info(self._find(request))

    async def _close_v1(self, request: web.Request) -> web.Response:
        job = self._find(request)
        self._complete(job)
        return self._job_info(job)

    async def _receive_v1(self, request: web.Request) -> web.Response:
        await self._receive(request)
        return self._job_info(self._find(request), status=201)

    def _job_info(self, job: Job, status: int = 200) -> web.Response:
        state = "Open" if job.done_at is None else "Closed"
        return xml(
            '<?xml version="1.0" encoding="UTF-8"?><jobInfo xmlns="http://www.force.com/2009/06/asyncapi/dataload">'
            f"<id>{job.id}</id><operation>{escape(job.operation)}</operation><object>{escape(job.object)}</object>"
            f"<state>{state}</state><numberBatchesCompleted>{int(self._done(job))}</numberBatchesCompleted></jobInfo>",
            status=status,
        )
