"""The simulated Salesforce's logins: the token endpoint, the SOAP login, and what a session tells of its owner.

The one idea: every login goes through one door, which counts it and hands out the faults that logins were told to
have, whichever way it came. Source: Salesforce Help, "OAuth authorization flows"; SOAP API developer guide, `login`.
"""

from __future__ import annotations

import asyncio
import base64
from collections import Counter, deque
from collections.abc import Callable
from typing import Any, Final

from aiohttp import web

from gateway.clock import Clock
from gateway.demo import faults
from gateway.demo.accounts import SALESFORCE
from gateway.demo.behaviour import SalesforceBehaviour
from gateway.demo.credentials import Credentials
from gateway.demo.salesforce_grants import GRANTS, LoginRefused, authenticate, with_password
from gateway.demo.salesforce_sessions import Sessions
from gateway.demo.salesforce_soap import envelope, fault
from gateway.demo.salesforce_wire import element, tag, xml

TOKEN_ENDPOINT: Final = "/services/oauth2/token"  # noqa: S105 (a path)
_HOUR: Final = 3600.0
_SECRETS: Final = ("client_secret", "password", "assertion")
_REFUSALS: Final = {
    "authentication_failure": "authentication failure",
    "not_approved": "user hasn't approved this consumer",
    "login_rate_exceeded": "login rate exceeded",
}
_BROKEN: Final = {"server_error": 500, "unavailable": 503}
_SOAP_CODES: Final = {"login rate exceeded": "LOGIN_RATE_EXCEEDED"}


