"""The gateway's own credentials for WHMCS, through real sockets against the demo's simulator; the client is whmcspy,
unmodified, with its base URL changed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from whmcspy import WHMCS as Client
from whmcspy.exceptions import Error, MissingPermission

from gateway.demo.accounts import WHMCS
from gateway.demo.credentials import fingerprint
from gateway.demo.services import Services
from gateway.demo.whmcs import ENDPOINT, Whmcs
from tests.end_to_end.conftest import StartGateway
from tests.end_to_end.salesforce_org import everything_told, metrics, tells_no_secret
from tests.support.process import GatewayProcess

AUTH = {"type": "whmcs", "identifier": WHMCS.identifier, "secret": WHMCS.secret}
THEIRS = "hush-theirs"


@pytest.fixture
async def vendor() -> AsyncIterator[Services]:
    """A simulated WHMCS, as quick as it can be."""
    async with Services(only=("whmcs",), whmcs=Whmcs(latency=0)) as services:
        yield services


def policy(vendor: Services, **changes: Any) -> dict[str, Any]:
    return {
        "base_url": vendor.addresses["whmcs"],
        "rate": {"cap": 10_000},
        "lanes": [{"name": "default", "concurrency": 15, "timeout": "30s"}],
        "auth": AUTH,
        **changes,
    }


def calls(seen: dict[str, float], outcome: str, lane: str = "default") -> float:
    return seen.get(f'gateway_throttle_calls_total{{lane="{lane}",outcome="{outcome}",upstream="whmcs"}}', 0.0)


async def post(client: aiohttp.ClientSession, gateway: GatewayProcess, **form: str) -> tuple[int, str]:
    async with client.post(gateway.url("whmcs") + ENDPOINT, data={"secret": THEIRS, **form}) as response:
        return response.status, await response.text()


async def talk(gateway: GatewayProcess, conversation: Callable[[Client], None]) -> None:
    """Have a conversation with a client whose credentials are not WHMCS's."""
    client = Client(gateway.url("whmcs") + ENDPOINT, "their-identifier", THEIRS)
    await asyncio.to_thread(conversation, client)


async def test_read_write_error_and_wrong_address(
    start_gateway: StartGateway, client: aiohttp.ClientSession, vendor: Services
) -> None:
    """An unmodified client reads, writes, and tells errors and a wrong address apart, as straight at WHMCS; only the
    gateway's credentials arrive; an error with status 200 is counted as one; nothing tells anything of a form."""
    gateway = await start_gateway({"whmcs": policy(vendor)}, log={"level": "debug"})

    def conversation(whmcs: Client) -> None:
        assert whmcs.call("GetClients")["totalresults"] == 2
        assert whmcs.call("AddOrder", clientid=1, pid=[1, 2], notes="private words")["productids"] == "1,2"
        with pytest.raises(Error, match="Client Not Found"):
            whmcs.call("GetClientsDetails", clientid=99)
        vendor.whmcs.behaviour.allow_ip = False
        for _ in range(5):
            with pytest.raises(MissingPermission, match=r"Invalid IP 127\.0\.0\.1"):
                whmcs.call("GetClients")

    await talk(gateway, conversation)
    report = vendor.whmcs.report(60)
    assert report["actions"] == {"AddOrder": 1, "GetClients": 6, "GetClientsDetails": 1}
    assert report["credentials"] == {
        "identifier": [fingerprint(WHMCS.identifier)],
        "secret": [fingerprint(WHMCS.secret)],
    }
    seen = await metrics(client, gateway)
    assert (calls(seen, "ok"), calls(seen, "error")) == (2, 6)
    assert await tells_no_secret(client, gateway)
    told = await everything_told(client, gateway)
    assert not [text for text in (WHMCS.identifier, "their-identifier", "private", "AddOrder") if text in told]


async def test_the_access_key(start_gateway: StartGateway, vendor: Services) -> None:
    """The gateway's access key lets calls pass from an address that is not on the list."""
    vendor.whmcs.behaviour.allow_ip = False
    gateway = await start_gateway({"whmcs": policy(vendor, auth=AUTH | {"accesskey": WHMCS.accesskey})})
    await talk(gateway, lambda whmcs: whmcs.call("GetClients"))


async def test_credentials_from_the_environment(start_gateway: StartGateway, vendor: Services) -> None:
    """A policy that says no more than the type takes the three variables."""
    vendor.whmcs.behaviour.allow_ip = False
    environ = {
        "WHMCS_IDENTIFIER": WHMCS.identifier,
        "WHMCS_SECRET": WHMCS.secret,
        "WHMCS_ACCESSKEY": WHMCS.accesskey,
    }
    gateway = await start_gateway({"whmcs": policy(vendor, auth={"type": "whmcs"})}, environ)
    await talk(gateway, lambda whmcs: whmcs.call("GetClients"))


async def test_a_multipart_form(start_gateway: StartGateway, client: aiohttp.ClientSession, vendor: Services) -> None:
    """Nested fields of a multipart form with a file arrive, the gateway's credentials with them."""
    gateway = await start_gateway({"whmcs": policy(vendor)})
    form = aiohttp.FormData(default_to_multipart=True)
    for name, value in {"action": "AddOrder", "clientid": "1", "pid[0]": "1", "secret": THEIRS, "pid[1]": "2"}.items():
        form.add_field(name, value)
    form.add_field("file", b"\x00\xff", filename="a.bin")
    async with client.post(gateway.url("whmcs") + ENDPOINT, data=form) as response:
        assert (response.status, (await response.json())["productids"]) == (200, "1,2")
    assert vendor.whmcs.report(60)["credentials"]["secret"] == [fingerprint(WHMCS.secret)]


