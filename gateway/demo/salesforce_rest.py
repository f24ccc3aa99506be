"""The simulated Salesforce's REST API: what each of its resources answers, without any HTTP.

The one idea: a call is a method, a path, a query and a body, and its answer a status and a body, so that a composite
request answers its parts by the very function that answers calls. Source: Salesforce, REST API developer guide.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable
from typing import Final

from gateway.demo.accounts import SALESFORCE
from gateway.demo.salesforce_composite import Composite
from gateway.demo.salesforce_records import PREFIXES, Record, Records
from gateway.demo.salesforce_wire import Answer, Call, SalesforceError, not_found
from gateway.demo.soql import parse

VERSIONS: Final = ("59.0", "60.0", "61.0", "62.0", "63.0", "64.0", "65.0")
ROOT: Final = "/services/data"
_CURSORS: Final = 1000  # open queries; the oldest is forgotten


class Rest:
    """The REST API on some records.

    `page` and `usage` tell how many records a page holds, and the daily calls: allowed, and left.
    """

    def __init__(self, records: Records, page: Callable[[], int], usage: Callable[[], tuple[int, int]]) -> None:
        self._records = records
        self._page = page
        self._usage = usage
        self._cursors: dict[str, tuple[str, list[Record]]] = {}
        one, field = r"/sobjects/(?P<kind>\w+)/(?P<id>[^/]+)", r"/sobjects/(?P<kind>\w+)/(?P<field>\w+)/(?P<id>[^/]+)"
        resources: list[tuple[str, str, Callable[..., Answer]]] = [
            ("GET", "", self._resources),
            ("GET", "/limits", self._limits),
            ("GET", "/query(?:All)?", self._query),
            ("GET", r"/query(?:All)?/(?P<locator>[\w-]+)", self._next_page),
            ("GET", "/sobjects", self._describe_all),
            ("GET", r"/sobjects/(?P<kind>\w+)", self._basic),
            ("GET", r"/sobjects/(?P<kind>\w+)/describe", self._describe),
            ("POST", r"/sobjects/(?P<kind>\w+)", self._create),
            ("GET", one, self._read),
            ("PATCH", one, self._update),
            ("DELETE", one, self._delete),
            ("GET", field, self._read),
            ("PATCH", field, self._upsert),
            ("DELETE", field, self._delete),
            *Composite(self.call, records).routes(),
        ]
        self._routes = [(method, re.compile(path, re.IGNORECASE), answer) for method, path, answer in resources]

    def call(self, call: Call) -> Answer:
        """Answer a call; what is refused is an answer as well."""
        version, _, rest = call.path.strip("/").partition("/")
        if not version:
            return Answer(200, [{"label": v, "url": f"{ROOT}/v{v}", "version": v} for v in VERSIONS])
        path, known = f"/{rest}" if rest else "", False
        try:
            for method, pattern, answer in self._routes:
                found = pattern.fullmatch(path)
                if found is not None and method == call.method:
                    return answer(call, **found.groupdict())
                known = known or found is not None
            if known:
                raise SalesforceError(405, "METHOD_NOT_ALLOWED", f"HTTP Method '{call.method}' not allowed.")
            raise not_found()
        except SalesforceError as refused:
            return Answer(refused.status, refused.told())

    def _resources(self, call: Call) -> Answer:
        base = f"{ROOT}/{call.path.strip('/')}"
        names = ("limits", "query", "queryAll", "sobjects", "composite", "jobs")
        identity = f"{call.origin}/id/{SALESFORCE.organization_id}/{SALESFORCE.user_id}"
        return Answer(200, {"identity": identity, **{name: f"{base}/{name}" for name in names}})

    def _limits(self, _: Call) -> Answer:
        allowed, left = self._usage()
        return Answer(200, {"DailyApiRequests": {"Max": allowed, "Remaining": left}})

    def _query(self, call: Call) -> Answer:
        query = parse(call.query.get("q", ""))
        rows = query.run(self._records)
        if query.count:
            return Answer(200, {"totalSize": len(rows), "done": True, "records": []})
        cursor = f"01g{secrets.token_hex(7)}"
        if len(rows) > self._page():
            self._cursors[cursor] = (query.kind, rows)
            if len(self._cursors) > _CURSORS:
                del self._cursors[next(iter(self._cursors))]
        return self._told(call, query.kind, rows, cursor, 0)

    def _next_page(self, call: Call, locator: str) -> Answer:
        cursor, _, start = locator.partition("-")
        if cursor not in self._cursors or not start.isdecimal():
            raise SalesforceError(400, "INVALID_QUERY_LOCATOR", "invalid query locator")
        kind, rows = self._cursors[cursor]
        return self._told(call, kind, rows, cursor, int(start))

    def _told(self, call: Call, kind: str, rows: list[Record], cursor: str, start: int) -> Answer:
        version, end = call.path.strip("/").partition("/")[0], start + self._page()
        page: Record = {
            "totalSize": len(rows),
            "done": end >= len(rows),
            "records": [_with_attributes(version, kind, row) for row in rows[start:end]],
        }
        if end < len(rows):
            page["nextRecordsUrl"] = f"{ROOT}/{version}/query/{cursor}-{end}"
        return Answer(200, page)

    def _describe_all(self, _: Call) -> Answer:
        told = [{"name": kind, "label": kind, "keyPrefix": PREFIXES.get(kind)} for kind in self._records.kinds()]
        return Answer(200, {"encoding": "UTF-8", "maxBatchSize": 200, "sobjects": told})

    def _basic(self, _: Call, kind: str) -> Answer:
        recent = self._records.all(kind)[-5:]
        return Answer(200, {"objectDescribe": {"name": kind, "label": kind}, "recentItems": recent})

    def _describe(self, _: Call, kind: str) -> Answer:
        fields = [{"name": name, "label": name, "type": "string"} for name in self._records.fields(kind)]
        return Answer(200, {"name": kind, "label": kind, "fields": fields, "childRelationships": []})

    def _create(self, call: Call, kind: str) -> Answer:
        return Answer(201, {"id": self._records.create(kind, call.body), "success": True, "errors": []})

    def _read(self, call: Call, kind: str, id: str, field: str = "Id") -> Answer:
        row = self._records.read(kind, id, field)
        asked = call.query.get("fields")
        chosen = {name: row.get(name) for name in ("Id", *asked.split(","))} if asked else row
        return Answer(200, _with_attributes(call.path.strip("/").partition("/")[0], kind, chosen))

    def _update(self, call: Call, kind: str, id: str) -> Answer:
        self._records.update(kind, id, call.body)
        return Answer(204)

    def _upsert(self, call: Call, kind: str, id: str, field: str) -> Answer:
        identity, created = self._records.upsert(kind, field, id, call.body)
        told = {"id": identity, "success": True, "errors": [], "created": created}
        return Answer(201 if created else 200, told)

    def _delete(self, _: Call, kind: str, id: str, field: str = "Id") -> Answer:
        self._records.delete(kind, self._records.read(kind, id, field)["Id"])
        return Answer(204)


def _with_attributes(version: str, kind: str, row: Record) -> Record:
    return {"attributes": {"type": kind, "url": f"{ROOT}/{version}/sobjects/{kind}/{row['Id']}"}, **row}
