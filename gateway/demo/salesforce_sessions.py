"""The simulated Salesforce's logins: the token endpoint, the sessions it opened, and how each API says that one ended.

The one idea: a session ends on the server alone. Its token carries no expiry, so a client learns of the end from a
refusal, and every API words that refusal in its own way. Source: Salesforce Help, "OAuth authorization flows"; REST,
Bulk and SOAP API developer guides.
"""

from __future__ import annotations

import base64
import math
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import jwt
from aiohttp import web

from gateway.clock import Clock
from gateway.demo.accounts import SALESFORCE
from gateway.demo.salesforce_wire import error, xml

INVALID: Final = "INVALID_SESSION_ID"
_SOAP_SESSION: Final = re.compile(rb"<(?:\w+:)?sessionId>\s*([^<\s]*)\s*<")
_JWT_BEARER: Final = "urn:ietf:params:oauth:grant-type:jwt-bearer"


@dataclass(slots=True)
class Sessions:
    """The access tokens that are good at the moment. A login of somebody who has one gets the same again."""

    clock: Clock
    ttl: float
    """Seconds that a session opened from now on lasts."""
    _ends: dict[str, float] = field(default_factory=dict, repr=False)
    _token_of: dict[str, str] = field(default_factory=dict, repr=False)

    def open(self, who: str) -> str:
        """Return the access token of a session for `who`."""
        token = self._token_of.get(who, "")
        if not self.good(token):
            token = self._token_of[who] = f"00Dsim!{secrets.token_urlsafe(24)}"
            self._ends[token] = self.clock.monotonic() + self.ttl
        return token

    def good(self, token: str) -> bool:
        """Whether a session with this access token is open."""
        return self.clock.monotonic() < self._ends.get(token, -math.inf)

    def end_all(self) -> None:
        """End every session, as an administrator would."""
        self._ends.clear()

    async def log_in(self, request: web.Request) -> web.Response:
        """Answer `POST /services/oauth2/token`."""
        form = {name: str(value) for name, value in (await request.post()).items()}
        try:
            who = _authenticate(form, request.headers.get("Authorization", ""))
        except PermissionError as refusal:
            code, description = refusal.args
            return web.json_response({"error": code, "error_description": description}, status=400)
        origin = f"{request.scheme}://{request.host}"
        issued_at = str(int(self.clock.wall() * 1000))
        return web.json_response(
            {
                "access_token": self.open(who),
                "instance_url": origin,
                "id": f"{origin}/id/00Dsim/005{who}",
                "token_type": "Bearer",
                "issued_at": issued_at,
                "signature": base64.b64encode(issued_at.encode()).decode(),
                "scope": "api",
            }
        )

    def refusal(self, request: web.Request) -> web.Response | None:
        """Return what the REST and Bulk APIs answer to a call without a good session, or None."""
        if request.path.startswith("/services/data/"):
            scheme, _, token = request.headers.get("Authorization", "").partition(" ")
            if scheme not in ("Bearer", "OAuth") or not self.good(token):
                return error(401, INVALID, "Session expired or invalid")
        if request.path.startswith("/services/async/") and not self.good(request.headers.get("X-SFDC-Session", "")):
            if "json" in request.headers.get("Content-Type", "") + request.headers.get("Accept", ""):
                body = {"exceptionCode": "InvalidSessionId", "exceptionMessage": "Invalid session id"}
                return web.json_response(body, status=400)
            return xml(_ASYNC_ERROR, status=400)
        return None

    async def soap(self, request: web.Request) -> web.Response:
        """Answer `POST /services/Soap/u/VERSION`: the server's time, or the fault of a session that ended."""
        found = _SOAP_SESSION.search(await request.read())
        if found is None or not self.good(found[1].decode("latin-1")):
            return xml(_SOAP_FAULT, status=500)
        return xml(_SOAP_ANSWER)


def _authenticate(form: Mapping[str, str], authorization: str) -> str:
    """Return who logs in; raise PermissionError with `error` and `error_description` for whoever may not."""
    grant = form.get("grant_type", "")
    if grant == _JWT_BEARER:
        return _bearer_of(form.get("assertion", ""))
    client = (form.get("client_id", ""), form.get("client_secret", ""))
    if authorization:
        client = _basic(authorization)
    if client != (SALESFORCE.client_id, SALESFORCE.client_secret):
        raise PermissionError("invalid_client", "invalid client credentials")
    if grant == "client_credentials":
        return client[0]
    if grant != "password":
        raise PermissionError("unsupported_grant_type", "grant type not supported")
    if (form.get("username"), form.get("password")) != (SALESFORCE.username, SALESFORCE.password):
        raise PermissionError("invalid_grant", "authentication failure")
    return SALESFORCE.username


def _basic(authorization: str) -> tuple[str, str]:
    """Return the key and secret of an Authorization field (RFC 7617); nothing for one that holds none."""
    scheme, _, encoded = authorization.partition(" ")
    try:
        login, _, password = base64.b64decode(encoded, validate=True).decode().partition(":")
    except ValueError:
        return "", ""
    return (login, password) if scheme.lower() == "basic" else ("", "")


def _bearer_of(assertion: str) -> str:
    """Return the user an assertion names. Its signature is not checked: no certificate was uploaded here."""
    options: Any = {"verify_signature": False, "verify_exp": True, "require": ["iss", "sub", "aud", "exp"]}
    try:
        claims = jwt.decode(assertion, options=options)
    except jwt.PyJWTError:
        raise PermissionError("invalid_grant", "invalid assertion") from None
    if claims["iss"] != SALESFORCE.client_id:
        raise PermissionError("invalid_client_id", "client identifier invalid")
    if claims["sub"] != SALESFORCE.username:
        raise PermissionError("invalid_grant", "user hasn't approved this consumer")
    return SALESFORCE.username


_ASYNC_ERROR: Final = (
    '<?xml version="1.0" encoding="UTF-8"?><error xmlns="http://www.force.com/2009/06/asyncapi/dataload">'
    "<exceptionCode>InvalidSessionId</exceptionCode><exceptionMessage>Invalid session id</exceptionMessage></error>"
)
_ENVELOPE: Final = (
    '<?xml version="1.0" encoding="UTF-8"?>'
    '<soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/"'
    ' xmlns:sf="urn:fault.partner.soap.sforce.com"><soapenv:Body>{}</soapenv:Body></soapenv:Envelope>'
)
_SOAP_FAULT: Final = _ENVELOPE.format(
    f"<soapenv:Fault><faultcode>sf:{INVALID}</faultcode>"
    f"<faultstring>{INVALID}: Invalid Session ID found in SessionHeader</faultstring></soapenv:Fault>"
)
_SOAP_ANSWER: Final = _ENVELOPE.format(
    '<getServerTimestampResponse xmlns="urn:partner.soap.sforce.com"><result>'
    "<timestamp>2026-01-01T00:00:00.000Z</timestamp></result></getServerTimestampResponse>"
)
