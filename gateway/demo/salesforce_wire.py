"""How the simulated Salesforce words its answers: errors in a JSON list, and XML; and how it reads a JSON object."""

from __future__ import annotations

import json
from typing import Any

from aiohttp import web


def error(status: int, code: str, message: str) -> web.Response:
    """Return an error of the REST APIs: a list with one entry."""
    return web.json_response([{"message": message, "errorCode": code}], status=status)


def refuse(status: int, code: str, message: str) -> web.HTTPException:
    """Return `error` as an exception to raise: 404, or 400 for every other status."""
    text = json.dumps([{"message": message, "errorCode": code}])
    kind = web.HTTPNotFound if status == 404 else web.HTTPBadRequest
    return kind(text=text, content_type="application/json")


def not_found() -> web.HTTPException:
    """Return what a record or job that is not there answers, to raise."""
    return refuse(404, "NOT_FOUND", "The requested resource does not exist")


async def read_object(request: web.Request) -> dict[str, Any]:
    """Return the JSON object that a request holds.

    Raises:
        web.HTTPBadRequest: when it holds anything else.
    """
    try:
        found = await request.json()
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise refuse(400, "JSON_PARSER_ERROR", "The body is not a JSON object")
    return found


def xml(text: str, status: int = 200) -> web.Response:
    """Return an XML answer."""
    return web.Response(text=text, status=status, content_type="text/xml", charset="utf-8")
