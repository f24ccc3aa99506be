"""The simulated WHMCS, through real sockets."""

from __future__ import annotations

from typing import Any

import pytest
from aiohttp import ClientSession, FormData

from gateway.demo.accounts import WHMCS
from gateway.demo.behaviour import WhmcsFault
from gateway.demo.credentials import fingerprint
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


async def test_an_address_off_the_list_needs_the_access_key(services: Services, client: ClientSession) -> None:
    """Good credentials from elsewhere are refused with the address, unless the access key comes with them."""
    services.whmcs.behaviour.allow_ip = False
    status, answer = await call(client, services, **GOOD, action="GetOrders")
    assert (status, answer["message"]) == (403, "Invalid IP 127.0.0.1")
    assert (await call(client, services, **GOOD, action="GetOrders", accesskey=WHMCS.accesskey))[0] == 200


async def test_a_multipart_form_is_as_good(services: Services, client: ClientSession) -> None:
    """The same fields in multipart form mean the same."""
    form = FormData({**GOOD, "action": "GetClients"}, default_to_multipart=True)
    async with client.post(services.addresses["whmcs"] + ENDPOINT, data=form) as response:
        assert (await response.json())["totalresults"] == 2


async def test_what_is_written_is_read(services: Services, client: ClientSession) -> None:
    """Writes change what reads tell, also with nested fields, and whatever case the action is in."""
    person = {"firstname": "Alan", "lastname": "Turing", "email": "alan@example.com"}
    _, added = await call(client, services, **GOOD, **person, action="AddClient")
    number = str(added["clientid"])
    await call(client, services, **GOOD, action="UpdateClient", clientid=number, firstname="Al")
    _, read = await call(client, services, **GOOD, action="getclientsdetails", clientid=number)
    assert (read["firstname"], read["email"]) == ("Al", "alan@example.com")
    items = {"itemamount1": "10.00", "itemamount2": "2.50"}
    _, invoice = await call(client, services, **GOOD, **items, action="CreateInvoice", userid=number)
    invoice_id = str(invoice["invoiceid"])
    await call(client, services, **GOOD, action="UpdateInvoice", invoiceid=invoice_id, status="Paid")
    _, invoice = await call(client, services, **GOOD, action="GetInvoice", invoiceid=invoice_id)
    assert (invoice["total"], invoice["status"]) == ("12.50", "Paid")
    nested = {"pid[0]": "1", "pid[1]": "2"}
    _, order = await call(client, services, **GOOD, **nested, action="AddOrder", clientid=number)
    assert order["productids"] == "1,2"
    assert (await call(client, services, **GOOD, action="AcceptOrder", orderid=str(order["orderid"])))[1] == {
        "result": "success"
    }
    ticket = {"subject": "Help", "customfields[a]": "b"}
    await call(client, services, **GOOD, **ticket, action="OpenTicket")
    _, tickets = await call(client, services, **GOOD, action="GetTickets")
    assert tickets["tickets"]["ticket"][0]["custom"] == {"a": "b"}


@pytest.mark.parametrize(
    "form",
    [
        {"action": "AddClient"},
        {"action": "AddClient", "email": "ada@example.com"},
        {"action": "UpdateClient", "clientid": "99"},
        {"action": "AcceptOrder", "orderid": "11"},
        {"action": "OpenTicket"},
    ],
)
async def test_a_write_that_cannot_be_done_is_http_200(
    services: Services, client: ClientSession, form: dict[str, str]
) -> None:
    """Like every error of the business."""
    status, answer = await call(client, services, **GOOD, **form)
    assert (status, answer["result"]) == (200, "error")


@pytest.mark.parametrize(
    ("fault", "status", "text"),
    [
        ("rate_limit", 429, '{"message": "Rate Limit Exceeded"}'),
        ("invalid_ip", 403, "Invalid IP 127.0.0.1"),
        ("business_error", 200, '"result": "error"'),
        ("server_error", 500, "Down for Maintenance"),
        ("unavailable", 503, "Down for Maintenance"),
    ],
)
async def test_a_fault_is_met_as_often_as_it_was_told_to(
    services: Services, client: ClientSession, fault: WhmcsFault, status: int, text: str
) -> None:
    """A fault for one call has the vendor's status and text, no Retry-After, and is over then."""
    services.whmcs.behaviour.fault, services.whmcs.behaviour.fault_times = fault, 1
    form = {**GOOD, "action": "GetOrders"}
    async with client.post(services.addresses["whmcs"] + ENDPOINT, data=form) as response:
        assert (response.status, text in await response.text()) == (status, True)
        assert "Retry-After" not in response.headers
    assert (await call(client, services, **form))[0] == 200


async def test_the_report_tells_actions_outcomes_and_credentials(services: Services, client: ClientSession) -> None:
    """Each action is counted, each outcome, and each distinct credential hashed."""
    await call(client, services, **GOOD, action="GetOrders")
    await call(client, services, **GOOD, action="GetOrders")
    await call(client, services, **{**GOOD, "secret": "hush-wrong"}, action="AddOrder")
    report = services.whmcs.report(60)
    assert report["actions"] == {"AddOrder": 1, "GetOrders": 2}
    assert (report["outcomes"], report["failed_logins"]) == ({"error": 1, "success": 2}, 1)
    assert report["credentials"] == {
        "identifier": [fingerprint(WHMCS.identifier)],
        "secret": [fingerprint(WHMCS.secret), fingerprint("hush-wrong")],
    }
    services.whmcs.reset()
    assert services.whmcs.report(60)["credentials"] == {}
