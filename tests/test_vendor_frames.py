"""Which vendor has which frames, and the secrets that a reload puts in force."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from aiohttp import web

from gateway.config import FileSettings, GatewaySettings
from gateway.config.policy import Policy
from gateway.errors import GatewayError
from gateway.exchange import Buffered, Exchange, Reply, chain
from gateway.reload import waits_for_restart
from gateway.salesforce.client_login import ClientLoginLayer
from gateway.salesforce.layers import CredentialsLayer, SessionLayer
from gateway.salesforce.usage_layer import UsageLayer
from gateway.vendor_frames import vendor_frames
from tests.salesforce.samples import ORIGIN, answer
from tests.salesforce.test_expiry import REST


def policy(upstream: str = "salesforce", **changes: Any) -> Policy:
    data = {
        "upstream": upstream,
        "listen": "127.0.0.1:0",
        "base_url": ORIGIN,
        "rate": {"cap": 10},
        "lanes": [{"name": "default", "concurrency": 1, "timeout": "1s"}],
    }
    return Policy.model_validate(data | changes)


def settings(found: Policy) -> GatewaySettings:
    return GatewaySettings(file=FileSettings(), policies=(found,))


def login(url: str, secret: str) -> dict[str, str]:
    return {"type": "salesforce_client_credentials", "token_url": url, "client_id": "k", "client_secret": secret}


@pytest.mark.parametrize(
    ("found", "kinds"),
    [
        (policy("crm"), []),
        (policy(), [UsageLayer, ClientLoginLayer]),
        (policy(auth={"timeout": "1s"}), [UsageLayer, ClientLoginLayer]),
        (
            policy(auth=login(ORIGIN, "hush")),
            [UsageLayer, SessionLayer, CredentialsLayer, ClientLoginLayer],
        ),
    ],
)
async def test_frames(found: Policy, kinds: list[type]) -> None:
    """Salesforce's usage is watched and its clients' logins are kept; the session is there when the gateway logs in."""
    frames = vendor_frames(found, pause=lambda *_: None)
    assert [type(layer) for layer in (*frames.before, *frames.attempt, *frames.inside)] == kinds
    await frames.aclose()


async def test_a_reloaded_guard_counts_at_once() -> None:
    """What a policy says of the day's calls, and of the header that tells a priority, waits for no restart."""
    frames = vendor_frames(policy(), pause=lambda *_: None)

    async def vendor(_: Exchange) -> Reply:
        return Reply(200, [(b"Sforce-Limit-Info", b"api-usage=97/100")])

    road = chain(frames.before, vendor)
    urgent = [(b"X-Urgency", b"high")]
    assert (await road(Exchange("GET", b"/services/data"))).status == 200
    after = policy(daily={}, queue={"priority_header": "X-Urgency"})
    frames.follow(after)
    assert (await road(Exchange("GET", b"/services/data"))).status == 200  # it tells what is used
    with pytest.raises(GatewayError):
        await road(Exchange("GET", b"/services/data"))
    assert (await road(Exchange("GET", b"/services/data", urgent))).status == 200
    assert waits_for_restart(settings(policy()), settings(after)) == []


async def test_a_fault_is_no_failure() -> None:
    """Salesforce's SOAP APIs answer 500 to a call that they refuse, which says nothing against Salesforce."""
    failed = vendor_frames(policy(), pause=lambda *_: None).failed
    soap, rest = Exchange("POST", b"/services/Soap/u/62.0"), Exchange("GET", b"/services/data")
    assert [failed(soap, 500), failed(soap, 503), failed(rest, 500), failed(rest, 404)] == [False, True, True, False]
    assert vendor_frames(policy("whmcs"), pause=lambda *_: None).failed(soap, 500)


