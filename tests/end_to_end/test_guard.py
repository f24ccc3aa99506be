"""`mode: guard` through real sockets, in front of a backend that mints its own tokens."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import aiohttp
import pytest
from aiohttp import web

from tests.end_to_end.conftest import StartGateway
from tests.support.valkey import ValkeyServer

GUARD = {
    "enabled": True,
    "mode": "guard",
    "carrier": "cookie",
    "keys": [],
    "refresh_secret": "hush-guard-0123456789-abcdefghij",
    "rotation_grace_period": "1s",
    "cookie": {"refresh": "rt"},
}


@dataclass
class Minter:
    """A backend with opaque tokens in a cookie, each good once."""

    url: str = ""
    valid: set[str] = field(default_factory=set)
    refreshes: list[str] = field(default_factory=list)
    logouts: int = 0

    def _grant(self) -> web.Response:
        token = f"hush-opaque-{len(self.valid) + len(self.refreshes)}"
        self.valid.add(token)
        response = web.json_response({"user": {"id": 42}, "at": len(self.refreshes)}, headers={"X-Odd": "a"})
        response.set_cookie("rt", token, httponly=True, path="/")
        return response

    async def login(self, request: web.Request) -> web.Response:
        await request.read()
        return self._grant()

    async def refresh(self, request: web.Request) -> web.Response:
        token = request.cookies.get("rt", "")
        self.refreshes.append(token)
        await asyncio.sleep(0.05)
        if token not in self.valid:
            return web.json_response({"message": "no"}, status=401)
        self.valid.discard(token)
        return self._grant()

    async def logout(self, request: web.Request) -> web.Response:
        self.logouts += 1
        self.valid.discard(request.cookies.get("rt", ""))
        return web.Response(status=204)


@pytest.fixture
async def minter() -> AsyncIterator[Minter]:
    """Serve a minting backend on a free port of loopback."""
    minter = Minter()
    app = web.Application()
    app.router.add_post("/api/auth/login", minter.login)
    app.router.add_post("/api/auth/refresh", minter.refresh)
    app.router.add_post("/api/auth/logout", minter.logout)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    minter.url = f"http://{host}:{port}"
    try:
        yield minter
    finally:
        await runner.cleanup()


async def test_two_gateways_guard_a_backend(
    start_gateway: StartGateway, client: aiohttp.ClientSession, valkey: ValkeyServer, minter: Minter
) -> None:
    """Parallel refreshes on two gateways reach the backend once and hear one answer, cookie included; a spent cookie
    that comes back late ends its family, and no other; a logout reaches the backend."""
    config = {"tokens": GUARD, "redis": {"url": valkey.url}, "ingress": {"backend": minter.url}}
    gateways = [await start_gateway(**config), await start_gateway(**config)]

    async def post(action: str, token: str = "", index: int = 0) -> tuple[int, bytes, str]:
        headers = {"Cookie": f"theme=dark; rt={token}"} if token else {}
        url = f"{gateways[index % 2].url()}/api/auth/{action}"
        async with client.post(url, headers=headers) as response:
            cookie = response.cookies.get("rt")
            return response.status, await response.read(), cookie.value if cookie else ""

    _, _, first = await post("login")
    _, _, other = await post("login")
    answers = await asyncio.gather(*(post("refresh", first, index) for index in range(40)))
    assert len(set(answers)) == 1
    status, _, second = answers[0]
    assert status == 200
    assert minter.refreshes == [first]

    async with asyncio.timeout(10):
        while (await post("refresh", first, 1))[0] == 200:
            await asyncio.sleep(0.05)
    assert (await post("refresh", second))[0] == 401
    assert minter.refreshes == [first]
    assert (await post("refresh", other))[0] == 200

    assert (await post("logout", second, 1))[0] == 204
    assert minter.logouts == 1
    async with client.get(gateways[1].url("admin") + "/metrics") as response:
        metrics = await response.text()
    assert 'gateway_token_operations_total{operation="refresh",result="reused"} 1.0' in metrics
    assert "gateway_token_reuse_detected_total 1.0" in metrics
    (alarm,) = await gateways[1].logged("Refresh token reuse detected", 5)
    assert alarm["user"] == "42"


async def test_an_oauth_server_with_one_endpoint(
    start_gateway: StartGateway, client: aiohttp.ClientSession, valkey: ValkeyServer
) -> None:
    """Login and refresh on one route: the grant tells them apart, an answer is kept for its client, reuse is told in
    OAuth's words, and guesses are limited."""
    valid: set[str] = set()
    refreshes: list[str] = []

    async def token(request: web.Request) -> web.Response:
        form = await request.post()
        if request.headers.get("Authorization") != "Basic b3VyczpodXNoLQ==":
            return web.json_response({"error": "invalid_client"}, status=401)
        if form["grant_type"] == "refresh_token":
            refreshes.append(str(form["refresh_token"]))
            if form["refresh_token"] not in valid:
                return web.json_response({"error": "invalid_grant"}, status=400)
            valid.discard(str(form["refresh_token"]))
        granted = f"hush-granted-{len(valid) + len(refreshes)}"
        valid.add(granted)
        return web.json_response({"access_token": "hush-access", "refresh_token": granted})

    app = web.Application()
    app.router.add_post("/oauth/token", token)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    routes = {"login": ["POST /oauth/token"], "refresh": "POST /oauth/token", "logout": "POST /oauth/revoke"}
    tokens = {**GUARD, "carrier": "json", "dialect": "oauth2", "routes": routes}
    try:
        gateway = await start_gateway(
            tokens=tokens, redis={"url": valkey.url}, ingress={"backend": f"http://{host}:{port}"}
        )

        async def ask(auth: str = "ours", **form: str) -> tuple[int, dict[str, str]]:
            headers = {"Authorization": aiohttp.encode_basic_auth(auth, "hush-")}
            async with client.post(f"{gateway.url()}/oauth/token", data=form, headers=headers) as response:
                return response.status, await response.json(content_type=None)

        _, granted = await ask(grant_type="password", username="ann", password="hush-pass")
        refresh = {"grant_type": "refresh_token", "refresh_token": granted["refresh_token"]}
        answers = await asyncio.gather(*(ask(**refresh) for _ in range(10)))
        assert {status for status, _ in answers} == {200}
        assert len({answer["refresh_token"] for _, answer in answers}) == 1
        assert refreshes == [granted["refresh_token"]]
        assert await ask("theirs", **refresh) == (401, {"error": "invalid_client"})
        async with asyncio.timeout(10):
            while (await ask(**refresh))[0] == 200:
                await asyncio.sleep(0.05)
        status, told = await ask(**{**refresh, "refresh_token": answers[0][1]["refresh_token"]})
        assert (status, told["error"]) == (400, "invalid_grant")
        assert len(refreshes) == 1
        guesses = [await ask(grant_type="refresh_token", refresh_token=f"hush-guess-{index}") for index in range(21)]
        assert [status for status, _ in guesses] == [400] * 20 + [429]
    finally:
        await runner.cleanup()


