"""The simulated WHMCS, through real sockets."""

from __future__ import annotations

from typing import Any

import pytest
from aiohttp import ClientSession

from gateway.demo.accounts import WHMCS
from gateway.demo.services import Services
from gateway.demo.whmcs import ENDPOINT

GOOD = {"identifier": WHMCS.identifier, "secret": WHMCS.secret, "responsetype": "json"}


async def call(client: ClientSession, services: Services, **form: str) -> tuple[int, Any]:
    async with client.post(services.addresses["whmcs"] + ENDPOINT, data=form) as response:
        return response.status, await response.json()


@pytest.mark.parametrize(
    ("action", "plural", "singular"),
    [("GetClients", "clients", "client"), ("GetOrders", "orders", "order"), ("GetInvoices", "invoices", "invoice")],
)
async def test_a_list_is_told_in_pages(
    services: Services, client: ClientSession, action: str, plural: str, singular: str
) -> None:
    """A list says how many there are, and holds those asked for."""
    status, answer = await call(client, services, **GOOD, action=action)
    assert (status, answer["result"], answer["numreturned"]) == (200, "success", answer["totalresults"])
    assert len(answer[plural][singular]) == answer["totalresults"]
    _, page = await call(client, services, **GOOD, action=action, limitstart="1", limitnum="5")
    assert page[plural][singular] == answer[plural][singular][1:]


async def test_an_order_is_added_once_a_call(services: Services, client: ClientSession) -> None:
    """Each AddOrder makes an order of its own, so that a repeated call would show."""
    _, first = await call(client, services, **GOOD, action="AddOrder", clientid="1")
    _, second = await call(client, services, **GOOD, action="AddOrder", clientid="1")
    assert first["result"] == second["result"] == "success"
    assert first["orderid"] != second["orderid"]


async def test_an_error_of_the_business_is_http_200(services: Services, client: ClientSession) -> None:
    """A client that is not there is told with status 200."""
    assert await call(client, services, **GOOD, action="GetClientsDetails", clientid="99") == (
        200,
        {"result": "error", "message": "Client Not Found"},
    )
    status, answer = await call(client, services, **GOOD, action="GetClientsDetails", clientid="2")
    assert (status, answer["firstname"]) == (200, "Grace")
    status, answer = await call(client, services, **GOOD, action="GetOrders", limitnum="many")
    assert (status, answer["result"]) == (200, "error")


async def test_an_action_that_is_not_allowed(services: Services, client: ClientSession) -> None:
    """An action outside the role's permissions is refused by name."""
    assert await call(client, services, **GOOD, action="DeleteClient") == (
        403,
        {"result": "error", "message": 'Invalid Permissions: API action "DeleteClient" is not allowed'},
    )


@pytest.mark.parametrize(
    ("wrong", "message"),
    [({"secret": "hush-wrong"}, "Authentication Failed"), ({"identifier": "who"}, "Invalid or missing credentials")],
    ids=["secret", "identifier"],
)
async def test_repeated_wrong_credentials_ban_the_address(
    services: Services, client: ClientSession, wrong: dict[str, str], message: str
) -> None:
    """After five refusals even good credentials are refused, except with the access key, until a reset."""
    for _ in range(5):
        status, answer = await call(client, services, **{**GOOD, **wrong}, action="GetOrders")
        assert (status, answer["message"]) == (403, message)
    status, answer = await call(client, services, **GOOD, action="GetOrders")
    assert (status, answer["message"]) == (403, "Invalid IP 127.0.0.1")
    status, _ = await call(client, services, **GOOD, action="GetOrders", accesskey=WHMCS.accesskey)
    assert status == 200
    services.whmcs.reset()
    status, _ = await call(client, services, **GOOD, action="GetOrders")
    assert status == 200
