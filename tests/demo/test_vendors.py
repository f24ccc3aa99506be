"""The backend's own calls to the vendors."""

from __future__ import annotations

import pytest
from aiohttp import ClientSession, web
from aiohttp.test_utils import TestServer

from gateway.demo.services import Services
from gateway.demo.vendors import VendorCalls, VendorError


async def test_a_session_serves_many_calls(services: Services, client: ClientSession) -> None:
    """There is one login for many calls."""
    calls = VendorCalls(client, services.addresses["whmcs"], services.addresses["salesforce"])
    for _ in range(3):
        assert "Ada Lovelace" in await calls.contacts()
    assert services.salesforce.report(60)["calls"] == 1 + 3 * 3


async def test_a_session_that_never_works_ends_in_an_error(client: ClientSession) -> None:
    """A new session that is refused as well is not renewed again: no login loop."""
    logins = 0

    async def log_in(_: web.Request) -> web.Response:
        nonlocal logins
        logins += 1
        return web.json_response({"access_token": "hush-token"})

    async def refuse(_: web.Request) -> web.Response:
        return web.Response(status=401)

    application = web.Application()
    application.add_routes([web.post("/services/oauth2/token", log_in), web.get("/{path:.*}", refuse)])
    async with TestServer(application) as server:
        calls = VendorCalls(client, "", str(server.make_url("")).rstrip("/"))
        with pytest.raises(VendorError) as failure:
            await calls.contacts()
    assert (logins, failure.value.status) == (1, 502)


async def test_an_error_with_status_200_is_an_error(client: ClientSession) -> None:
    """What WHMCS tells as an error is one, whatever the status."""

    async def fail(_: web.Request) -> web.Response:
        return web.json_response({"result": "error", "message": "no"})

    application = web.Application()
    application.add_routes([web.post("/includes/api.php", fail)])
    async with TestServer(application) as server:
        calls = VendorCalls(client, str(server.make_url("")).rstrip("/"), "")
        with pytest.raises(VendorError) as failure:
            await calls.orders()
    assert failure.value.status == 502
