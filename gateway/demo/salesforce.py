"""A simulator of Salesforce: its logins, its REST, Bulk, Bulk 2.0 and SOAP APIs, sessions that end, and its limits.

The one idea: whatever API a call belongs to, it passes the same gate first (limits, faults, session), and only then
reaches the organisation's records. Source: Salesforce, REST API developer guide, and those of the other APIs.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from aiohttp import web
from aiohttp.typedefs import Handler

from gateway.clock import SYSTEM, Clock
from gateway.demo import faults
from gateway.demo.behaviour import SalesforceBehaviour
from gateway.demo.salesforce_apis import Api, api_of, expired, form_of, in_words_of, refusal, token_of
from gateway.demo.salesforce_bulk1 import Bulk1
from gateway.demo.salesforce_bulk2 import Bulk2
from gateway.demo.salesforce_key import private_pem
from gateway.demo.salesforce_limits import Daily, LongCalls
from gateway.demo.salesforce_login import TOKEN_ENDPOINT, Logins
from gateway.demo.salesforce_metadata import Soap
from gateway.demo.salesforce_records import Records
from gateway.demo.salesforce_rest import ROOT, Rest
from gateway.demo.salesforce_sessions import Sessions
from gateway.demo.salesforce_soap import operation
from gateway.demo.salesforce_wire import Call, SalesforceError, read_json
from gateway.demo.simulator import PREFIX, Simulator

_WITH_BODY = ("POST", "PATCH", "PUT")


class Salesforce(Simulator[SalesforceBehaviour]):
    """An organisation with twelve contacts; `behaviour` sets values of `SalesforceBehaviour`.

    Calls are reported as `default`, `long_running` (both Bulk APIs) and `login`. `POST /_simulator/end-sessions` ends
    every session; `GET /_simulator/private-key` is what the JWT bearer flow signs with.
    """

    def __init__(self, *, clock: Clock = SYSTEM, **behaviour: Any) -> None:
        super().__init__(SalesforceBehaviour(**behaviour), clock)
        self.sessions = Sessions(clock)
        self._logins = Logins(clock, self.sessions, lambda: self.credentials, lambda: self.behaviour)
        records = Records()
        self._rest = Rest(records, lambda: self.behaviour.page_records, self._usage)
        self._soap = Soap(clock, records, self.sessions)
        self._bulk = (
            Bulk1(clock, records, lambda: self.behaviour),
            Bulk2(clock, records, lambda: self.behaviour),
        )
        self._daily = Daily(clock)
        self._long = LongCalls(clock)
        self._expired: Counter[str] = Counter()

    def routes(self) -> list[web.RouteDef]:
        private_pem()  # made now, so that no call waits for it
        return [
            web.post(TOKEN_ENDPOINT, self._logins.token),
            web.post("/services/oauth2/revoke", self._logins.revoke),
            web.get("/id/{organization}/{user}", self._logins.identity),
            web.post("/services/Soap/{api:u|m}/{version}{rest:(/.*)?}", self._call_soap),
            *(route for bulk in self._bulk for route in bulk.routes()),
            web.route("*", ROOT + "{path:(/.*)?}", self._call_rest),
            web.post(f"{PREFIX}/end-sessions", self._end_sessions),
            web.get(f"{PREFIX}/private-key", self._private_key),
        ]

    def path_class(self, request: web.Request) -> str:
        if request.path == TOKEN_ENDPOINT:
            return "login"
        return "long_running" if api_of(request.path) in ("bulk1", "bulk2") else "default"

    async def answer(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        api = api_of(request.path)
        if api is None:
            return await handler(request)
        if self._long.now(self.behaviour.long_call_seconds) >= self.behaviour.long_call_limit:
            self._long.refused += 1
            return refusal(api, request, "concurrent_long")
        with self._long.watch(self.behaviour.long_call_seconds):
            token = await token_of(api, request)
            if token is None:
                return await handler(request)
            await self.take_time(self.behaviour.long_latency if api.startswith("bulk") else self.behaviour.latency)
            answer = self._gate(api, request, token) or await self._carry_out(api, request, handler)
        if api in ("rest", "bulk2"):
            answer.headers["Sforce-Limit-Info"] = self._limit_info()
        return answer

    def _gate(self, api: Api, request: web.Request, token: str) -> web.Response | None:
        """Return what keeps a call out, or None; a call that may come in is counted."""
        self.credentials.see("access_token", token)
        behaviour = self.behaviour
        if behaviour.fault == "expired" and self.sessions.good(token):
            faults.take(behaviour)
            self.sessions.end(token)
        if not self.sessions.call(token, self.random, behaviour.expire_probability, behaviour.expire_spares):
            self._expired[form_of(api, request)] += 1
            return expired(api, request)
        fault = faults.take(behaviour)
        if fault != faults.NONE:
            return refusal(api, request, fault)
        if self._daily.used() >= behaviour.daily_limit:
            return refusal(api, request, "daily")
        self._daily.count()
        return None

    async def _carry_out(self, api: Api, request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            return await handler(request)
        except SalesforceError as problem:
            return in_words_of(api, request, problem)

    def forget(self) -> None:
        self._daily.clear()
        self._long.clear()
        self._logins.clear()
        self._expired.clear()

    def details(self) -> dict[str, Any]:
        seconds = self.behaviour.long_call_seconds
        return {
            "logins": self._logins.report(),
            "expired_answers": dict(sorted(self._expired.items())),
            "daily_calls": self._daily.used(),
            "long_calls": {
                "in_flight": self._long.now(seconds),
                "in_flight_peak": self._long.peak,
                "refused": self._long.refused,
            },
        }

    async def _call_rest(self, request: web.Request) -> web.Response:
        body = read_json(await request.read()) if request.method in _WITH_BODY else {}
        origin = f"{request.scheme}://{request.host}"
        answer = self._rest.call(Call(request.method, request.match_info["path"], dict(request.query), body, origin))
        if answer.body is None:
            return web.Response(status=answer.status)
        return web.json_response(answer.body, status=answer.status)

    async def _call_soap(self, request: web.Request) -> web.Response:
        body = (await request.read()).decode("utf-8", "replace")
        if operation(body) == "login":
            return await self._logins.soap(request, body)
        return self._soap.answer(request.match_info["api"], body)

    async def _end_sessions(self, _: web.Request) -> web.Response:
        self.sessions.end_all()
        return web.Response(status=204)

    async def _private_key(self, _: web.Request) -> web.Response:
        return web.Response(text=private_pem(), content_type="application/x-pem-file")

    def _usage(self) -> tuple[int, int]:
        allowed = self.behaviour.daily_limit
        return allowed, max(0, allowed - self._daily.used())

    def _limit_info(self) -> str:
        used, app = self._daily.used(), self.behaviour.app_limit
        own = f"; per-app-api-usage={min(used, app)}/{app}(appName=demo-client)" if app else ""
        return f"api-usage={used}/{self.behaviour.daily_limit}{own}"
