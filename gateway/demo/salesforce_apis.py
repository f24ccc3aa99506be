"""The APIs of the simulated Salesforce: how each is recognised, where it carries the session, and how it refuses.

The one idea: a session ends once, and every API has its own words for it; whoever forgets one of them is found out
here. Source: Salesforce, REST, Bulk, Bulk 2.0 and SOAP API developer guides.
"""

from __future__ import annotations

import re
from typing import Final, Literal

from aiohttp import web

from gateway.demo.salesforce_bulk1 import refused, speaks_json
from gateway.demo.salesforce_soap import fault, operation
from gateway.demo.salesforce_wire import SalesforceError, element, error

Api = Literal["rest", "bulk2", "bulk1", "soap"]

INVALID: Final = "INVALID_SESSION_ID"
UNRECOVERABLE: Final = "This session is not valid for use with the REST API"
_LIMIT: Final = "REQUEST_LIMIT_EXCEEDED"
_PATHS: Final[tuple[tuple[re.Pattern[str], Api], ...]] = (
    (re.compile(r"/services/data/[^/]+/jobs(/|$)"), "bulk2"),
    (re.compile(r"/services/data(/|$)"), "rest"),
    (re.compile(r"/services/async/"), "bulk1"),
    (re.compile(r"/services/Soap/"), "soap"),
)
REFUSALS: Final = {
    "unrecoverable": (401, INVALID, UNRECOVERABLE),
    "daily": (403, _LIMIT, "TotalRequests Limit exceeded."),
    "concurrent": (403, _LIMIT, "ConcurrentRequests (Concurrent API Requests) Limit exceeded."),
    "concurrent_long": (403, _LIMIT, "ConcurrentPerOrgLongTxn Limit exceeded"),
    "server_error": (500, "UNKNOWN_EXCEPTION", "An unexpected error occurred."),
    "unavailable": (503, "SERVER_UNAVAILABLE", "The server is temporarily unavailable."),
}
"""Status, code and text, by the name of the fault."""


def api_of(path: str) -> Api | None:
    """Return the API that a path belongs to."""
    return next((api for pattern, api in _PATHS if pattern.match(path)), None)


async def token_of(api: Api, request: web.Request) -> str | None:
    """Return the access token that a call carries; None for a call that needs none, which the SOAP login is."""
    if api == "soap":
        body = (await request.read()).decode("utf-8", "replace")
        return None if operation(body) == "login" else element(body, "sessionId")
    if api == "bulk1":
        return request.headers.get("X-SFDC-Session", "")
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    return token if scheme in ("Bearer", "OAuth") else ""


def form_of(api: Api, request: web.Request) -> str:
    """Return the name of the form in which a call is told that its session has ended."""
    return api if api != "bulk1" else "bulk1_json" if speaks_json(request) else "bulk1_xml"


def expired(api: Api, request: web.Request) -> web.Response:
    """Return what a call is answered whose session has ended."""
    if api == "soap":
        return fault(f"sf:{INVALID}", f"{INVALID}: Invalid Session ID found in SessionHeader: Illegal Session")
    if api == "bulk1":
        return refused(request, "InvalidSessionId", "Invalid session id")
    return error(401, INVALID, "Session expired or invalid")


def refusal(api: Api, request: web.Request, name: str) -> web.Response:
    """Return how a call is refused for one of `REFUSALS`, or for a fault that only the REST API words."""
    return in_words_of(api, request, SalesforceError(*REFUSALS[name]))


def in_words_of(api: Api, request: web.Request, problem: SalesforceError) -> web.Response:
    """Return how an API tells a problem."""
    if api == "soap":
        return fault(f"sf:{problem.code}", f"{problem.code}: {problem.message}")
    if api == "bulk1":
        code = {_LIMIT: "ExceededQuota", "NOT_FOUND": "InvalidUrl"}.get(problem.code, problem.code)
        return refused(request, code, problem.message, problem.status if problem.status >= 500 else 400)
    return error(problem.status, problem.code, problem.message)
