"""The demo backend, through real sockets."""

from __future__ import annotations

import hashlib
import time
from collections.abc import AsyncIterator
from typing import Any

import jwt
import pytest
from aiohttp import ClientSession, WSMsgType, web
from aiohttp.test_utils import TestServer

from gateway.demo.accounts import PASSWORD, TOKEN_KEY
from gateway.demo.backend import pattern
from gateway.demo.services import Services


def access_token(key: str = TOKEN_KEY, typ: str = "at+jwt", **changed: Any) -> str:
    now = int(time.time())
    claims = {"iss": "gateway", "aud": "backend", "sub": "u-1", "iat": now, "exp": now + 900, **changed}
    return jwt.encode(claims, key, "HS256", headers={"typ": typ})


async def test_a_login_names_the_user(services: Services, client: ClientSession) -> None:
    """A known account with its password gets its user, and no token: those are the gateway's."""
    login = {"email": "ada@example.com", "password": PASSWORD}
    async with client.post(f"{services.addresses['backend']}/api/auth/login", json=login) as response:
        assert response.status == 200
        assert await response.json() == {"user": {"id": "u-1", "email": "ada@example.com", "role": "admin"}}


async def test_a_login_with_a_second_step_names_no_user(services: Services, client: ClientSession) -> None:
    """An account with MFA gets a 200 without a user id."""
    login = {"email": "mfa@example.com", "password": PASSWORD}
    async with client.post(f"{services.addresses['backend']}/api/auth/login", json=login) as response:
        assert response.status == 200
        assert "user" not in await response.json()


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b'{"email":"ada@example.com","password":"hush-wrong"}', 401),
        (b'{"email":"nobody@example.com","password":"hush-demo"}', 401),
        (b'{"email":["ada@example.com"]}', 401),
        (b"[]", 400),
        (b"{", 400),
        (b"\xff", 400),
    ],
    ids=["password", "email", "type", "list", "broken", "not-text"],
)
async def test_a_login_that_fails(services: Services, client: ClientSession, body: bytes, status: int) -> None:
    """Wrong credentials are 401, a body that is no JSON object is 400."""
    async with client.post(f"{services.addresses['backend']}/api/auth/login", data=body) as response:
        assert response.status == status
        assert "error" in await response.json()


@pytest.mark.parametrize("carrier", ["bearer", "cookie"])
async def test_the_profile_verifies_an_access_token(services: Services, client: ClientSession, carrier: str) -> None:
    """The claims of a good token are told, from either carrier, beside what was forwarded."""
    token = access_token()
    headers = {"Authorization": f"Bearer {token}"} if carrier == "bearer" else {"Cookie": f"access_token={token}"}
    headers["X-Forwarded-For"] = "192.0.2.1"
    async with client.get(f"{services.addresses['backend']}/api/profile", headers=headers) as response:
        told = await response.json()
    assert told["user"]["sub"] == "u-1"
    assert told["received"]["X-Forwarded-For"] == "192.0.2.1"


async def test_the_profile_without_a_token_has_no_user(services: Services, client: ClientSession) -> None:
    """A call without a token is answered, with nobody in it."""
    async with client.get(f"{services.addresses['backend']}/api/profile") as response:
        assert (response.status, (await response.json())["user"]) == (200, None)


@pytest.mark.parametrize(
    "token",
    [
        "hush-nonsense",
        access_token(key="hush-" * 8),
        access_token(typ="rt+jwt"),
        access_token(exp=1),
        access_token(aud="other"),
        access_token(iss="other"),
    ],
    ids=["nonsense", "key", "refresh", "expired", "audience", "issuer"],
)
async def test_the_profile_refuses_any_other_token(services: Services, client: ClientSession, token: str) -> None:
    """What is not a good access token is 401, and is not repeated."""
    headers = {"Authorization": f"Bearer {token}"}
    async with client.get(f"{services.addresses['backend']}/api/profile", headers=headers) as response:
        repeated = token in await response.text()
    assert (response.status, repeated) == (401, False)


async def test_events_begin_at_once_and_go_on(services: Services, client: ClientSession) -> None:
    """The first event comes with the header section, others follow one by one."""
    async with client.get(f"{services.addresses['backend']}/api/events") as response:
        assert response.content_type == "text/event-stream"
        for number in (1, 2, 3):
            assert await response.content.readuntil(b"\n\n") == b"id: %d\ndata: tick %d\n\n" % (number, number)


