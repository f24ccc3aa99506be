"""A simulator of WHMCS: its classic API, where every call is one form post and most errors are HTTP 200.

The one idea: a failure of the business is an ordinary answer, and a failure to authenticate is dangerous, because a
few of them ban the caller's address: whoever retries those is found out here. Source: the WHMCS developer
documentation, "API authentication" and "Access control".
"""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any, Final

from aiohttp import web
from aiohttp.typedefs import Handler

from gateway.clock import SYSTEM, Clock
from gateway.demo.accounts import WHMCS
from gateway.demo.simulator import Simulator

ENDPOINT: Final = "/includes/api.php"
_BANNED_AFTER: Final = 5  # failed authentications of one address

_CLIENTS: Final = [
    {"id": 1, "firstname": "Ada", "lastname": "Lovelace", "email": "ada@example.com"},
    {"id": 2, "firstname": "Grace", "lastname": "Hopper", "email": "grace@example.com"},
]
_ORDERS: Final = [
    {"id": 11, "userid": 1, "amount": "120.00", "status": "Active"},
    {"id": 12, "userid": 2, "amount": "9.50", "status": "Pending"},
]
_INVOICES: Final = [{"id": 101, "userid": 1, "total": "120.00", "status": "Paid"}]
_LISTS: Final[dict[str, tuple[str, str, list[dict[str, Any]]]]] = {
    "GetClients": ("clients", "client", _CLIENTS),
    "GetOrders": ("orders", "order", _ORDERS),
    "GetInvoices": ("invoices", "invoice", _INVOICES),
}


class Whmcs(Simulator):
    """WHMCS with two clients. Behaviour: `latency`, how long a call takes (seconds)."""

    def __init__(self, *, clock: Clock = SYSTEM, latency: float = 0.05) -> None:
        super().__init__(clock=clock, latency=latency)
        self._failed_logins: Counter[str] = Counter()
        self._last_order = 100

    def routes(self) -> list[web.RouteDef]:
        return [web.post(ENDPOINT, self._call)]

    async def answer(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        await asyncio.sleep(self.behaviour["latency"])
        return await handler(request)

    def forget(self) -> None:
        self._failed_logins.clear()

    async def _call(self, request: web.Request) -> web.Response:
        form = {name: str(value) for name, value in (await request.post()).items()}
        refusal = self._refusal(request.remote or "", form)
        if refusal:
            return _error(refusal, status=403)
        action = form.get("action", "")
        if action in _LISTS:
            return _page(action, form)
        if action == "GetClientsDetails":
            return _client(form.get("clientid", ""))
        if action == "AddOrder":
            self._last_order += 1
            return web.json_response({"result": "success", "orderid": self._last_order})
        return _error(f'Invalid Permissions: API action "{action}" is not allowed', status=403)

    def _refusal(self, caller: str, form: dict[str, str]) -> str:
        if self._failed_logins[caller] >= _BANNED_AFTER and form.get("accesskey") != WHMCS.accesskey:
            return f"Invalid IP {caller}"
        if form.get("identifier") != WHMCS.identifier:
            self._failed_logins[caller] += 1
            return "Invalid or missing credentials"
        if form.get("secret") != WHMCS.secret:
            self._failed_logins[caller] += 1
            return "Authentication Failed"
        return ""


def _page(action: str, form: dict[str, str]) -> web.Response:
    plural, singular, rows = _LISTS[action]
    first, size = form.get("limitstart", "0"), form.get("limitnum", "25")
    if not (first.isdecimal() and size.isdecimal()):
        return _error("Invalid limitstart or limitnum")
    chosen = rows[int(first) : int(first) + int(size)]
    return web.json_response(
        {
            "result": "success",
            "totalresults": len(rows),
            "startnumber": int(first),
            "numreturned": len(chosen),
            plural: {singular: chosen},
        }
    )


def _client(client_id: str) -> web.Response:
    for client in _CLIENTS:
        if str(client["id"]) == client_id:
            return web.json_response({"result": "success", **client})
    return _error("Client Not Found")


def _error(message: str, status: int = 200) -> web.Response:
    return web.json_response({"result": "error", "message": message}, status=status)
