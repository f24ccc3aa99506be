"""Tokens through real sockets and real Valkey."""

from __future__ import annotations

import asyncio
import base64
import json
import signal
from pathlib import Path
from typing import Any

import aiohttp

from tests.end_to_end.conftest import TOKENS, StartGateway
from tests.support.valkey import ValkeyServer

LOGIN = {"user": "u-1", "password": "hush-pass"}


def claims(token: str) -> dict[str, Any]:
    """Return a token's claims without checking anything."""
    part = token.split(".")[1]
    return dict(json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))))


async def test_a_hundred_parallel_refreshes_make_one_successor(
    start_gateway: StartGateway, client: aiohttp.ClientSession, valkey: ValkeyServer
) -> None:
    """100 refreshes of one token at once: 100 times 200, one distinct refresh token, generation 2."""
    gateway = await start_gateway(tokens=TOKENS, redis={"url": valkey.url})
    async with client.post(gateway.url() + "/api/auth/login", json=LOGIN) as response:
        assert response.status == 200
        first = (await response.json())["refreshToken"]

    async def refresh() -> tuple[int, str]:
        async with client.post(gateway.url() + "/api/auth/refresh", json={"refreshToken": first}) as response:
            return response.status, (await response.json())["refreshToken"]

    answers = await asyncio.gather(*(refresh() for _ in range(100)))
    assert [status for status, _ in answers] == [200] * 100
    successors = {token for _, token in answers}
    assert len(successors) == 1
    assert claims(successors.pop())["gen"] == 2


async def test_access_and_refresh_tokens_are_never_confused(
    start_gateway: StartGateway, client: aiohttp.ClientSession, valkey: ValkeyServer
) -> None:
    """An access token does not refresh, and a refresh token has another type and audience than an access token."""
    gateway = await start_gateway(tokens=TOKENS, redis={"url": valkey.url})
    async with client.post(gateway.url() + "/api/auth/login", json=LOGIN) as response:
        pair = await response.json()
    async with client.post(gateway.url() + "/api/auth/refresh", json={"refreshToken": pair["accessToken"]}) as response:
        assert response.status == 401
    assert claims(pair["accessToken"])["aud"] != claims(pair["refreshToken"])["aud"]


async def test_cookies_carry_the_pair_and_logout_clears_them(
    start_gateway: StartGateway, client: aiohttp.ClientSession, valkey: ValkeyServer
) -> None:
    """In cookie mode login sets both cookies, refresh replaces them, logout clears them and ends the family."""
    gateway = await start_gateway(tokens={**TOKENS, "carrier": "cookie"}, redis={"url": valkey.url})
    async with client.post(gateway.url() + "/api/auth/login", json=LOGIN) as response:
        assert response.status == 200
        first = {name: morsel.value for name, morsel in response.cookies.items()}
        assert response.cookies["refresh_token"]["httponly"]
        assert response.cookies["refresh_token"]["secure"]
    async with client.post(gateway.url() + "/api/auth/refresh", headers=_cookies(first)) as response:
        assert response.status in (200, 204)
        second = {name: morsel.value for name, morsel in response.cookies.items()}
    assert second["refresh_token"] != first["refresh_token"]
    async with client.post(gateway.url() + "/api/auth/logout", headers=_cookies(second)) as response:
        assert response.status in (200, 204)
        assert response.cookies["refresh_token"]["max-age"] == "0"
    async with client.post(gateway.url() + "/api/auth/refresh", headers=_cookies(second)) as response:
        assert response.status == 401


def _cookies(values: dict[str, str]) -> dict[str, str]:
    return {"Cookie": "; ".join(f"{name}={value}" for name, value in values.items())}