async def test_a_closed_gate_keeps_its_word(
    start_gateway: StartGateway, client: aiohttp.ClientSession, valkey: ValkeyServer, minter: Minter
) -> None:
    """Strict mode and a lost answer: a token that hears 503 while the gate is closed gets the kept answer long after
    the grace, and is not forwarded again."""
    redis = {"url": valkey.url, "probe": {"interval": "100ms"}}
    tokens = {**GUARD, "require_redis": True}
    gateway = await start_gateway(tokens=tokens, redis=redis, ingress={"backend": minter.url})
    await gateway.logged("Redis available", 5)

    async def post(action: str, token: str = "") -> tuple[int, str]:
        headers = {"Cookie": f"rt={token}"} if token else {}
        async with client.post(f"{gateway.url()}/api/auth/{action}", headers=headers) as response:
            cookie = response.cookies.get("rt")
            return response.status, cookie.value if cookie else ""

    _, first = await post("login")
    _, lost = await post("refresh", first)
    valkey.pause()
    try:
        await gateway.logged("Redis unavailable", 5)
        assert await post("refresh", first) == (503, "")
        assert (await post("login"))[0] == 503
    finally:
        valkey.resume()
    await gateway.logged("Redis available", 5, times=2)
    await asyncio.sleep(1.5)
    assert await post("refresh", first) == (200, lost)
    assert minter.refreshes == [first]
