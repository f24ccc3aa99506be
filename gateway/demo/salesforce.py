"""A simulator of Salesforce: REST queries and records, long-running jobs, sessions that end, and the daily usage.

The one idea: it has two kinds of calls, as the gateway's policy has two lanes: `long_running` (both Bulk APIs) and
`default`, each with a latency of its own. Source: Salesforce, REST API developer guide.
"""

from __future__ import annotations

import asyncio
import re
import secrets
from typing import Any, Final

from aiohttp import web
from aiohttp.typedefs import Handler

from gateway.clock import SYSTEM, Clock
from gateway.demo.salesforce_jobs import Jobs
from gateway.demo.salesforce_sessions import Sessions
from gateway.demo.salesforce_wire import error, not_found, read_object
from gateway.demo.simulator import PREFIX, Simulator

TOKEN_ENDPOINT: Final = "/services/oauth2/token"  # noqa: S105 (a path)
_DAILY_CALLS: Final = 100_000
_PAGE: Final = 5  # records
_NAMES: Final = (
    "Ada Lovelace", "Grace Hopper", "Alan Turing", "Edsger Dijkstra", "Barbara Liskov", "Donald Knuth",
    "Radia Perlman", "Leslie Lamport", "Frances Allen", "Tony Hoare", "Karen Spärck Jones", "Jim Gray",
)  # fmt: skip
_FROM: Final = re.compile(r"\bfrom\s+(\w+)", re.IGNORECASE)
_LONG: Final = re.compile(r"/services/(?:data/[^/]+/jobs|async)/")

Record = dict[str, Any]


class Salesforce(Simulator):
    """An organisation with twelve contacts.

    Behaviour, in seconds: `latency` of a call; `long_latency` of a Bulk call; `job_seconds` until a job is done;
    `session_seconds` that a session opened from now on lasts. `POST /_simulator/end-sessions` ends every session.
    """

    def __init__(
        self,
        *,
        clock: Clock = SYSTEM,
        latency: float = 0.05,
        long_latency: float = 0.2,
        job_seconds: float = 1.0,
        session_seconds: float = 7200.0,
    ) -> None:
        super().__init__(
            clock=clock,
            latency=latency,
            long_latency=long_latency,
            job_seconds=job_seconds,
            session_seconds=session_seconds,
        )
        self._sessions = Sessions(clock, session_seconds)
        self._jobs = Jobs(clock, self.behaviour)
        self._used_today = 0
        self._records: dict[str, dict[str, Record]] = {
            "Contact": {f"003{n:012}": {"Id": f"003{n:012}", "Name": name} for n, name in enumerate(_NAMES, 1)}
        }

    def routes(self) -> list[web.RouteDef]:
        data = "/services/data/{version}"
        return [
            web.post(TOKEN_ENDPOINT, self._log_in),
            web.get(data + "/query", self._query),
            web.get(data + r"/query/{type:\w+}-{start:\d+}", self._next_page),
            web.post(data + "/sobjects/{type}", self._create),
            web.get(data + "/sobjects/{type}/{id}", self._read),
            web.patch(data + "/sobjects/{type}/{id}", self._update),
            web.delete(data + "/sobjects/{type}/{id}", self._delete),
            web.post("/services/Soap/u/{version}", self._sessions.soap),
            web.post(f"{PREFIX}/end-sessions", self._end_sessions),
            *self._jobs.routes(),
        ]

    def path_class(self, request: web.Request) -> str:
        return "long_running" if _LONG.match(f"{request.path}/") else "default"

    async def answer(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        long = self.path_class(request) == "long_running"
        await asyncio.sleep(self.behaviour["long_latency" if long else "latency"])
        refusal = self._sessions.refusal(request)
        if refusal is not None:
            return refusal
        answer = await handler(request)
        if request.path.startswith("/services/data/"):
            self._used_today += 1
            answer.headers["Sforce-Limit-Info"] = f"api-usage={self._used_today}/{_DAILY_CALLS}"
        return answer

    def forget(self) -> None:
        self._used_today = 0

    async def _log_in(self, request: web.Request) -> web.Response:
        self._sessions.ttl = self.behaviour["session_seconds"]
        return await self._sessions.log_in(request)

    async def _end_sessions(self, _: web.Request) -> web.Response:
        self._sessions.end_all()
        return web.Response(status=204)

    async def _query(self, request: web.Request) -> web.Response:
        found = _FROM.search(request.query.get("q", ""))
        if found is None:
            return error(400, "MALFORMED_QUERY", "unexpected token: the query names no object")
        return self._page(request, found[1], 0)

    async def _next_page(self, request: web.Request) -> web.Response:
        return self._page(request, request.match_info["type"], int(request.match_info["start"]))

    def _page(self, request: web.Request, kind: str, start: int) -> web.Response:
        if kind not in self._records:
            return error(400, "INVALID_TYPE", f"sObject type '{kind}' is not supported.")
        version = request.match_info["version"]
        rows = list(self._records[kind].values())
        end = start + _PAGE
        page: Record = {
            "totalSize": len(rows),
            "done": end >= len(rows),
            "records": [_told(version, kind, row) for row in rows[start:end]],
        }
        if end < len(rows):
            page["nextRecordsUrl"] = f"/services/data/{version}/query/{kind}-{end}"
        return web.json_response(page)

    async def _create(self, request: web.Request) -> web.Response:
        identity = f"a00{secrets.token_hex(6)}"
        rows = self._records.setdefault(request.match_info["type"], {})
        rows[identity] = {**await read_object(request), "Id": identity}
        return web.json_response({"id": identity, "success": True, "errors": []}, status=201)

    async def _read(self, request: web.Request) -> web.Response:
        row = self._row(request)
        return web.json_response(_told(request.match_info["version"], request.match_info["type"], row))

    async def _update(self, request: web.Request) -> web.Response:
        row = self._row(request)
        row.update({**await read_object(request), "Id": row["Id"]})
        return web.Response(status=204)

    async def _delete(self, request: web.Request) -> web.Response:
        row = self._row(request)
        del self._records[request.match_info["type"]][row["Id"]]
        return web.Response(status=204)

    def _row(self, request: web.Request) -> Record:
        row = self._records.get(request.match_info["type"], {}).get(request.match_info["id"])
        if row is None:
            raise not_found()
        return row


def _told(version: str, kind: str, row: Record) -> Record:
    return {"attributes": {"type": kind, "url": f"/services/data/{version}/sobjects/{kind}/{row['Id']}"}, **row}
