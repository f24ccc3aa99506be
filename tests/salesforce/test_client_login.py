"""Logins that clients make through the gateway: the answers keep them here, and they have a time limit of their own."""

from __future__ import annotations

import asyncio
import json

import pytest

from gateway.errors import GatewayError
from gateway.events import Event
from gateway.exchange import Buffered, Exchange, Reply, header, header_values
from gateway.salesforce.client_login import ClientLoginLayer
from gateway.salesforce.events import ClientLoginTimedOut
from tests.salesforce.samples import ORIGIN, answer
from tests.salesforce.test_rewrite import ENVELOPE, LOGIN
from tests.support.virtual import virtual
from tests.throttle.samples import Stream


def login(target: bytes = b"/services/oauth2/token", content: bytes = b"grant_type=password") -> Exchange:
    headers = [(b"Host", b"127.0.0.1:9182"), (b"Accept-Encoding", b"gzip"), (b"accept-encoding", b"br")]
    return Exchange("POST", target, headers, Buffered(content), scheme="https")


async def content(reply: Reply) -> bytes:
    return b"".join([piece async for piece in reply.body])


@virtual
async def test_the_client_stays() -> None:
    """The answer names the address at which the client found the gateway, and its length is right; the vendor is asked
    for an answer that is not compressed."""
    _, told = answer("hush-token")

    async def vendor(exchange: Exchange) -> Reply:
        assert header_values(exchange.headers, b"accept-encoding") == [b"identity"]
        return Reply(200, [(b"Content-Length", b"%d" % len(told)), (b"A", b"b")], Buffered(told))

    reply = await ClientLoginLayer("salesforce", 30.0).handle(login(), vendor)
    found = await content(reply)
    assert header(reply.headers, b"content-length") == b"%d" % len(found)
    assert json.loads(found)["instance_url"] == "https://127.0.0.1:9182"
    assert json.loads(found)["access_token"] == "hush-token"


@virtual
async def test_soap_login() -> None:
    """A SOAP login's answer is rewritten; any other SOAP call passes as it is."""
    told = f"<serverUrl>{ORIGIN}/services/Soap/u/62.0/00D</serverUrl>".encode()

    async def vendor(exchange: Exchange) -> Reply:
        return Reply(200, [], Stream((0.0, told)))

    layer = ClientLoginLayer("salesforce", 30.0)
    at_login = await layer.handle(login(b"/services/Soap/u/62.0", LOGIN), vendor)
    assert await content(at_login) == told.replace(ORIGIN.encode(), b"https://127.0.0.1:9182")
    other = login(b"/services/Soap/u/62.0", ENVELOPE)
    assert await content(await layer.handle(other, vendor)) == told
    assert header(other.headers, b"accept-encoding") == b"gzip"


@pytest.mark.parametrize("target", [b"/services/oauth2/revoke", b"/services/data/v62.0/query", b"/"])
async def test_other_calls_pass(target: bytes) -> None:
    """What is no login is not read."""
    reply = Reply(200, [], Stream((0.0, b"{}")))

    async def vendor(exchange: Exchange) -> Reply:
        return reply

    body = reply.body
    assert (await ClientLoginLayer("salesforce", 30.0).handle(login(target), vendor)).body is body


@virtual
async def test_a_refused_login_passes() -> None:
    """An error of the token endpoint is the client's to read."""
    body = Buffered(b'{"error":"invalid_grant"}')

    async def vendor(exchange: Exchange) -> Reply:
        return Reply(400, [], body)

    reply = await ClientLoginLayer("salesforce", 30.0).handle(login(), vendor)
    assert (reply.status, reply.body) == (400, body)


@virtual
async def test_the_time_runs_from_the_dispatch() -> None:
    """The wait for a slot does not count; the header section and the content do."""
    events: list[Event] = []
    waits = 100.0

    async def slot() -> None:
        await asyncio.sleep(waits)

    async def vendor(exchange: Exchange) -> Reply:
        assert exchange.before_send is not None
        await exchange.before_send()
        await asyncio.sleep(20)
        return Reply(200, [], Stream((20.0, b"{}")))

    call = login()
    call.before_send = slot
    began = asyncio.get_running_loop().time()
    with pytest.raises(GatewayError) as error:
        await ClientLoginLayer("salesforce", 30.0, events.append).handle(call, vendor)
    assert (error.value.code, error.value.status) == ("auth-timeout", 504)
    assert round(asyncio.get_running_loop().time() - began, 3) == waits + 30.0
    assert events == [ClientLoginTimedOut("salesforce", 30.0)]


@virtual
async def test_an_endless_answer() -> None:
    """An answer that is no login's, by its size, is not held in memory."""

    async def vendor(exchange: Exchange) -> Reply:
        return Reply(200, [], Stream(*[(0.0, b"x" * 65_536)] * 20))

    with pytest.raises(GatewayError) as error:
        await ClientLoginLayer("salesforce", 30.0).handle(login(), vendor)
    assert error.value.code == "upstream-unreachable"
