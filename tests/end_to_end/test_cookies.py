"""Cookies, origins and guessers through a real gateway."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import pytest

from gateway.tokens.abuse import BURST
from tests.end_to_end.conftest import TOKENS, StartGateway
from tests.end_to_end.test_tokens import LOGIN, claims
from tests.support.process import GatewayProcess
from tests.support.valkey import ValkeyServer
from tests.tokens.site import forged

Post = Callable[..., Awaitable[tuple[int, dict[str, str], dict[str, str]]]]

FORWARDED = {"X-Forwarded-Proto": "https", "X-Forwarded-Host": "portal.example.com"}
"""What a trusted proxy in front says: clients see https://portal.example.com."""


@pytest.fixture
def post(client: aiohttp.ClientSession) -> Post:
    """Give a function that posts and returns status, cookies and the other fields."""

    async def send(
        gateway: GatewayProcess, path: str, cookie: str = "", **headers: str
    ) -> tuple[int, dict[str, str], dict[str, str]]:
        fields = {name.replace("_", "-"): value for name, value in headers.items()}
        if cookie:
            fields["Cookie"] = cookie
        body: dict[str, Any] | None = LOGIN if path.endswith("login") else None
        async with client.post(gateway.url() + path, json=body, headers=fields) as response:
            await response.read()
            return response.status, {name: m.value for name, m in response.cookies.items()}, dict(response.headers)

    return send


async def _echoed(client: aiohttp.ClientSession, gateway: GatewayProcess, cookie: str) -> list[str]:
    async with client.get(gateway.url() + "/api/orders", headers={"Cookie": cookie}) as response:
        return [value for name, value in (await response.json())["headers"] if name.lower() == "cookie"]


@pytest.mark.parametrize("carrier", ["cookie", "both"])
async def test_the_backend_never_sees_the_refresh_cookie(
    start_gateway: StartGateway, client: aiohttp.ClientSession, valkey: ValkeyServer, carrier: str
) -> None:
    """It is cut out of every request; all other cookies keep their bytes, the access cookie too."""
    gateway = await start_gateway(tokens={**TOKENS, "carrier": carrier}, redis={"url": valkey.url})
    assert await _echoed(client, gateway, "a=1;  refresh_token=hush-r; access_token=hush-a; b") == [
        "a=1; access_token=hush-a; b"
    ]
    assert await _echoed(client, gateway, "refresh_token=hush-r") == []
    assert await _echoed(client, gateway, "refresh_tokens=1; x=refresh_token") == ["refresh_tokens=1; x=refresh_token"]


async def test_in_json_the_cookies_are_the_backends(
    start_gateway: StartGateway, client: aiohttp.ClientSession, valkey: ValkeyServer
) -> None:
    """carrier json: a cookie of that name is none of the gateway's business."""
    gateway = await start_gateway(tokens=TOKENS, redis={"url": valkey.url})
    assert await _echoed(client, gateway, "refresh_token=hush-r") == ["refresh_token=hush-r"]


async def test_case_34_a_cross_site_refresh_leaves_the_token_unspent(
    start_gateway: StartGateway, valkey: ValkeyServer, post: Post
) -> None:
    """given the cookie in a request from another origin's page / when refreshed or logged out / then 403, and the
    portal's own page goes on with the same token."""
    gateway = await start_gateway(tokens={**TOKENS, "carrier": "cookie"}, redis={"url": valkey.url})
    _, cookies, _ = await post(gateway, "/api/auth/login")
    cookie = f"refresh_token={cookies['refresh_token']}"
    for said in ({"Origin": "https://evil.example"}, {"Origin": "null"}, {"Sec_Fetch_Site": "cross-site"}):
        for path in ("/api/auth/refresh", "/api/auth/logout", "/api/auth/login", "/API/auth/%72efresh/"):
            status, cleared, headers = await post(gateway, path, cookie, **said)
            assert (status, cleared, headers["Content-Type"]) == (403, {}, "application/problem+json")
    status, second, _ = await post(gateway, "/api/auth/refresh", cookie, Origin=gateway.url())
    assert (status, claims(second["refresh_token"])["gen"]) == (200, 2)


