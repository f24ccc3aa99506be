"""The demo backend: what a team's own service looks like behind the gateway.

The one idea: it knows nothing of the gateway but three addresses of its surroundings: the two egress listeners that
it calls instead of the vendors, and the key with which it verifies access tokens, as any backend would.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Iterator
from typing import Any, Final

import jwt
from aiohttp import ClientError, ClientSession, ClientTimeout, TCPConnector, WSMsgType, web

from gateway.demo.accounts import ACCOUNTS, PASSWORD
from gateway.demo.vendors import VendorCalls, VendorError

_BLOCK: Final = 64 * 1024
_FILLING: Final = hashlib.shake_256(b"gateway demo").digest(_BLOCK - 8)
_FORWARDED: Final = ("X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "Forwarded", "Host")
_SLOWEST: Final = 600.0


def pattern(length: int) -> Iterator[bytes]:
    """Yield the `length` bytes of a download: always the same, and no block like another."""
    for start in range(0, length, _BLOCK):
        block = start.to_bytes(8, "big") + _FILLING
        yield block[: min(_BLOCK, length - start)]


class Backend:
    """A small portal: login, profile, events, transfers, and orders and contacts from the two vendors.

    `token_key` verifies access tokens (HS256, RFC 7519). `whmcs` and `salesforce` are where it finds the vendors: the
    gateway's egress listeners. `event_interval` is the time between two events, in seconds.
    """

    def __init__(self, *, token_key: str, whmcs: str, salesforce: str, event_interval: float = 1.0) -> None:
        self._token_key = token_key
        self._vendors = (whmcs, salesforce)
        self._event_interval = event_interval
        self._calls: VendorCalls

    def application(self) -> web.Application:
        """Return the application that serves it."""
        application = web.Application()
        application.cleanup_ctx.append(self._connect)
        application.add_routes(
            [
                web.post("/api/auth/login", self._login),
                web.get("/api/profile", self._profile),
                web.get("/api/events", self._events),
                web.post("/api/upload", self._upload),
                web.get("/api/download", self._download),
                web.get("/api/ws", self._echo),
                web.get("/api/slow", self._slow),
                web.get("/api/orders", self._orders),
                web.get("/api/contacts", self._contacts),
                web.get("/health", self._health),
            ]
        )
        return application

    async def _connect(self, _: web.Application) -> AsyncIterator[None]:
        # No limit of its own on connections or time: waiting its turn is what the gateway does for it.
        async with ClientSession(connector=TCPConnector(limit=0), timeout=ClientTimeout(total=None)) as session:
            self._calls = VendorCalls(session, *self._vendors)
            yield

    async def _login(self, request: web.Request) -> web.Response:
        try:
            asked = await request.json()
        except ValueError:
            asked = None
        if not isinstance(asked, dict):
            return web.json_response({"error": "a JSON object with email and password is needed"}, status=400)
        account = next((known for known in ACCOUNTS if known.email == asked.get("email")), None)
        if account is None or asked.get("password") != PASSWORD:
            return web.json_response({"error": "unknown email or wrong password"}, status=401)
        if account.mfa:
            return web.json_response({"mfaRequired": True, "methods": ["totp"]})
        return web.json_response({"user": {"id": account.id, "email": account.email, "role": account.role}})

    async def _profile(self, request: web.Request) -> web.Response:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        token = token if scheme.lower() == "bearer" else request.cookies.get("access_token", "")
        try:
            claims = self._claims(token) if token else None
        except jwt.PyJWTError as refusal:
            return web.json_response({"error": f"access token refused: {type(refusal).__name__}"}, status=401)
        received = {name: value for name in _FORWARDED if (value := ", ".join(request.headers.getall(name, [])))}
        return web.json_response({"received": received, "user": claims})

    def _claims(self, token: str) -> dict[str, Any]:
        if jwt.get_unverified_header(token).get("typ") != "at+jwt":  # RFC 9068 section 4
            raise jwt.InvalidTokenError("not an access token")
        claims: dict[str, Any] = jwt.decode(
            token, self._token_key, algorithms=["HS256"], audience="backend", issuer="gateway"
        )
        return claims

    async def _events(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"})
        await response.prepare(request)
        number = 0
        while True:
            number += 1
            await response.write(b"id: %d\ndata: tick %d\n\n" % (number, number))
            await asyncio.sleep(self._event_interval)

    async def _upload(self, request: web.Request) -> web.Response:
        digest, size = hashlib.sha256(), 0
        async for chunk in request.content.iter_any():
            digest.update(chunk)
            size += len(chunk)
        return web.json_response({"bytes": size, "sha256": digest.hexdigest()})

    async def _download(self, request: web.Request) -> web.StreamResponse:
        length = int(_number(request, "bytes", 1 << 40))
        response = web.StreamResponse(headers={"Content-Type": "application/octet-stream"})
        response.content_length = length
        await response.prepare(request)
        for block in pattern(length):
            await response.write(block)
        return response

    async def _echo(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        async for message in socket:
            if message.type is WSMsgType.TEXT:
                await socket.send_str(message.data)
            elif message.type is WSMsgType.BINARY:
                await socket.send_bytes(message.data)
        return socket

    async def _slow(self, request: web.Request) -> web.Response:
        seconds = _number(request, "seconds", _SLOWEST)
        await asyncio.sleep(seconds)
        return web.json_response({"slept_seconds": seconds})

    async def _health(self, _: web.Request) -> web.Response:
        return web.json_response({"status": "ok"})

    async def _orders(self, _: web.Request) -> web.Response:
        try:
            return web.json_response({"orders": await self._calls.orders()})
        except (VendorError, ClientError) as failure:
            return _vendor_failed("WHMCS", failure)

    async def _contacts(self, _: web.Request) -> web.Response:
        try:
            return web.json_response({"contacts": await self._calls.contacts()})
        except (VendorError, ClientError) as failure:
            return _vendor_failed("Salesforce", failure)


def _number(request: web.Request, name: str, most: float) -> float:
    try:
        value = float(request.query.get(name, "1"))
    except ValueError:
        value = -1.0
    if not 0 <= value <= most:
        raise web.HTTPBadRequest(text=f"{name} is a number from 0 to {most:g}")
    return value


def _vendor_failed(vendor: str, failure: Exception) -> web.Response:
    status = failure.status if isinstance(failure, VendorError) else 502
    headers = {"Retry-After": failure.retry_after} if isinstance(failure, VendorError) and failure.retry_after else {}
    return web.json_response({"error": f"{vendor} did not answer the call"}, status=status, headers=headers)
