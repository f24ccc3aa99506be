"""A simulator of WHMCS: its classic API, where every call is one form post and most errors are HTTP 200.

The one idea: a failure of the business is an ordinary answer, and a failure to authenticate is dangerous, because a
few of them ban the caller's address: whoever retries those is found out here. Source: the WHMCS developer
documentation, "API authentication" and "Access control".
"""

from __future__ import annotations

from collections import Counter
from typing import Any, Final

from aiohttp import web
from aiohttp.typedefs import Handler

from gateway.clock import SYSTEM, Clock
from gateway.demo import faults, php_form
from gateway.demo.accounts import WHMCS
from gateway.demo.behaviour import WhmcsBehaviour
from gateway.demo.simulator import Simulator
from gateway.demo.whmcs_records import Books, BusinessError

ENDPOINT: Final = "/includes/api.php"
_CREDENTIALS: Final = ("identifier", "secret", "accesskey")


class Whmcs(Simulator[WhmcsBehaviour]):
    """WHMCS with two clients; `behaviour` sets values of `WhmcsBehaviour`."""

    def __init__(self, *, clock: Clock = SYSTEM, **behaviour: Any) -> None:
        super().__init__(WhmcsBehaviour(**behaviour), clock)
        self._books = Books()
        self._failed_logins: Counter[str] = Counter()
        self._actions: Counter[str] = Counter()
        self._outcomes: Counter[str] = Counter()

    def routes(self) -> list[web.RouteDef]:
        return [web.post(ENDPOINT, self._call)]

    async def answer(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        await self.take_time(self.behaviour.latency)
        return await handler(request)

    def forget(self) -> None:
        for seen in (self._failed_logins, self._actions, self._outcomes):
            seen.clear()

    def details(self) -> dict[str, Any]:
        return {
            "actions": dict(sorted(self._actions.items())),
            "outcomes": dict(sorted(self._outcomes.items())),
            "failed_logins": sum(self._failed_logins.values()),
        }

    async def _call(self, request: web.Request) -> web.Response:
        form = php_form.read((name, str(value)) for name, value in (await request.post()).items())
        for name in _CREDENTIALS:
            self.credentials.see(name, str(form.get(name, "")))
        action = str(form.get("action", ""))
        self._actions[action] += 1
        refusal = self._refusal(request.remote or "", form)
        if refusal:
            return self._error(refusal, 403)
        return self._fault(request.remote or "") or self._act(action, form)

    def _refusal(self, caller: str, form: dict[str, Any]) -> str:
        banned = self._failed_logins[caller] >= self.behaviour.ban_after or not self.behaviour.allow_ip
        if banned and form.get("accesskey") != WHMCS.accesskey:
            return f"Invalid IP {caller}"
        if form.get("identifier") != WHMCS.identifier:
            self._failed_logins[caller] += 1
            return "Invalid or missing credentials"
        if form.get("secret") != WHMCS.secret:
            self._failed_logins[caller] += 1
            return "Authentication Failed"
        return ""

    def _fault(self, caller: str) -> web.Response | None:
        match faults.take(self.behaviour):
            case "rate_limit":
                self._outcomes["rate_limit"] += 1
                return web.json_response({"message": "Rate Limit Exceeded"}, status=429)
            case "invalid_ip":
                return self._error(f"Invalid IP {caller}", 403)
            case "business_error":
                return self._error("An error occurred")
            case "server_error" | "unavailable" as broken:
                self._outcomes[broken] += 1
                status = 500 if broken == "server_error" else 503
                return web.Response(text="<html>Down for Maintenance</html>", status=status, content_type="text/html")
        return None

    def _act(self, action: str, form: dict[str, Any]) -> web.Response:
        if not self._books.knows(action):
            return self._error(f'Invalid Permissions: API action "{action}" is not allowed', 403)
        try:
            told = self._books.act(action, form)
        except BusinessError as refused:
            return self._error(str(refused))
        self._outcomes["success"] += 1
        return web.json_response({"result": "success", **told})

    def _error(self, message: str, status: int = 200) -> web.Response:
        self._outcomes["error"] += 1
        return web.json_response({"result": "error", "message": message}, status=status)