async def test_the_origin_behind_a_proxy_is_what_the_proxy_says(
    start_gateway: StartGateway, valkey: ValkeyServer, post: Post
) -> None:
    """Scheme and host as trusted proxies tell them; from others the word does not count; allowed origins may, and read
    the answer."""
    tokens = {**TOKENS, "carrier": "cookie", "allowed_origins": ["https://app.example.com"]}
    gateway = await start_gateway(tokens=tokens, redis={"url": valkey.url})
    strict = await start_gateway(tokens=tokens, redis={"url": valkey.url}, ingress={"trusted_proxies": []})
    own = {**FORWARDED, "Origin": "https://portal.example.com"}
    friend = {**FORWARDED, "Origin": "https://app.example.com"}
    stranger = {**FORWARDED, "Origin": "https://portal.example.com:8443"}
    answers = [await post(gateway, "/api/auth/login", **headers) for headers in (own, friend, stranger)]
    assert [status for status, _, _ in answers] == [200, 200, 403]
    assert (await post(strict, "/api/auth/login", **own))[0] == 403
    cookie = f"refresh_token={answers[0][1]['refresh_token']}"
    status, _, headers = await post(gateway, "/api/auth/refresh", cookie, **friend)
    assert (status, headers["Access-Control-Allow-Origin"]) == (200, "https://app.example.com")
    status, _, headers = await post(gateway, "/api/auth/refresh", forged(cookie), **friend)
    assert (status, headers["Access-Control-Allow-Origin"]) == (401, "https://app.example.com")


async def test_both_carries_the_pair_twice(
    start_gateway: StartGateway, client: aiohttp.ClientSession, valkey: ValkeyServer
) -> None:
    """carrier both: JSON and cookies bring the same pair, and either refreshes; a foreign page gets JSON alone."""
    gateway = await start_gateway(tokens={**TOKENS, "carrier": "both"}, redis={"url": valkey.url})
    url = gateway.url() + "/api/auth/refresh"
    async with client.post(gateway.url() + "/api/auth/login", json=LOGIN) as response:
        first = (await response.json())["refreshToken"]
        assert (response.cookies["refresh_token"].value == first) is True
    async with client.post(url, json={"refreshToken": first}) as response:
        second = response.cookies["refresh_token"].value
    async with client.post(url, headers={"Cookie": f"refresh_token={second}"}) as response:
        third = (await response.json())["refreshToken"]
    async with client.post(url, json={"refreshToken": third}, headers={"Origin": "https://evil.example"}) as response:
        assert (response.status, len(response.cookies)) == (200, 0)
        assert claims((await response.json())["refreshToken"])["gen"] == 4


async def test_guesses_are_limited_and_customers_are_not(
    start_gateway: StartGateway, client: aiohttp.ClientSession, valkey: ValkeyServer
) -> None:
    """429 after a burst of forged tokens; behind the same address a good token and its retries are served as ever."""
    gateway = await start_gateway(tokens=TOKENS, redis={"url": valkey.url})
    url = gateway.url() + "/api/auth/refresh"
    async with client.post(gateway.url() + "/api/auth/login", json=LOGIN) as response:
        good = (await response.json())["refreshToken"]

    async def refresh(token: str, address: str = "198.51.100.7") -> tuple[int, str | None]:
        headers = {"X-Forwarded-For": address}
        async with client.post(url, json={"refreshToken": token}, headers=headers) as response:
            return response.status, response.headers.get("Retry-After")

    guesses = [await refresh(forged(good)) for _ in range(2 * BURST)]
    assert guesses[:BURST] == [(401, None)] * BURST
    limited = [retry_after for status, retry_after in guesses if status == 429]
    assert limited
    assert set(limited) <= {"1", "2", "3"}
    assert [await refresh(good) for _ in range(BURST)] == [(200, None)] * BURST
    assert (await refresh(forged(good), "198.51.100.8"))[0] == 401
