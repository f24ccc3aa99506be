"""The `oauth2` dialect through a real gateway, spoken by the libraries that people use, unmodified."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import aiohttp
import pytest
from authlib.integrations.base_client import OAuthError
from authlib.integrations.requests_client import OAuth2Session as AuthlibSession
from oauthlib.oauth2 import InvalidGrantError
from requests_oauthlib import OAuth2Session

from tests.end_to_end.conftest import TOKENS, StartGateway
from tests.end_to_end.test_tokens import LOGIN, claims
from tests.support.process import GatewayProcess
from tests.support.valkey import ValkeyServer
from tests.tokens.site import forged

OAUTH2 = {**TOKENS, "dialect": "oauth2"}
CLIENT = ("portal", "hush-client-secret")
"""The gateway knows no clients: whatever a library sends for one is not looked at."""


@pytest.fixture
async def gateway(start_gateway: StartGateway, valkey: ValkeyServer, monkeypatch: pytest.MonkeyPatch) -> GatewayProcess:
    """A gateway that speaks OAuth, and libraries that may do so over plain http to loopback."""
    monkeypatch.setenv("OAUTHLIB_INSECURE_TRANSPORT", "1")
    monkeypatch.setenv("AUTHLIB_INSECURE_TRANSPORT", "1")
    return await start_gateway(tokens=OAUTH2, redis={"url": valkey.url})


async def _login(client: aiohttp.ClientSession, gateway: GatewayProcess) -> dict[str, Any]:
    async with client.post(gateway.url() + "/api/auth/login", json=LOGIN) as response:
        assert response.status == 200
        token = dict(await response.json())
    return {name: token[name] for name in ("access_token", "refresh_token", "expires_in", "token_type")}


def _generations(*tokens: dict[str, Any]) -> list[int]:
    return [claims(token["refresh_token"])["gen"] for token in tokens]


@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post", "none"])
async def test_authlib_refreshes(gateway: GatewayProcess, client: aiohttp.ClientSession, method: str) -> None:
    """Authlib trades a refresh token twice, however it authenticates, and learns why a bad one is refused."""
    login = await _login(client, gateway)
    url = gateway.url() + "/api/auth/refresh"

    def work() -> list[int]:
        with AuthlibSession(*CLIENT, token_endpoint_auth_method=method, token=login) as session:
            second = dict(session.refresh_token(url, refresh_token=login["refresh_token"]))
            third = dict(session.refresh_token(url))
            with pytest.raises(OAuthError) as refused:
                session.refresh_token(url, refresh_token=forged(third["refresh_token"]))
            assert refused.value.error == "invalid_grant"
            return _generations(login, second, third)

    assert await asyncio.to_thread(work) == [1, 2, 3]


async def test_authlib_renews_an_expired_token_by_itself(
    gateway: GatewayProcess, client: aiohttp.ClientSession
) -> None:
    """A call with an access token past its time is preceded by a refresh, and reaches the backend with the new one."""
    login = {**await _login(client, gateway), "expires_at": 1}
    url = gateway.url()

    def work() -> tuple[dict[str, str], str]:
        with AuthlibSession(*CLIENT, token=login, token_endpoint=url + "/api/auth/refresh") as session:
            seen = session.get(url + "/api/orders").json()["headers"]
            return {name.lower(): value for name, value in seen}, session.token["access_token"]

    seen, access = await asyncio.to_thread(work)
    assert (seen["authorization"] == f"Bearer {access}") is True
    assert (access != login["access_token"]) is True


async def test_authlib_revokes(gateway: GatewayProcess, client: aiohttp.ClientSession) -> None:
    """RFC 7009 at the logout route: 200, and the family has ended."""
    login = await _login(client, gateway)
    url = gateway.url()

    def work() -> int:
        with AuthlibSession(*CLIENT, token=login) as session:
            status = session.revoke_token(url + "/api/auth/logout", token=login["refresh_token"]).status_code
            with pytest.raises(OAuthError, match="invalid_grant"):
                session.refresh_token(url + "/api/auth/refresh", refresh_token=login["refresh_token"])
            return int(status)

    assert await asyncio.to_thread(work) == 200


async def test_requests_oauthlib_refreshes(gateway: GatewayProcess, client: aiohttp.ClientSession) -> None:
    """requests-oauthlib trades a refresh token twice, and learns why a bad one is refused."""
    login = await _login(client, gateway)
    url = gateway.url() + "/api/auth/refresh"

    def work() -> list[int]:
        with OAuth2Session(CLIENT[0], token=login) as session:
            second = dict(session.refresh_token(url))
            third = dict(session.refresh_token(url, client_id=CLIENT[0], client_secret=CLIENT[1]))
            with pytest.raises(InvalidGrantError):
                session.refresh_token(url, refresh_token=forged(third["refresh_token"]))
            return _generations(login, second, third)

    assert await asyncio.to_thread(work) == [1, 2, 3]


async def test_requests_oauthlib_renews_an_expired_token_by_itself(
    gateway: GatewayProcess, client: aiohttp.ClientSession
) -> None:
    """Its automatic refresh hands the next pair to the application."""
    login = {**await _login(client, gateway), "expires_in": -1}
    url, kept = gateway.url(), []

    def work() -> int:
        updated: Callable[[dict[str, Any]], None] = kept.append
        with OAuth2Session(
            CLIENT[0], token=login, auto_refresh_url=url + "/api/auth/refresh", token_updater=updated
        ) as session:
            return int(session.get(url + "/api/orders").status_code)

    assert await asyncio.to_thread(work) == 200
    assert _generations(*kept) == [2]


@pytest.mark.parametrize(
    ("form", "error"),
    [
        ("grant_type=password&username=u&password=hush-p", "unsupported_grant_type"),
        ("grant_type=refresh_token", "invalid_request"),
        ("refresh_token=a.b.c", "invalid_request"),
        ("grant_type=refresh_token&refresh_token=a.b.c&refresh_token=a.b.c", "invalid_request"),
        ("", "invalid_request"),
    ],
)
async def test_errors_are_those_of_rfc_6749(
    gateway: GatewayProcess, client: aiohttp.ClientSession, form: str, error: str
) -> None:
    """Section 5.2: 400, JSON, `no-store`; nothing of it reaches the backend."""
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    async with client.post(gateway.url() + "/api/auth/refresh", data=form, headers=headers) as response:
        assert (response.status, response.headers["Cache-Control"]) == (400, "no-store")
        assert response.content_type == "application/json"
        assert (await response.json())["error"] == error


async def test_an_outage_keeps_the_gateways_own_shape(
    start_gateway: StartGateway, client: aiohttp.ClientSession, valkey: ValkeyServer
) -> None:
    """OAuth has no word for a 503 here: a problem document with Retry-After, and the token stays good."""
    gateway = await start_gateway(tokens={**OAUTH2, "require_redis": True}, redis={"url": valkey.url})
    login = await _login(client, gateway)
    valkey.kill()
    form = {"grant_type": "refresh_token", "refresh_token": login["refresh_token"]}
    async with client.post(gateway.url() + "/api/auth/refresh", data=form) as response:
        assert (response.status, response.content_type) == (503, "application/problem+json")
        assert response.headers["Retry-After"] == "2"


async def test_case_36_no_log_line_and_no_metric_holds_a_token_from_the_url(
    gateway: GatewayProcess, client: aiohttp.ClientSession
) -> None:
    """given a token in the query string / when refreshed / then refused, and in no log line and no metric."""
    token = (await _login(client, gateway))["refresh_token"]
    query = {"grant_type": "refresh_token", "refresh_token": token}
    async with client.post(gateway.url() + "/api/auth/refresh", params=query) as response:
        assert response.status == 400
    async with client.get(gateway.url("admin") + "/metrics") as response:
        assert (token in await response.text()) is False
    assert not any(token in str(line) for line in gateway.lines)
    async with client.post(gateway.url() + "/api/auth/refresh", data=query) as response:
        assert response.status == 200