async def test_a_reloaded_secret_is_used_by_the_next_login() -> None:
    """New secrets wait for no restart, and are not told of as if they did; other keys of a policy do."""
    sent: list[str] = []

    async def token(request: web.Request) -> web.Response:
        sent.append(str((await request.post())["client_secret"]))
        return web.Response(body=answer(f"token-{len(sent)}")[1])

    application = web.Application()
    application.router.add_post("/token", token)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}/token"
    before, after = policy(auth=login(url, "hush-1")), policy(auth=login(url, "hush-2"))
    frames = vendor_frames(before, pause=lambda *_: None)

    async def vendor(exchange: Exchange) -> Reply:
        refused = dict(exchange.headers)[b"Authorization"] == b"Bearer token-1"
        return Reply(401, [], Buffered(REST)) if refused and len(sent) == 1 and renewed else Reply(200)

    renewed = False
    road = chain([*frames.attempt, *frames.inside], vendor)
    keeping = asyncio.create_task(frames.run[0]())
    assert (await road(Exchange("GET", b"/services/data"))).status == 200
    frames.follow(after)
    renewed = True
    assert (await road(Exchange("GET", b"/services/data"))).status == 200
    keeping.cancel()
    assert sent == ["hush-1", "hush-2"]
    assert waits_for_restart(settings(before), settings(after)) == []
    assert waits_for_restart(settings(before), settings(policy(auth=login(url + "2", "hush-1")))) == ["policies"]
    await frames.aclose()
    await runner.cleanup()


WHMCS = {"type": "whmcs", "identifier": "own", "secret": "hush-1"}


def form(content: bytes, target: bytes = b"/includes/api.php") -> Exchange:
    return Exchange("POST", target, [(b"Content-Type", b"application/x-www-form-urlencoded")], Buffered(content))


@pytest.mark.parametrize(
    "target", [b"/includes/api.php", b"/whmcs/includes/api.php", b"/api.php?x", b"/includes//API%2ephp/", b"/api.php/x"]
)
async def test_every_spelling_of_whmcs_api_is_given_credentials(target: bytes) -> None:
    """Wherever WHMCS is installed, and however the path is written, a call leaves with the gateway's credentials, those
    of the policy that was read last; calls of anything else leave as they came."""
    frames, sent = vendor_frames(policy("whmcs", auth=WHMCS), pause=lambda *_: None), []

    async def vendor(exchange: Exchange) -> Reply:
        assert isinstance(exchange.body, Buffered)
        sent.append(exchange.body.content)
        return Reply(200, [], Buffered(b'{"result":"error"}'))

    road = chain([*frames.attempt, *frames.inside], vendor)
    assert (await road(form(b"a=b", target))).failure == "error"
    frames.follow(policy("whmcs", auth=WHMCS | {"secret": "hush-2"}))
    await road(form(b"a=b", target))
    assert (await road(form(b"a=b", b"/other.php"))).failure == ""
    assert sent == [b"identifier=own&secret=hush-1&a=b", b"identifier=own&secret=hush-2&a=b", b"a=b"]


async def test_without_credentials_of_its_own_the_gateway_changes_nothing() -> None:
    """A policy without `auth` passes the client's credentials on, and reads what the answer means all the same."""
    frames, exchange = (
        vendor_frames(policy("whmcs"), pause=lambda *_: None),
        form(b"action=AddOrder&secret=hush-theirs"),
    )

    async def vendor(exchange: Exchange) -> Reply:
        return Reply(200, [], Buffered(b'{"result":"error"}'))

    assert (await chain([*frames.attempt, *frames.inside], vendor)(exchange)).failure == "error"
    assert isinstance(exchange.body, Buffered)
    assert exchange.body.content == b"action=AddOrder&secret=hush-theirs"


@pytest.mark.parametrize(
    ("exchange", "may"),
    [
        (form(b"action=GetClients"), True),
        (form(b"action=AddOrder"), False),
        (form(b"action=GetClients", b"/other.php"), False),
        (Exchange("GET", b"/other.php"), True),
        (Exchange("GET", b"/includes/api.php?action=AddOrder"), False),
    ],
)
def test_what_may_be_sent_again(exchange: Exchange, may: bool) -> None:
    """A call of WHMCS's API goes by its action, whatever its method; anything else by its method."""
    assert vendor_frames(policy("whmcs"), pause=lambda *_: None).may_retry(exchange) is may