async def test_killed_redis_closes_token_routes_only_and_nobody_is_logged_out(
    start_gateway: StartGateway, client: aiohttp.ClientSession, valkey: ValkeyServer
) -> None:
    """Strict mode, Valkey killed −9 under load: token routes 503 within 2 s, every other request is served; 3 s after a
    restart, empty, the same token refreshes."""
    gateway = await start_gateway(tokens={**TOKENS, "require_redis": True}, redis={"url": valkey.url})
    await gateway.logged("Redis available", 5)
    url = gateway.url()
    async with client.post(url + "/api/auth/login", json=LOGIN) as response:
        token = (await response.json())["refreshToken"]
    stop = asyncio.Event()
    served: list[int] = []

    async def load() -> None:
        while not stop.is_set():
            async with client.get(url + "/api/other") as response:
                served.append(response.status)

    async def refresh() -> tuple[int, dict[str, Any], dict[str, str]]:
        async with client.post(url + "/api/auth/refresh", json={"refreshToken": token}) as response:
            return response.status, await response.json(), dict(response.headers)

    async with asyncio.TaskGroup() as group:
        for _ in range(4):
            group.create_task(load())
        valkey.kill()
        async with asyncio.timeout(2):
            while (await refresh())[0] != 503:
                await asyncio.sleep(0.01)
        status, told, headers = await refresh()
        assert status == 503
        assert told["type"] == "urn:gateway:error:redis-required"
        assert headers["Retry-After"] == "2"
        assert "Set-Cookie" not in headers
        await gateway.logged("Redis required for token operations but not available", 5)
        await valkey.restart(empty=True)
        async with asyncio.timeout(3):
            while (answer := await refresh())[0] == 503:
                await asyncio.sleep(0.01)
        stop.set()
    assert answer[0] == 200
    assert claims(answer[1]["refreshToken"])["gen"] == 2
    assert set(served) == {200}
    assert len(served) > 100


async def test_strict_mode_stands_before_the_backends_own_tokens_too(
    start_gateway: StartGateway, client: aiohttp.ClientSession
) -> None:
    """With tokens off and strict mode on, Redis away answers 503 on the token routes and nowhere else."""
    gateway = await start_gateway(tokens={"require_redis": True}, redis={"url": "redis://127.0.0.1:9"})
    for route in ("login", "refresh", "logout"):
        async with client.post(gateway.url() + f"/api/auth/{route}", json=LOGIN) as response:
            assert response.status == 503
    async with client.get(gateway.url() + "/api/other") as response:
        assert response.status == 200
    await gateway.logged("Redis required for token operations but not available", 5)


async def test_without_strict_mode_an_outage_degrades_instead(
    start_gateway: StartGateway, client: aiohttp.ClientSession, valkey: ValkeyServer
) -> None:
    """Not strict, Redis away: a refresh gives back the same refresh token with a fresh access token; login works."""
    gateway = await start_gateway(tokens=TOKENS, redis={"url": valkey.url})
    url = gateway.url()
    async with client.post(url + "/api/auth/login", json=LOGIN) as response:
        token = (await response.json())["refreshToken"]
    valkey.kill()
    async with client.post(url + "/api/auth/refresh", json={"refreshToken": token}) as response:
        assert response.status == 200
        degraded = await response.json()
    assert degraded["refreshToken"] == token
    assert claims(degraded["accessToken"])["deg"]
    async with client.post(url + "/api/auth/login", json=LOGIN) as response:
        assert response.status == 200
        new = (await response.json())["refreshToken"]
    async with client.post(url + "/api/auth/logout", json={"refreshToken": new}) as response:
        assert response.status == 503
    await valkey.restart(empty=True)
    await gateway.logged("Redis available", 5, times=2)
    async with client.post(url + "/api/auth/refresh", json={"refreshToken": new}) as response:
        assert response.status == 200
        assert claims((await response.json())["refreshToken"])["gen"] == 2


async def test_embedded_redis_serves_tokens_and_goes_with_the_gateway(
    start_gateway: StartGateway, client: aiohttp.ClientSession
) -> None:
    """With `redis.url: embedded` a login and a refresh work, and no process is left when the gateway has ended."""
    gateway = await start_gateway(tokens=TOKENS)
    await gateway.logged("Redis available", 5)
    async with client.post(gateway.url() + "/api/auth/login", json=LOGIN) as response:
        token = (await response.json())["refreshToken"]
    async with client.post(gateway.url() + "/api/auth/refresh", json={"refreshToken": token}) as response:
        assert response.status == 200
    children = _children(gateway.pid)
    assert children
    await gateway.signal(signal.SIGTERM)
    assert await gateway.wait() == 0
    assert not [pid for pid in children if _alive(pid)]


def _children(pid: int) -> list[int]:
    return [int(n) for n in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _alive(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()