async def test_an_upload_is_summed_as_it_streams(services: Services, client: ClientSession) -> None:
    """Size and digest of a body larger than any buffer are right."""

    async def body() -> AsyncIterator[bytes]:
        for block in pattern(3_000_001):
            yield block

    async with client.post(f"{services.addresses['backend']}/api/upload", data=body()) as response:
        told = await response.json()
    assert told == {"bytes": 3_000_001, "sha256": hashlib.sha256(b"".join(pattern(3_000_001))).hexdigest()}


@pytest.mark.parametrize("length", [0, 1, 65_536, 65_537, 1_000_000])
async def test_a_download_is_the_pattern(services: Services, client: ClientSession, length: int) -> None:
    """A download has the length asked for, told beforehand, and always the same bytes."""
    async with client.get(f"{services.addresses['backend']}/api/download?bytes={length}") as response:
        assert response.content_length == length
        equal = await response.read() == b"".join(pattern(length))
    assert equal


@pytest.mark.parametrize("path", ["download?bytes=-1", "download?bytes=all", "slow?seconds=601", "slow?seconds=nan"])
async def test_a_number_out_of_range_is_refused(services: Services, client: ClientSession, path: str) -> None:
    """Sizes and times have bounds."""
    async with client.get(f"{services.addresses['backend']}/api/{path}") as response:
        assert response.status == 400


async def test_the_slow_route_sleeps(services: Services, client: ClientSession) -> None:
    """The slow route tells how long it slept."""
    async with client.get(f"{services.addresses['backend']}/api/slow?seconds=0.01") as response:
        assert await response.json() == {"slept_seconds": 0.01}


async def test_a_websocket_echoes(services: Services, client: ClientSession) -> None:
    """Text and binary messages come back as they were, and a close is answered."""
    async with client.ws_connect(f"{services.addresses['backend']}/api/ws") as socket:
        await socket.send_str("text")
        await socket.send_bytes(b"\x00\xff")
        first, second = await socket.receive(), await socket.receive()
        assert (first.type, first.data) == (WSMsgType.TEXT, "text")
        assert (second.type, second.data) == (WSMsgType.BINARY, b"\x00\xff")
        await socket.close()
        assert socket.close_code == 1000


async def test_orders_and_contacts_come_from_the_vendors(services: Services, client: ClientSession) -> None:
    """Both lists are fetched from where the backend was told to find the vendors."""
    base = services.addresses["backend"]
    async with client.get(f"{base}/api/orders") as response:
        assert len((await response.json())["orders"]) == 2
    async with client.get(f"{base}/api/contacts") as response:
        assert len((await response.json())["contacts"]) == 12
    assert services.whmcs.report(60)["calls"] == 1
    assert services.salesforce.report(60)["calls"] == 4  # a login and three pages


async def test_health(services: Services, client: ClientSession) -> None:
    """The health route answers 200."""
    async with client.get(f"{services.addresses['backend']}/health") as response:
        assert response.status == 200


@pytest.mark.parametrize(("status", "told", "retry_after"), [(503, 503, "7"), (504, 502, None), (403, 502, None)])
async def test_a_refusal_on_the_way_is_passed_on(
    client: ClientSession, status: int, told: int, retry_after: str | None
) -> None:
    """Where the gateway has no turn for a call the client learns when to come again; any other failure is a 502."""

    async def refuse(_: web.Request) -> web.Response:
        return web.Response(status=status, headers={"Retry-After": retry_after} if retry_after else {})

    application = web.Application()
    application.router.add_route("*", "/{path:.*}", refuse)
    async with TestServer(application) as gateway:
        at = str(gateway.make_url("")).rstrip("/")
        async with Services(only=("backend",), egress={"whmcs": at, "salesforce": at}) as services:
            for path in ("orders", "contacts"):
                async with client.get(f"{services.addresses['backend']}/api/{path}") as response:
                    assert (response.status, response.headers.get("Retry-After")) == (told, retry_after)


async def test_a_vendor_that_is_not_there_is_a_502(client: ClientSession, unused_tcp_port: int) -> None:
    """A connection refused on the way to a vendor is told as 502."""
    nowhere = f"http://127.0.0.1:{unused_tcp_port}"
    async with (
        Services(only=("backend",), egress={"whmcs": nowhere}) as services,
        client.get(f"{services.addresses['backend']}/api/orders") as response,
    ):
        assert response.status == 502


async def test_an_ended_session_is_renewed_by_the_backend(services: Services, client: ClientSession) -> None:
    """When Salesforce ends the session the backend logs in again, once, and nobody notices."""
    url = f"{services.addresses['backend']}/api/contacts"
    for _ in range(2):
        async with client.get(url) as response:
            assert response.status == 200
        async with client.post(f"{services.addresses['salesforce']}/_simulator/end-sessions"):
            pass
    assert services.salesforce.report(60)["calls"] == 4 + 5
