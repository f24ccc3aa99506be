"""What the token tests share: a portal in front of a scripted backend, on a ledger whose time they set."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import redis

from gateway.errors import GatewayError, StoreUnavailable
from gateway.events import Event, ignore
from gateway.exchange import Buffered, Exchange, Headers, Reply, header, header_values, read_all
from gateway.redis_client.client import RedisClient
from gateway.redis_client.scripts import Script
from gateway.redis_client.settings import RedisSettings
from gateway.tokens.claims import Mint, RefreshToken
from gateway.tokens.layer import TokensLayer
from gateway.tokens.ledger import Ledger
from gateway.tokens.redis_ledger import RedisLedger
from gateway.tokens.rotation import Family, Presented, Record, Tombstone
from gateway.tokens.settings import TokenSettings
from gateway.tokens.standstill import Standstill
from tests.support.valkey import ValkeyServer

SECRET = "hush-access-key-of-at-least-32-bytes"
START = 1_800_000_000.0
KEY = "gw:t:{42}"
"""Where the families of the portal's usual user are."""


class SetClock:
    """A clock that moves when it is told to."""

    def __init__(self, now: float = START) -> None:
        self.now = now

    def monotonic(self) -> float:
        return self.now

    def wall(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now = round(self.now + seconds, 3)


class TimedClient:
    """Runs scripts on a real server, with a time of the test's in place of the server's.

    `before` and `after` run around every script, to fail it before it is sent or after it was carried out.
    """

    def __init__(self, server: ValkeyServer, clock: SetClock) -> None:
        self.redis = redis.Redis.from_url(server.url, protocol=2)
        self.clock = clock
        self.sent: list[tuple[str, tuple[str, ...]]] = []
        self.before: Callable[[str], object] = lambda name: None
        self.after: Callable[[str], object] = lambda name: None

    async def run(self, script: Script, keys: Sequence[str], args: Sequence[Any]) -> Any:
        self.before(script.name)
        self.sent.append((script.name, tuple(keys)))
        seconds, micros = divmod(round(self.clock.now * 1_000_000), 1_000_000)
        source = script.source.replace("redis.call('TIME')", f"{{'{seconds}','{micros}'}}")
        assert source != script.source
        # The server's own expiry runs by its own time: a day more, so that it never comes into a test's sequence.
        source = source.replace("seconds * 1000 - NOW", "seconds * 1000 - NOW + 86400000")
        reply = self.redis.eval(source, len(keys), *keys, *args)
        self.after(script.name)
        return reply

    def sibling(self, key: str, name: str) -> str:
        return name

    def close(self) -> None:
        self.redis.close()


class AwayLedger:
    """A ledger that never answers, for the given reason."""

    def __init__(self, kind: str = "away") -> None:
        self.kind = kind

    async def issue(self, user: str, family: str, key_id: str, device: str) -> Any:
        raise StoreUnavailable(self.kind)

    async def refresh(self, user: str, presented: Presented, key_id: str) -> Any:
        raise StoreUnavailable(self.kind)

    async def end(self, user: str, presented: Presented, reason: str) -> bool:
        raise StoreUnavailable(self.kind)

    async def families(self, user: str) -> Any:
        raise StoreUnavailable(self.kind)

    async def close(self, user: str, family: str, reason: str) -> bool:
        raise StoreUnavailable(self.kind)

    async def close_all(self, user: str, reason: str) -> Any:
        raise StoreUnavailable(self.kind)

    async def keep(self, user: str, presented: Presented) -> bool:
        raise StoreUnavailable(self.kind)

    async def remember(self, user: str, claims: str) -> None:
        raise StoreUnavailable(self.kind)

    async def recall(self, user: str) -> Any:
        raise StoreUnavailable(self.kind)


def away(kind: str = "away") -> Callable[[str], None]:
    """Return a hook that fails every script."""

    def fail(name: str) -> None:
        raise StoreUnavailable(kind)

    return fail


def token_settings(**changes: Any) -> TokenSettings:
    """Return settings with one key."""
    return TokenSettings.model_validate({"enabled": True, "keys": ({"kid": "main", "secret": SECRET},), **changes})


@dataclass
class Outcome:
    """What a client sees."""

    status: int
    headers: Headers = field(repr=False)
    content: bytes = field(repr=False)
    code: str = ""

    @property
    def json(self) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(self.content)
        return document

    @property
    def access(self) -> str:
        return str(self.json["accessToken"])

    @property
    def token(self) -> str:
        """The refresh token, from wherever it travels."""
        if (cookie := self.cookies.get("refresh_token")) is not None:
            return cookie
        return str(self.json["refreshToken"])

    @property
    def cookies(self) -> dict[str, str]:
        pairs = [value.decode().split(";")[0].partition("=") for value in header_values(self.headers, b"set-cookie")]
        return {name: value for name, _, value in pairs}

    def header(self, name: bytes) -> bytes | None:
        return header(self.headers, name)


@dataclass
class Backend:
    """A backend that answers every request with what it is told to."""

    status: int = 200
    headers: Headers = field(default_factory=lambda: [(b"Content-Type", b"application/json")])
    content: bytes = b'{"user":{"id":"42","email":"ann@example.com","role":"admin"}}'
    seen: list[Exchange] = field(default_factory=list)

    async def handle(self, exchange: Exchange) -> Reply:
        self.seen.append(exchange)
        return Reply(self.status, list(self.headers), Buffered(self.content))

    def knows(self, user: object) -> None:
        self.content = json.dumps({"user": {"id": user, "email": "ann@example.com", "role": "admin"}}).encode()


class Portal:
    """A token layer between clients and a scripted backend."""

    def __init__(self, ledger: Ledger, clock: SetClock, **changes: Any) -> None:
        self.clock = clock
        self.ledger = ledger
        self.settings = token_settings(**changes)
        self.mint = Mint(self.settings)
        self.backend = Backend()
        self.events: list[Event] = []
        self.standstill = Standstill()
        self.available = True
        self.layer = TokensLayer(
            self.settings,
            ledger,
            login=lambda exchange: exchange.target.startswith(b"/login"),
            refresh=lambda exchange: exchange.target.startswith(b"/refresh"),
            logout=lambda exchange: exchange.target.startswith(b"/logout"),
            emit=self.events.append,
            clock=clock,
            standstill=self.standstill,
            available=lambda: self.available,
        )

    async def send(self, exchange: Exchange) -> Outcome:
        """Send a request and read the answer whole."""
        try:
            reply = await self.layer.handle(exchange, self.backend.handle)
        except GatewayError as error:
            return Outcome(error.status, error.headers, b"", error.code)
        content = await read_all(reply.body, 10_000_000)
        await reply.body.aclose()
        return Outcome(reply.status, reply.headers, content)

    async def login(self, user: object = "42", agent: str = "test") -> Outcome:
        self.backend.knows(user)
        return await self.send(Exchange("POST", b"/login", [(b"User-Agent", agent.encode())], client="192.0.2.77"))

    async def refresh(self, token: object) -> Outcome:
        return await self.send(self.request(b"/refresh", token))

    async def logout(self, token: object) -> Outcome:
        return await self.send(self.request(b"/logout", token))

    def request(self, target: bytes, token: object) -> Exchange:
        if self.settings.carrier == "cookie":
            cookie = f"theme=dark; {self.settings.cookie.refresh}={token}".encode()
            return Exchange("POST", target, [(b"Cookie", cookie)], client="192.0.2.77")
        body = Buffered(json.dumps({"refreshToken": token}).encode())
        return Exchange("POST", target, [(b"Content-Type", b"application/json")], body, client="192.0.2.77")

    def read(self, token: str) -> RefreshToken:
        return self.mint.read(token)

    def reported(self, kind: type[Event]) -> list[Any]:
        return [event for event in self.events if type(event) is kind]


def on_valkey(server: ValkeyServer, clock: SetClock | None = None, **changes: Any) -> tuple[Portal, TimedClient]:
    """Return a portal whose families are in a real server, by the test's clock."""
    clock = clock or SetClock()
    client = TimedClient(server, clock)
    settings = token_settings(**changes)
    ledger = RedisLedger(client, settings.policy, clock=clock)  # type: ignore[arg-type]
    return Portal(ledger, clock, **changes), client


def presented_of(token: RefreshToken) -> Presented:
    """Return what a ledger is told of a token."""
    return Presented(
        token.family, token.generation, token.auth_time, token.issued_at, token.expires, token.degraded, "test"
    )


def records_of(client: redis.Redis, key: str) -> dict[str, Record]:
    """Read a user's hash back, by the format that families.lua documents."""
    records: dict[str, Record] = {}
    for name, value in client.hgetall(key).items():  # type: ignore[union-attr]
        if name in (b"floor", b"claims"):
            continue
        kind, *fields = value.decode().split(":", 8)
        if kind == "T":
            reason, until, auth = fields
            records[name.decode()] = Tombstone(reason, int(until), int(auth))
        else:
            generation, key_id, rotated, auth, expires, adopted, kept, device = fields
            records[name.decode()] = Family(
                int(generation), key_id, int(rotated), int(auth), int(expires), adopted == "1", device, kept == "1"
            )
    return records


def connect(server: ValkeyServer, timeout: float = 5.0) -> RedisClient:
    """Return a real client with time enough for a busy machine."""
    settings = RedisSettings(command_timeout=timeout, connect_timeout=timeout)
    return RedisClient.connect(settings, server.url, emit=ignore)


def another_gateway(portal: Portal, **changes: Any) -> Portal:
    """Return a second replica on the same ledger, with nothing of the first one's memory."""
    return Portal(portal.ledger, portal.clock, **changes)


def generation(portal: Portal, outcome: Outcome) -> int:
    """Return the generation that a success brought."""
    assert outcome.status == 200
    return portal.read(outcome.token).generation


def same(*outcomes: Outcome) -> bool:
    """Tell whether all brought the same refresh token, without showing it."""
    return len({outcome.token for outcome in outcomes}) == 1


def state_of(client: TimedClient) -> Any:
    """Return the raw hash of the portal's usual user."""
    return client.redis.hgetall(KEY)
