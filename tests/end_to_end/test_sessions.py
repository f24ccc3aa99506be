"""Sessions, and those of the old backend, through real sockets and real Valkey."""

from __future__ import annotations

import time
from typing import Any

import aiohttp
import redis

from tests.end_to_end.conftest import TOKENS, StartGateway
from tests.support.legacy import SECRET, write_session
from tests.support.valkey import ValkeyServer

PATH = "/api/auth/sessions"


async def _login(client: aiohttp.ClientSession, url: str, agent: str) -> dict[str, Any]:
    body = {"user": "u-1", "password": "hush-pass"}
    async with client.post(url + "/api/auth/login", json=body, headers={"User-Agent": agent}) as response:
        assert response.status == 200
        pair: dict[str, Any] = await response.json()
        return pair


def _bearer(pair: dict[str, Any]) -> dict[str, str]:
    return {"Authorization": f"Bearer {pair['accessToken']}"}


async def test_a_user_lists_and_ends_its_sessions(
    start_gateway: StartGateway, client: aiohttp.ClientSession, valkey: ValkeyServer
) -> None:
    """Both are listed, one is ended by its name, then all; HEAD and a name of nobody are answered right."""
    tokens = {**TOKENS, "routes": {"sessions": PATH}}
    gateway = await start_gateway(tokens=tokens, redis={"url": valkey.url})
    url = gateway.url()
    phone, laptop = await _login(client, url, "phone"), await _login(client, url, "laptop")
    async with client.get(url + PATH, headers=_bearer(phone)) as response:
        assert (response.status, response.headers["Cache-Control"]) == (200, "no-store")
        sessions = (await response.json())["sessions"]
    assert {(s["device"], s["current"], s["ipPrefix"]) for s in sessions} == {
        ("phone", True, "127.0.0.0/24"),
        ("laptop", False, "127.0.0.0/24"),
    }
    (other,) = (session["family"] for session in sessions if not session["current"])
    async with client.head(url + PATH, headers=_bearer(phone)) as response:
        assert response.status == 200
    statuses = []
    for path in (f"{PATH}/{'0' * 24}", f"{PATH}/{other}", PATH):
        async with client.delete(url + path, headers=_bearer(phone)) as response:
            statuses.append(response.status)
    assert statuses == [404, 204, 204]
    async with client.get(url + PATH, headers=_bearer(laptop)) as response:
        assert response.status == 401
    for pair in (phone, laptop):
        async with client.post(url + "/api/auth/refresh", json={"refreshToken": pair["refreshToken"]}) as response:
            assert response.status == 401


async def test_maintenance_and_an_outage_close_the_sessions_too(
    start_gateway: StartGateway, client: aiohttp.ClientSession, valkey: ValkeyServer
) -> None:
    """They are among the token routes: 503 in maintenance; 503 in strict mode while Redis is away."""
    tokens = {**TOKENS, "require_redis": True, "routes": {"sessions": PATH}}
    closed = await start_gateway(tokens=tokens, redis={"url": valkey.url}, maintenance={"enabled": True})
    async with client.delete(f"{closed.url()}{PATH}/x") as response:
        assert (response.status, (await response.json())["type"]) == (503, "urn:gateway:error:maintenance")
    strict = await start_gateway(tokens=tokens, redis={"url": "redis://127.0.0.1:1/0"})
    async with client.get(strict.url() + PATH) as response:
        assert (response.status, (await response.json())["type"]) == (503, "urn:gateway:error:redis-required")


async def test_a_token_of_the_old_backend_is_upgraded_once(
    start_gateway: StartGateway, client: aiohttp.ClientSession, valkey: ValkeyServer
) -> None:
    """given old keys and the old secret, when the old token refreshes twice, then twice the same successor, and its
    session is listed."""
    with redis.Redis.from_url(valkey.url, protocol=2) as plain:
        old = write_session(plain, "u-1", "old-1", int(time.time()) - 60, age=3600)
    tokens = {**TOKENS, "legacy": {"secret": SECRET}, "routes": {"sessions": PATH}}
    gateway = await start_gateway(tokens=tokens, redis={"url": valkey.url})
    pairs = []
    for _ in range(2):
        body = {"refreshToken": old.token}
        async with client.post(gateway.url() + "/api/auth/refresh", json=body) as response:
            assert response.status == 200
            pairs.append(await response.json())
    assert len({pair["refreshToken"] for pair in pairs}) == 1
    async with client.get(gateway.url() + PATH, headers=_bearer(pairs[0])) as response:
        (session,) = (await response.json())["sessions"]
    assert (session["device"], session["current"]) == ("Old/1.0", True)
    outcomes = [line["outcome"] for line in await gateway.logged("Token audit", 5, times=3)]
    assert outcomes == ["taken", "upgraded", "replayed"]
