"""How the simulated Salesforce words its answers: errors in a JSON list, CSV and XML; and how it reads JSON and XML.

The one idea: a failure is one exception with Salesforce's code and text, and each API puts it in its own words.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple
from xml.sax.saxutils import escape, unescape

from aiohttp import web

from gateway.clock import Clock

PREFIX: Final = r"(?:[\w.-]+:)?"
"""A regular expression for the namespace prefix that a client may put before an element's name."""
_QUOTES: Final = {"&quot;": '"', "&apos;": "'"}


class Call(NamedTuple):
    """A call to the REST API; `path` begins with the version, `origin` is the base URL that it came to."""

    method: str
    path: str
    query: Mapping[str, str]
    body: dict[str, Any]
    origin: str = ""


class Answer(NamedTuple):
    """What it is answered."""

    status: int
    body: Any = None


class SalesforceError(Exception):
    """What Salesforce refuses: the status, code and text that the REST API tells it with."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message

    def told(self) -> list[dict[str, str]]:
        """Return it as the REST API's body."""
        return [{"message": self.message, "errorCode": self.code}]


def error(status: int, code: str, message: str) -> web.Response:
    """Return an error of the REST APIs: a list with one entry."""
    return web.json_response([{"message": message, "errorCode": code}], status=status)


def not_found(message: str = "The requested resource does not exist") -> SalesforceError:
    """Return what a record or job that is not there answers, to raise."""
    return SalesforceError(404, "NOT_FOUND", message)


def read_json(body: bytes) -> dict[str, Any]:
    """Return the JSON object that a body holds.

    Raises:
        SalesforceError: when it holds anything else.
    """
    try:
        found = json.loads(body)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise SalesforceError(400, "JSON_PARSER_ERROR", "The body is not a JSON object")
    return found


def stamp(clock: Clock) -> str:
    """Return the time now as Salesforce writes it."""
    return datetime.fromtimestamp(clock.wall(), UTC).strftime("%Y-%m-%dT%H:%M:%S.000+0000")


def read_csv(text: str, delimiter: str = ",") -> list[dict[str, Any]]:
    """Return the rows of a CSV upload; `#N/A` is Salesforce's null.

    Raises:
        SalesforceError: when it is no CSV.
    """
    try:
        rows = list(csv.DictReader(io.StringIO(text), delimiter=delimiter))
    except csv.Error as problem:
        raise SalesforceError(400, "InvalidBatch", f"Failed to parse CSV: {problem}") from None
    return [{name: None if value == "#N/A" else value for name, value in row.items() if name} for row in rows]


def write_csv(columns: Sequence[str], rows: Iterable[Mapping[str, Any]], delimiter: str = ",") -> str:
    """Return rows as Salesforce writes CSV: every value quoted, one header line."""
    out = io.StringIO()
    writer = csv.DictWriter(
        out, columns, restval="", extrasaction="ignore", delimiter=delimiter, lineterminator="\n", quoting=csv.QUOTE_ALL
    )
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def element(text: str, name: str) -> str:
    """Return the text of the first element called `name`, whatever its prefix; empty when there is none."""
    return next(iter(elements(text, name)), "")


def elements(text: str, name: str) -> list[str]:
    """Return the content of every element called `name`, whatever its prefix; inner elements stay as they are."""
    found = re.findall(rf"<{PREFIX}{name}(?:\s[^>]*)?>(.*?)</{PREFIX}{name}>", text, re.DOTALL)
    return [content if "<" in content else unescape(content.strip(), _QUOTES) for content in found]


def tag(name: str, value: Any) -> str:
    """Return an element: a mapping becomes its elements, a list is repeated, None is left out."""
    if isinstance(value, list):
        return "".join(tag(name, one) for one in value)
    if value is None:
        return ""
    if isinstance(value, Mapping):
        inner = "".join(tag(inner, one) for inner, one in value.items())
    else:
        inner = escape(str(value).lower() if isinstance(value, bool) else str(value))
    return f"<{name}>{inner}</{name.partition(' ')[0]}>"


def xml(text: str, status: int = 200, content_type: str = "text/xml") -> web.Response:
    """Return an XML answer; the declaration is added."""
    declared = f'<?xml version="1.0" encoding="UTF-8"?>{text}'
    return web.Response(text=declared, status=status, content_type=content_type, charset="utf-8")
