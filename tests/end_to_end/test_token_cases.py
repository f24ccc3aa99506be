"""Cases of token families that only whole processes and sockets can show, on real Valkey."""

from __future__ import annotations

import asyncio
import json
import signal
from urllib.parse import urlsplit

import aiohttp
from aiohttp import web

from gateway.clock import SYSTEM
from tests.end_to_end.conftest import TOKENS, StartGateway
from tests.end_to_end.test_lost_replies import _login, _refresh
from tests.end_to_end.test_tokens import claims
from tests.support.relay import Relay
from tests.support.valkey import ValkeyServer


async def test_case_21_a_gateway_killed_between_script_and_answer(
    start_gateway: StartGateway, client: aiohttp.ClientSession, valkey: ValkeyServer
) -> None:
    """given a gateway that dies when the script has run and its answer is under way / when the client retries with
    another / then it gets the successor that was written, once and for all."""
    async with Relay(valkey.port).listening() as relay:
        redis = {"url": f"redis://127.0.0.1:{relay.port}/0", "command_timeout": "10s"}
        dying = await start_gateway(tokens=TOKENS, redis=redis)
        other = await start_gateway(tokens=TOKENS, redis={"url": valkey.url})
        await dying.logged("Redis available", 5)
        await _refresh(client, dying, await _login(client, dying))  # Redis knows the script from now on
        first = await _login(client, dying)
        relay.mute = True
        async with asyncio.TaskGroup() as group:
            asked = group.create_task(_refresh_until_cut(client, dying.url(), first))
            async with asyncio.timeout(5):
                while not any(value.startswith(b"L:2:") for value in _records(valkey, first)):
                    await asyncio.sleep(0.01)
            await dying.signal(signal.SIGKILL)
            assert await asked is None
        status, answer = await _refresh(client, other, first)
        assert (status, claims(answer["refreshToken"])["gen"]) == (200, 2)
        assert (await _refresh(client, other, first))[1]["refreshToken"] == answer["refreshToken"]


def _records(valkey: ValkeyServer, token: str) -> list[bytes]:
    fields = valkey.command("HGETALL", "gw:t:{u-1}")
    return [fields[claims(token)["fid"].encode()]]


async def _refresh_until_cut(client: aiohttp.ClientSession, url: str, token: str) -> int | None:
    try:
        async with client.post(url + "/api/auth/refresh", json={"refreshToken": token}) as response:
            return response.status
    except aiohttp.ClientError:
        return None


async def test_case_25_clients_that_hang_up(
    start_gateway: StartGateway, client: aiohttp.ClientSession, valkey: ValkeyServer
) -> None:
    """given clients that send a refresh and hang up at once / when the token comes again / then the state is whole."""
    gateway = await start_gateway(tokens=TOKENS, redis={"url": valkey.url})
    token = await _login(client, gateway)
    parts = urlsplit(gateway.url())
    for _ in range(20):
        body = json.dumps({"refreshToken": token}).encode()
        _, writer = await asyncio.open_connection(parts.hostname, parts.port)
        head = f"POST /api/auth/refresh HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n".encode()
        writer.write(head + body)
        await writer.drain()
        writer.transport.abort()
        status, answer = await _refresh(client, gateway, token)
        assert status == 200
        assert claims(answer["refreshToken"])["gen"] == claims(token)["gen"] + 1
        token = answer["refreshToken"]
    assert len(valkey.command("HGETALL", "gw:t:{u-1}")) == 1


async def test_case_36_a_token_in_the_query_is_in_no_log_and_no_metric(
    start_gateway: StartGateway, client: aiohttp.ClientSession, valkey: ValkeyServer
) -> None:
    """given a token in the query string / when refreshed / then 400, unspent, and nothing the gateway tells holds it;
    what it tells of the same token in its place is audited under a hash."""
    gateway = await start_gateway(tokens=TOKENS, redis={"url": valkey.url}, log={"level": "debug"})
    token = await _login(client, gateway)
    async with client.post(gateway.url() + f"/api/auth/refresh?refreshToken={token}") as response:
        assert response.status == 400
        assert (token in await response.text()) is False
    status, answer = await _refresh(client, gateway, token)
    assert status == 200
    lines = await gateway.logged("Token audit", 5, times=2)
    assert [(line["audit"], line["action"], line["outcome"]) for line in lines] == [
        (True, "issue", "ok"), (True, "refresh", "rotated")
    ]  # fmt: skip
    async with client.get(gateway.url("admin") + "/metrics") as response:
        told = await response.text() + json.dumps(gateway.lines)
    secrets = [part for each in (token, answer["refreshToken"]) for part in each.split(".")[1:]]
    assert any(secret in told for secret in secrets) is False


async def test_claims_come_from_the_backend_through_its_own_pool(
    start_gateway: StartGateway, client: aiohttp.ClientSession, valkey: ValkeyServer
) -> None:
    """given a backend that changes its mind, hangs and then disowns / when refreshed / then fresh claims within the
    question's two seconds, the last ones, and the end."""
    seen: list[web.Request] = []
    mood = {"role": "reader", "status": 200, "hang": False}

    async def user(request: web.Request) -> web.Response:
        seen.append(request)
        if mood["hang"]:
            await asyncio.sleep(60)
        return web.json_response({"id": "u-1", "role": mood["role"]}, status=int(str(mood["status"])))

    async def login(request: web.Request) -> web.Response:
        return web.json_response({"user": {"id": "u-1", "role": "admin"}})

    app = web.Application()
    app.router.add_get("/internal/users/{sub}", user)
    app.router.add_post("/api/auth/login", login)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        host, port = runner.addresses[0][:2]
        gateway = await start_gateway(
            tokens={**TOKENS, "claims_from": "GET /internal/users/{sub}"},
            redis={"url": valkey.url},
            ingress={"backend": f"http://{host}:{port}"},
        )
        await gateway.logged("Redis available", 5)
        token = await _login(client, gateway)
        status, answer = await _refresh(client, gateway, token)
        assert (status, claims(answer["accessToken"])["role"]) == (200, "reader")
        assert "X-Forwarded-For" not in seen[0].headers
        mood["hang"] = True
        started = SYSTEM.monotonic()
        status, answer = await _refresh(client, gateway, answer["refreshToken"])
        assert (status, claims(answer["accessToken"])["role"]) == (200, "reader")
        assert 1.9 < SYSTEM.monotonic() - started < 4
        mood.update(hang=False, status=404)
        assert (await _refresh(client, gateway, answer["refreshToken"]))[0] == 401
        assert (await gateway.logged("Token audit", 5, times=5))[-1]["outcome"] == "disowned"
    finally:
        await runner.cleanup()