class Logins:
    """Opens sessions. `behaviour` is asked when it matters."""

    def __init__(
        self,
        clock: Clock,
        sessions: Sessions,
        credentials: Callable[[], Credentials],
        behaviour: Callable[[], SalesforceBehaviour],
    ) -> None:
        self._clock = clock
        self._sessions = sessions
        self._credentials = credentials
        self._behaviour = behaviour
        self._recent: deque[float] = deque()
        self.clear()

    def clear(self) -> None:
        """Count from zero again."""
        self._since = self._clock.monotonic()
        self._times: list[float] = []
        self._by_grant: Counter[str] = Counter()
        self._refused: Counter[str] = Counter()
        self._recent.clear()

    def report(self) -> dict[str, Any]:
        """Return the attempts: how many, when (seconds since the last reset), by which grant, and which failed."""
        return {
            "count": len(self._times),
            "times": [round(at, 6) for at in self._times],
            "by_grant": dict(sorted(self._by_grant.items())),
            "refused": dict(sorted(self._refused.items())),
        }

    async def token(self, request: web.Request) -> web.Response:
        """Answer `POST /services/oauth2/token`."""
        form = {name: str(value) for name, value in (await request.post()).items()}
        authorization = request.headers.get("Authorization", "")
        for name in _SECRETS:
            self._credentials().see(name, form.get(name, ""))
        self._credentials().see("authorization", authorization)
        origin = self._origin(request)
        try:
            broken = await self._door(GRANTS.get(form.get("grant_type", ""), "other"))
            if broken:
                return web.Response(text="<html>Unavailable</html>", status=broken, content_type="text/html")
            token = self._open(authenticate(form, authorization, _called(request), self._clock.wall()))
        except LoginRefused as refused:
            self._refused[refused.description] += 1
            told = {"error": refused.error, "error_description": refused.description}
            return web.json_response(told, status=400)
        issued_at = str(int(self._clock.wall() * 1000))
        return web.json_response(
            {
                "access_token": token,
                "instance_url": origin,
                "id": f"{origin}/id/{SALESFORCE.organization_id}/{SALESFORCE.user_id}",
                "token_type": "Bearer",
                "issued_at": issued_at,
                "signature": base64.b64encode(issued_at.encode()).decode(),
                "scope": "api",
            }
        )

    async def soap(self, request: web.Request, body: str) -> web.Response:
        """Answer the SOAP call `login`."""
        username, password = element(body, "username"), element(body, "password")
        self._credentials().see("password", password)
        try:
            broken = await self._door("soap")
            if broken:
                return web.Response(text="<html>Unavailable</html>", status=broken, content_type="text/html")
            token = self._open(with_password(username, password))
        except LoginRefused as refused:
            self._refused[refused.description] += 1
            return _login_fault(refused.description)
        told = {
            "metadataServerUrl": f"{self._origin(request)}{request.path.replace('/u/', '/m/')}",
            "passwordExpired": False,
            "sandbox": False,
            "serverUrl": f"{self._origin(request)}{request.path.rstrip('/')}/{SALESFORCE.organization_id}",
            "sessionId": token,
            "userId": SALESFORCE.user_id,
            "userInfo": USER_INFO,
        }
        return xml(envelope(tag('loginResponse xmlns="urn:partner.soap.sforce.com"', {"result": told})))

    async def identity(self, request: web.Request) -> web.Response:
        """Answer the identity URL, to whoever has a session."""
        bearer = request.headers.get("Authorization", "").partition(" ")[2]
        token = request.query.get("oauth_token", bearer)
        self._credentials().see("access_token", token)
        if not self._sessions.good(token):
            return web.Response(text="Bad_OAuth_Token", status=403)
        origin = self._origin(request)
        return web.json_response(
            {
                "id": f"{origin}/id/{SALESFORCE.organization_id}/{SALESFORCE.user_id}",
                "asserted_user": True,
                "user_id": SALESFORCE.user_id,
                "organization_id": SALESFORCE.organization_id,
                "username": SALESFORCE.username,
                "display_name": "Integration User",
                "urls": {
                    "rest": f"{origin}/services/data/v{{version}}/",
                    "partner": f"{origin}/services/Soap/u/{{version}}/{SALESFORCE.organization_id}",
                    "metadata": f"{origin}/services/Soap/m/{{version}}/{SALESFORCE.organization_id}",
                },
                "active": True,
            }
        )

    async def revoke(self, request: web.Request) -> web.Response:
        """Answer `POST /services/oauth2/revoke`: the session with this token ends."""
        self._sessions.end(str((await request.post()).get("token", "")))
        return web.Response()

    async def _door(self, grant: str) -> int:
        """Count a login and let it take its time; returns the status it breaks with, or 0."""
        self._times.append(self._clock.monotonic() - self._since)
        self._by_grant[grant] += 1
        behaviour = self._behaviour()
        met = faults.take(behaviour, "login_fault")
        await asyncio.sleep(behaviour.login_latency)
        if met == "hang":
            await asyncio.Event().wait()
        if met in _REFUSALS:
            raise LoginRefused("invalid_grant", _REFUSALS[met])
        if met in _BROKEN:
            self._refused[met] += 1
            return _BROKEN[met]
        if len(self._in_the_last_hour()) >= behaviour.logins_per_hour:
            raise LoginRefused("invalid_grant", "login rate exceeded")
        return 0

    def _open(self, who: str) -> str:
        behaviour = self._behaviour()
        self._recent.append(self._clock.monotonic())
        token = self._sessions.open(who, behaviour.session_seconds, another=behaviour.new_token)
        self._credentials().see("access_token", token)
        return token

    def _in_the_last_hour(self) -> deque[float]:
        while self._recent and self._clock.monotonic() - self._recent[0] >= _HOUR:
            self._recent.popleft()
        return self._recent

    def _origin(self, request: web.Request) -> str:
        """Return the base URL of the instance that a login is told of."""
        return self._behaviour().instance_url.rstrip("/") or _called(request)


def _called(request: web.Request) -> str:
    return f"{request.scheme}://{request.host}"


USER_INFO: Final = {
    "organizationId": SALESFORCE.organization_id,
    "organizationName": "Demo",
    "userEmail": SALESFORCE.username,
    "userFullName": "Integration User",
    "userId": SALESFORCE.user_id,
    "userName": SALESFORCE.username,
}


def _login_fault(description: str) -> web.Response:
    code = _SOAP_CODES.get(description, "INVALID_LOGIN")
    text = "Invalid username, password, security token; or user locked out."
    message = text if code == "INVALID_LOGIN" else description
    inner = {"sf:exceptionCode": code, "sf:exceptionMessage": message}
    return fault(f"sf:{code}", f"{code}: {message}", {'sf:LoginFault xsi:type="sf:LoginFault"': inner})