async def test_wrong_credentials_do_not_ban_the_address(
    start_gateway: StartGateway, client: aiohttp.ClientSession, vendor: Services, tmp_path: Path
) -> None:
    """Twenty calls at once with a wrong secret: the vendor sees two, the others get 503; the right secret in the file
    ends it, with no restart; nothing tells a credential."""
    (tmp_path / "secret").write_text("hush-wrong")
    auth = {"type": "whmcs", "identifier": WHMCS.identifier, "secret_file": str(tmp_path / "secret")}
    gateway = await start_gateway({"whmcs": policy(vendor, auth=auth, retry={})}, log={"level": "debug"})
    found = await asyncio.gather(*(post(client, gateway, action="GetClients") for _ in range(20)))
    assert sorted(status for status, _ in found) == [403] * 2 + [503] * 18
    assert all("urn:gateway:error:breaker-open" in text for status, text in found if status == 503)
    assert vendor.whmcs.report(60)["failed_logins"] == 2
    (line,) = await gateway.logged("WHMCS refuses the credentials, its calls pause", 5)
    assert (line["upstream"], line["pause"]) == ("whmcs", 900.0)
    (tmp_path / "secret").write_text(WHMCS.secret)
    await gateway.logged("Configuration reloaded", 10)
    assert (await post(client, gateway, action="GetClients"))[0] == 200
    assert await tells_no_secret(client, gateway)


async def test_only_reads_are_made_again(
    start_gateway: StartGateway, client: aiohttp.ClientSession, vendor: Services
) -> None:
    """Though both are posts, a read that met a 503 is made again and a write is not; nor is a refused address."""
    retry = {"statuses": [403, 429, 503], "budget": 1.0}
    gateway = await start_gateway({"whmcs": policy(vendor, retry=retry)})
    behaviour = vendor.whmcs.behaviour
    for fault, action, status, seen in (
        ("unavailable", "GetClients", 200, 2),
        ("rate_limit", "GetOrders", 200, 2),
        ("unavailable", "AddOrder", 503, 1),
        ("invalid_ip", "GetInvoices", 403, 1),
    ):
        behaviour.fault, behaviour.fault_times = fault, 1  # type: ignore[assignment]
        assert (await post(client, gateway, action=action, clientid="1"))[0] == status
        assert vendor.whmcs.report(60)["actions"][action] == seen


@pytest.mark.parametrize(
    ("content", "kind", "status", "code"),
    [
        (b"secret=hush-theirs&a=" + b"x" * 300_000, "application/x-www-form-urlencoded", 413, "payload-too-large"),
        (b'{"secret":"hush-theirs"}', "application/json", 501, "not-implemented"),
        (b"secret=hush-theirs", "multipart/form-data; boundary=b", 400, "bad-request"),
    ],
    ids=["large", "json", "broken"],
)
async def test_what_cannot_have_the_credentials_is_not_sent(
    start_gateway: StartGateway,
    client: aiohttp.ClientSession,
    vendor: Services,
    content: bytes,
    kind: str,
    status: int,
    code: str,
) -> None:
    """A call that the gateway cannot give its credentials is refused, and WHMCS sees nothing of it."""
    gateway = await start_gateway({"whmcs": policy(vendor)}, log={"level": "debug"})
    url, headers = gateway.url("whmcs") + ENDPOINT, {"Content-Type": kind}
    async with client.post(url, data=content, headers=headers) as response:
        assert (response.status, (await response.json())["type"]) == (status, f"urn:gateway:error:{code}")
    assert vendor.whmcs.report(60)["calls"] == 0
    assert await tells_no_secret(client, gateway)


async def test_metrics_by_class_of_action(
    start_gateway: StartGateway, client: aiohttp.ClientSession, vendor: Services
) -> None:
    """A policy with a lane for each class has its metrics by class, though every call is a post to one path."""
    lanes = [
        {"name": name, "match": [{"header": {"X-Gateway-Lane": name}}], "concurrency": 5, "timeout": "30s"}
        for name in ("read", "write")
    ]
    default = {"name": "default", "concurrency": 5, "timeout": "30s"}
    gateway = await start_gateway({"whmcs": policy(vendor, lanes=[*lanes, default])})
    for action in ("GetClients", "GetOrders", "AddOrder"):
        await post(client, gateway, action=action, clientid="1")
    await post(client, gateway)
    seen = await metrics(client, gateway)
    assert (calls(seen, "ok", "read"), calls(seen, "ok", "write"), calls(seen, "error", "default")) == (2, 1, 1)


async def test_a_clients_own_credentials(start_gateway: StartGateway, vendor: Services) -> None:
    """Without `auth` the client's own credentials pass through."""
    gateway = await start_gateway({"whmcs": policy(vendor, auth=None)})
    whmcs = Client(gateway.url("whmcs") + ENDPOINT, WHMCS.identifier, WHMCS.secret)
    assert (await asyncio.to_thread(whmcs.call, "GetClients"))["totalresults"] == 2
