"""The gateway's own session with Salesforce, through real sockets against the demo's simulator."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from gateway.demo.accounts import SALESFORCE
from gateway.demo.salesforce_key import private_pem
from gateway.demo.services import Services
from tests.end_to_end.conftest import StartGateway
from tests.end_to_end.salesforce_org import metrics, organisation, policy, tells_no_secret
from tests.support import leaks
from tests.support.process import GatewayProcess
from tests.support.tls import Authority

OWN = "hush-own-token"
QUERY = "/services/data/v62.0/query?q=SELECT+Id+FROM+Contact"
ENVELOPE = (
    '<e:Envelope xmlns:e="http://schemas.xmlsoap.org/soap/envelope/" xmlns:n="urn:partner.soap.sforce.com"><e:Header>'
    f"<n:SessionHeader><n:sessionId>{OWN}</n:sessionId></n:SessionHeader></e:Header>"
    "<e:Body><n:getServerTimestamp/></e:Body></e:Envelope>"
)
FORMS = {
    "rest": ("GET", "/services/data/v62.0/sobjects/Contact/003000000000001", {}, None),
    "bulk_2": ("GET", "/services/data/v62.0/jobs/query/none", {}, None),
    "bulk_1_xml": ("GET", "/services/async/62.0/job/none", {"X-SFDC-Session": OWN}, None),
    "bulk_1_json": ("GET", "/services/async/62.0/job/none", {"Accept": "application/json"}, None),
    "identity": ("GET", f"/id/00Dsim000000001/005sim000000001?oauth_token={OWN}", {}, None),
    "soap": ("POST", "/services/Soap/u/62.0", {"Content-Type": "text/xml", "SOAPAction": '""'}, ENVELOPE),
}


@pytest.fixture
async def org() -> AsyncIterator[Services]:
    """A simulated Salesforce."""
    async with organisation() as services:
        yield services


async def end_sessions(client: aiohttp.ClientSession, org: Services) -> None:
    async with client.post(org.addresses["salesforce"] + "/_simulator/end-sessions") as response:
        assert response.status == 204


async def call(client: aiohttp.ClientSession, gateway: GatewayProcess, form: str) -> tuple[int, str]:
    method, path, headers, body = FORMS[form]
    fields = {"Authorization": f"Bearer {OWN}", **headers}
    async with client.request(method, gateway.url("salesforce") + path, headers=fields, data=body) as response:
        return response.status, await response.text()


@pytest.mark.parametrize("form", list(FORMS))
async def test_an_expired_session_is_recovered(
    start_gateway: StartGateway, client: aiohttp.ClientSession, org: Services, form: str
) -> None:
    """In each API's form an ended session is noticed and replaced, and the client sees the answer to its call alone."""
    gateway = await start_gateway({"salesforce": policy(org)})
    usual = await call(client, gateway, form)
    assert usual[0] < 500
    assert "InvalidSessionId" not in usual[1]
    await end_sessions(client, org)
    assert await call(client, gateway, form) == usual
    seen = await metrics(client, gateway)
    assert seen["gateway_salesforce_session_expired_total"] == 1
    assert seen['gateway_salesforce_auth_total{reason="expired",result="ok"}'] == 1
    assert seen["gateway_salesforce_auth_duration_seconds_count"] == 2
    assert (await gateway.logged("Salesforce re-authentication", 5))[0]["duration"] >= 0


async def test_fifty_calls_make_one_login(
    start_gateway: StartGateway, client: aiohttp.ClientSession, org: Services
) -> None:
    """Fifty calls at once on an ended session: one login, fifty answers; the usage is told as a metric."""
    gateway = await start_gateway({"salesforce": policy(org)})
    assert (await call(client, gateway, "rest"))[0] == 200
    await end_sessions(client, org)
    answers = await asyncio.gather(*(call(client, gateway, "rest") for _ in range(50)))
    assert {status for status, _ in answers} == {200}
    seen = await metrics(client, gateway)
    assert seen['gateway_salesforce_auth_total{reason="expired",result="ok"}'] == 1
    assert 0 < seen["gateway_salesforce_api_usage_ratio"] < 0.01


@pytest.mark.parametrize("kind", ["salesforce_jwt", "salesforce_client_credentials"])
async def test_every_login(
    start_gateway: StartGateway, client: aiohttp.ClientSession, org: Services, tmp_path: Path, kind: str
) -> None:
    """The gateway logs in by an assertion signed with a key from a file, or with key and secret; base_url may be left
    out then."""
    (tmp_path / "sf.key").write_text(private_pem())
    settings = policy(org, base_url="")
    settings["auth"] |= {"type": kind, "private_key_file": str(tmp_path / "sf.key")}
    gateway = await start_gateway({"salesforce": settings})
    assert (await call(client, gateway, "rest"))[0] == 200


