"""A token endpoint and a Salesforce that are functions, for the tests of the room."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

from gateway.events import Event
from gateway.exchange import Buffered, Exchange, Handler, Headers, Layer, Reply, chain, header
from gateway.salesforce.expiry import kind_of
from gateway.salesforce.keeper import Keeper
from gateway.salesforce.layers import CredentialsLayer, SessionLayer
from gateway.salesforce.settings import AuthSettings
from tests.support.virtual import LoopClock

ORIGIN = "https://acme.my.salesforce.com"
TOKEN_URL = f"{ORIGIN}/services/oauth2/token"
SECRET = "hush-client-secret"
TTL = 720.0
BUFFER = 60.0
TIMEOUT = 30.0


def auth(**changes: Any) -> AuthSettings:
    """Client credentials, with the documented times."""
    data = {
        "type": "salesforce_client_credentials",
        "token_url": TOKEN_URL,
        "client_id": "key",
        "client_secret": SECRET,
    }
    return AuthSettings.model_validate(data | changes)


def answer(token: str, origin: str = ORIGIN) -> tuple[int, bytes]:
    """What the token endpoint says to a good login."""
    return 200, json.dumps({"access_token": token, "instance_url": origin, "id": f"{origin}/id/00D/005"}).encode()


def denial(error: str, description: str) -> tuple[int, bytes]:
    """What it says to a bad one."""
    return 400, json.dumps({"error": error, "error_description": description}).encode()


class Endpoint:
    """A token endpoint. It answers after `latency` seconds with a new session, or with `result` when that is set.

    Attributes:
        logins: when each login came, by the loop's clock.
    """

    def __init__(self, latency: float = 0.2) -> None:
        self.latency = latency
        self.result: Callable[[], tuple[int, bytes]] | None = None
        self.logins: list[float] = []
        self.good: set[str] = set()
        self.origin = ORIGIN

    async def __call__(self, url: str, headers: Headers, content: bytes) -> tuple[int, bytes]:
        self.logins.append(asyncio.get_running_loop().time())
        await asyncio.sleep(self.latency)
        if self.result is not None:
            return self.result()
        token = f"hush-session-{len(self.logins)}"
        self.good.add(token)
        return answer(token, self.origin)


class Org:
    """The end of the road: answers REST calls, after `latency` seconds, to whoever has a good session."""

    def __init__(self, endpoint: Endpoint, latency: float = 0.05) -> None:
        self.endpoint = endpoint
        self.latency = latency
        self.calls: list[tuple[str | None, str]] = []
        """Where each call went, and the token it had."""
        self.refused = 0

    async def __call__(self, exchange: Exchange) -> Reply:
        if exchange.before_send is not None:
            await exchange.before_send()
        await asyncio.sleep(self.latency)
        token = (header(exchange.headers, b"authorization") or b"").decode().removeprefix("Bearer ")
        self.calls.append((exchange.origin, token))
        if kind_of(exchange.target) != "token" and token not in self.endpoint.good:
            self.refused += 1
            told = [{"message": "Session expired or invalid", "errorCode": "INVALID_SESSION_ID"}]
            return Reply(401, [], Buffered(json.dumps(told).encode()))
        return Reply(200, [], Buffered(b"{}"))


def keeper(endpoint: Endpoint, events: list[Event] | None = None, **changes: Any) -> Keeper:
    """A keeper on the running loop's clock; chance always says one half."""
    emit = (events if events is not None else []).append
    return Keeper("salesforce", auth(**changes), endpoint, emit=emit, clock=LoopClock(), random=lambda: 0.5)


def road(kept: Keeper, org: Handler, *between: Layer) -> Handler:
    """The frames of the session, with others between them, to `org`."""
    return chain([SessionLayer(kept), *between, CredentialsLayer(kept)], org)


def query(body: bytes = b"", target: bytes = b"/services/data/v62.0/query") -> Exchange:
    """A call of a client that has credentials of its own."""
    return Exchange("GET", target, [(b"Authorization", b"Bearer hush-own")], Buffered(body))


async def status(handler: Handler, exchange: Exchange) -> int:
    """Make a call, read its answer, and return the status."""
    reply = await handler(exchange)
    async for _ in reply.body:
        pass
    await reply.body.aclose()
    return reply.status
