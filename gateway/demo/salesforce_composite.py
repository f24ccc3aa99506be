"""The simulated Salesforce's composite resources: several calls in one, and several records in one call.

The one idea: a part is answered by the function that answers the calls that come alone, and the whole is one call to
the daily limit. Source: Salesforce, REST API developer guide, "Composite resources".
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import parse_qsl, unquote, urlsplit

from gateway.demo.salesforce_records import Records
from gateway.demo.salesforce_wire import Answer, Call, SalesforceError

_PARTS: Final = 25
_RECORDS: Final = 200
_REFERENCE: Final = re.compile(r"@\{(\w+)\.([\w.]+)\}")
_ROOT: Final = "/services/data"


class Composite:
    """Answers the composite resources; `call` answers one part."""

    def __init__(self, call: Callable[[Call], Answer], records: Records) -> None:
        self._call = call
        self._records = records

    def routes(self) -> list[tuple[str, str, Callable[..., Answer]]]:
        """Return method, path and function of each resource."""
        several = "/composite/sobjects"
        return [
            ("POST", "/composite", self._composite),
            ("POST", "/composite/batch", self._batch),
            ("POST", several, self._create),
            ("PATCH", several, self._update),
            ("DELETE", several, self._delete),
            ("PATCH", several + r"/(?P<kind>\w+)/(?P<field>\w+)", self._upsert),
        ]

    def _composite(self, call: Call) -> Answer:
        done: dict[str, Any] = {}
        answers = []
        for part in _within(call.body.get("compositeRequest", []), _PARTS):
            part = json.loads(_resolved(json.dumps(part), done))
            answer = self._part(part["method"], part["url"].removeprefix(_ROOT), part.get("body"))
            done[part["referenceId"]] = answer.body
            answers.append(
                {
                    "body": answer.body,
                    "httpHeaders": {},
                    "httpStatusCode": answer.status,
                    "referenceId": part["referenceId"],
                }
            )
        return Answer(200, {"compositeResponse": answers})

    def _batch(self, call: Call) -> Answer:
        parts = _within(call.body.get("batchRequests", []), _PARTS)
        answers = [self._part(part["method"], "/" + part["url"].lstrip("/"), part.get("richInput")) for part in parts]
        return Answer(
            200,
            {
                "hasErrors": any(answer.status >= 400 for answer in answers),
                "results": [{"statusCode": answer.status, "result": answer.body} for answer in answers],
            },
        )

    def _part(self, method: str, target: str, body: Any) -> Answer:
        url = urlsplit(target)
        return self._call(Call(method, unquote(url.path), dict(parse_qsl(url.query)), body or {}))

    def _create(self, call: Call) -> Answer:
        return self._each(call, lambda one: (self._records.create(_kind(one), one), None))

    def _update(self, call: Call) -> Answer:
        def update(one: dict[str, Any]) -> tuple[str, None]:
            identity = str(one.get("id") or one.get("Id"))
            self._records.update(_kind(one), identity, {name: v for name, v in one.items() if name != "id"})
            return identity, None

        return self._each(call, update)

    def _upsert(self, call: Call, kind: str, field: str) -> Answer:
        return self._each(call, lambda one: self._records.upsert(kind, field, str(one.get(field, "")), one))

    def _delete(self, call: Call) -> Answer:
        def delete(one: dict[str, Any]) -> tuple[str, None]:
            identity = str(one["id"])
            self._records.delete(self._records.kind_of(identity), identity)
            return identity, None

        ids = [{"id": one} for one in call.query.get("ids", "").split(",")]
        return self._each(call._replace(body={"records": ids}), delete)

    def _each(self, call: Call, change: Callable[[dict[str, Any]], tuple[str, bool | None]]) -> Answer:
        results = []
        for one in _within(call.body.get("records", []), _RECORDS):
            try:
                identity, created = change(one)
                known = {} if created is None else {"created": created}
                results.append({"id": identity, "success": True, "errors": [], **known})
            except SalesforceError as refused:
                problem = {"statusCode": refused.code, "message": refused.message, "fields": []}
                results.append({"success": False, "errors": [problem]})
        return Answer(200, results)


def _within(parts: list[Any], most: int) -> list[Any]:
    if len(parts) > most:
        raise SalesforceError(400, "INVALID_BATCH_REQUEST", f"Limit of {most} parts exceeded")
    return parts


def _kind(record: dict[str, Any]) -> str:
    return str(record.get("attributes", {}).get("type", ""))


def _resolved(text: str, done: dict[str, Any]) -> str:
    """Replace `@{reference.field}` by what the part of that name answered."""

    def value(found: re.Match[str]) -> str:
        body = done.get(found[1])
        if not isinstance(body, dict):
            raise SalesforceError(400, "INVALID_REFERENCE", f"Invalid reference specified: {found[1]}")
        for name in found[2].split("."):
            body = body.get(name) if isinstance(body, dict) else None
        return str(body)

    return _REFERENCE.sub(value, text)
