"""Cases of token families that only whole processes and sockets can show, on real Valkey."""

from __future__ import annotations

import asyncio
import json
import signal
from typing import Any
from urllib.parse import urlsplit

import aiohttp
from aiohttp import web

from gateway.clock import SYSTEM
from tests.end_to_end.conftest import TOKENS, StartGateway
from tests.end_to_end.test_lost_replies import _login, _refresh
from tests.end_to_end.test_tokens import LOGIN, claims
from tests.support.relay import Relay
from tests.support.valkey import ValkeyServer


async def test_case_02_a_hundred_parallel_refreshes_on_three_gateways(
    start_gateway: StartGateway, client: aiohttp.ClientSession, valkey: ValkeyServer
) -> None:
    """given one token / when it comes a hundred times at once to three gateways / then all 200, and one successor."""
    gateways = [await start_gateway(tokens=TOKENS, redis={"url": valkey.url}) for _ in range(3)]
    await asyncio.gather(*(gateway.logged("Redis available", 5) for gateway in gateways))
    first = await _login(client, gateways[0])
    answers = await asyncio.gather(*(_refresh(client, gateways[index % 3], first) for index in range(100)))
    assert {status for status, _ in answers} == {200}
    successors = {answer["refreshToken"] for _, answer in answers}
    assert len(successors) == 1
    assert [value.split(b":")[1] for value in _records(valkey, first)] == [b"2"]
    assert (await _refresh(client, gateways[1], successors.pop()))[0] == 200


async def test_case_12_a_logout_races_a_refresh(
    start_gateway: StartGateway, client: aiohttp.ClientSession, valkey: ValkeyServer
) -> None:
    """given a refresh and a logout of one family on two gateways / when either is first, or both come at once / then
    nothing is alive afterwards: not the token, not its successor, not the family."""
    gateways = [await start_gateway(tokens=TOKENS, redis={"url": valkey.url}) for _ in range(2)]
    await asyncio.gather(*(gateway.logged("Redis available", 5) for gateway in gateways))

    async def logout(token: str) -> int:
        async with client.post(gateways[1].url() + "/api/auth/logout", json={"refreshToken": token}) as response:
            return response.status

    async def race(order: int, token: str) -> tuple[int, dict[str, str]]:
        if order == 0:
            assert await logout(token) == 204
            return await _refresh(client, gateways[0], token)
        if order == 1:
            answer = await _refresh(client, gateways[0], token)
            assert (answer[0], await logout(token)) == (200, 204)
            return answer
        answer, ended = await asyncio.gather(_refresh(client, gateways[0], token), logout(token))
        assert ended == 204
        return answer

    for order in (0, 1, *[2] * 20):
        first = await _login(client, gateways[0])
        status, answer = await race(order, first)
        assert status == {0: 401, 1: 200}.get(order, status)
        for token in (first, answer["refreshToken"]) if status == 200 else (first,):
            assert (await _refresh(client, gateways[order % 2], token))[0] == 401
        assert [value[:1] for value in _records(valkey, first)] == [b"T"]


async def test_case_14_fifty_parallel_logins_never_make_more_than_ten_families(
    start_gateway: StartGateway, client: aiohttp.ClientSession, valkey: ValkeyServer
) -> None:
    """given one user / when it logs in fifty times at once on two gateways / then never more than ten families, and ten
    tokens are good in the end."""
    gateways = [await start_gateway(tokens=TOKENS, redis={"url": valkey.url}) for _ in range(2)]
    await asyncio.gather(*(gateway.logged("Redis available", 5) for gateway in gateways))

    def live() -> int:
        return sum(value.startswith(b"L:") for value in valkey.command("HVALS", "gw:t:{u-1}"))

    seen = []
    async with asyncio.TaskGroup() as group:
        logins = [group.create_task(_login(client, gateways[index % 2])) for index in range(50)]
        while not all(login.done() for login in logins):
            seen.append(live())
            await asyncio.sleep(0)
    assert max(seen) <= 10
    assert live() == 10
    answers = await asyncio.gather(*(_refresh(client, gateways[0], login.result()) for login in logins))
    assert sorted(status for status, _ in answers) == [200] * 10 + [401] * 40


async def test_case_19_redis_away_in_strict_mode(
    start_gateway: StartGateway, client: aiohttp.ClientSession, valkey: ValkeyServer
) -> None:
    """given strict mode, tokens in cookies and Redis away / when refreshed, with a good cookie or any other / then 503
    with its message and Retry-After, no Set-Cookie, and the good one is good when Redis is back."""
    tokens = {**TOKENS, "require_redis": True, "carrier": "cookie"}
    gateway = await start_gateway(tokens=tokens, redis={"url": valkey.url, "probe": {"interval": "100ms"}})
    await gateway.logged("Redis available", 5)
    async with client.post(gateway.url() + "/api/auth/login", json=LOGIN) as response:
        first = response.cookies["refresh_token"].value

    def refresh(token: str) -> Any:
        cookie = {"Cookie": f"refresh_token={token}"}
        return client.post(gateway.url() + "/api/auth/refresh", headers=cookie)

    valkey.kill()
    await gateway.logged("Redis unavailable", 5)
    for token in (first, "x", first[:-2] + "xx"):
        async with refresh(token) as response:
            assert (response.status, response.headers["Retry-After"]) == (503, "2")
            assert "Set-Cookie" not in response.headers
            told = json.loads(await response.read())
        assert told == {
            "type": "urn:gateway:error:redis-required",
            "title": "Service Unavailable",
            "status": 503,
            "detail": "Authentication is temporarily unavailable. Please try again in a moment.",
        }
    await gateway.logged("Redis required for token operations but not available", 5)
    await valkey.restart()
    await gateway.logged("Redis available", 5, times=2)
    async with refresh(first) as response:
        assert (response.status, "Set-Cookie" in response.headers) == (200, True)


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