async def test_a_login_that_is_refused(
    start_gateway: StartGateway, client: aiohttp.ClientSession, org: Services
) -> None:
    """A wrong password is a 502 with its code and no detail, tried once, and told in the log."""
    settings = policy(org)
    settings["auth"]["password"] = "hush-wrong"
    gateway = await start_gateway({"salesforce": settings})
    for _ in range(3):
        status, text = await call(client, gateway, "rest")
        assert (status, json.loads(text)["type"]) == (502, "urn:gateway:error:auth-failed")
    (line,) = await gateway.logged("Salesforce authentication failed", 5)
    assert line["problem"] == "status 400, invalid_grant: authentication failure"
    assert org.salesforce.report(60)["calls"] == 1


async def test_a_login_that_hangs(start_gateway: StartGateway, client: aiohttp.ClientSession, org: Services) -> None:
    """A token endpoint that does not answer is a 504 at `timeout` for all who wait, with its own log line."""

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    async with await asyncio.start_server(listen, "127.0.0.1", 0) as silent:
        settings = policy(org)
        port = silent.sockets[0].getsockname()[1]
        settings["auth"] |= {"timeout": "1s", "token_url": f"http://127.0.0.1:{port}/services/oauth2/token"}
        gateway = await start_gateway({"salesforce": settings})
        answers = await asyncio.gather(*(call(client, gateway, "rest") for _ in range(10)))
        await gateway.stop()
    assert {(status, json.loads(text)["type"]) for status, text in answers} == {(504, "urn:gateway:error:auth-timeout")}
    (line, *_) = await gateway.logged("Salesforce authentication timeout", 5)
    assert line["duration"] >= 1


@pytest.mark.parametrize(
    ("mode", "statuses"),
    [("held", {200, 400, 404}), ("refused", {502}), ("pass_through", {400, 401, 403, 500})],
)
async def test_no_credential_is_told(
    start_gateway: StartGateway, client: aiohttp.ClientSession, org: Services, mode: str, statuses: set[int]
) -> None:
    """Whatever happens to sessions, logins and the vendor, no credential is in a log line, a trace, a metric, a probe,
    the status, or an answer of the gateway's own; a token in a query neither."""
    settings = policy(org) if mode != "pass_through" else policy(org, auth=None)
    if mode == "refused":
        settings["auth"] |= {"password": "hush-wrong"}
    gateway = await start_gateway({"salesforce": settings}, log={"level": "debug"})
    told = []
    for form in FORMS:
        await end_sessions(client, org)
        told.append(await call(client, gateway, form))
    assert {status for status, _ in told} == {
        "held": {200, 400, 404},
        "refused": {502},
        "pass_through": {401, 400, 500, 403},
    }[mode]
    await org.__aexit__()
    told += [await call(client, gateway, form) for form in FORMS]
    assert told[-1][0] == 502
    assert leaks.SECRET.search(json.dumps(told)) is None
    assert await tells_no_secret(client, gateway)


async def test_a_client_that_logs_in_by_itself_stays(
    start_gateway: StartGateway, org: Services, tmp_path: Path
) -> None:
    """Without `auth`, over the listener's TLS: the login's answer names the gateway's address, where the client then
    uses its own session."""
    authority = Authority(tmp_path)
    authority.files(tmp_path / "tls.crt", tmp_path / "tls.key", "127.0.0.1")
    tls = {"cert_file": str(tmp_path / "tls.crt"), "key_file": str(tmp_path / "tls.key")}
    gateway = await start_gateway({"salesforce": policy(org, auth=None, tls=tls)})
    here = f"https://{gateway.addresses['salesforce']}"
    form = {
        "grant_type": "password", "client_id": SALESFORCE.client_id, "client_secret": SALESFORCE.client_secret,
        "username": SALESFORCE.username, "password": SALESFORCE.password,
    }  # fmt: skip
    trusting = aiohttp.TCPConnector(ssl=authority.client_side())
    async with aiohttp.ClientSession(connector=trusting) as client:
        async with client.post(f"{here}/services/oauth2/token", data=form) as response:
            answer = await response.json()
        assert answer["instance_url"] == here
        assert answer["id"].startswith(f"{here}/id/")
        bearer = {"Authorization": f"Bearer {answer['access_token']}"}
        async with client.get(answer["instance_url"] + QUERY, headers=bearer) as response:
            assert response.status == 200
