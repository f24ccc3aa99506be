"""What the tests of `mode: guard` share: a backend that mints and rotates, and gateways in front of it."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from gateway.clock import SYSTEM, Clock
from gateway.errors import GatewayError, StoreUnavailable
from gateway.events import Event
from gateway.exchange import Buffered, Exchange, Reply, read_all
from gateway.redis_client.scripts import Script
from gateway.tokens.cookies import values_of
from gateway.tokens.events import TokenOperation
from gateway.tokens.guard_layer import GuardLayer
from gateway.tokens.guard_redis import RedisGuard
from gateway.tokens.guard_store import CLAIM_MS, FORWARD_SECONDS, GuardStore, MemoryGuard, Terms
from gateway.tokens.keys import Keys
from gateway.tokens.ledger import always
from gateway.tokens.memory import MemoryLedger
from gateway.tokens.redis_ledger import RedisLedger
from gateway.tokens.rotation import Policy
from gateway.tokens.settings import TokenSettings
from tests.support.valkey import ValkeyServer
from tests.tokens.support import Outcome, SetClock, TimedClient

SECRET = "hush-guard-secret-of-at-least-32-bytes"
Forward = Callable[[Exchange], Any]


def guard_settings(**changes: Any) -> TokenSettings:
    """Return settings without any key of access tokens."""
    return TokenSettings.model_validate({"enabled": True, "mode": "guard", "refresh_secret": SECRET, **changes})


def jwt_like(**claims: Any) -> str:
    """Return what looks like a JWT; nobody here can verify it."""
    parts = [{"alg": "HS256"}, claims]
    texts = [base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in parts]
    return ".".join([*texts, "c2ln"])


@dataclass
class Minting:
    """A backend that mints refresh tokens, rotates them at each use, and knows each only once."""

    by_cookie: bool = False
    jwt: bool = False
    rotates: bool = True
    padding: int = 0
    valid: dict[str, str] = field(default_factory=dict)
    refreshes: list[str] = field(default_factory=list)
    logouts: int = 0
    at_once: int = 0
    most_at_once: int = 0
    open: asyncio.Event | None = None
    """Refreshes wait for it."""
    holding: asyncio.Event = field(default_factory=asyncio.Event)
    break_after: bool = False
    """The next refresh is carried out, and its answer is lost."""
    seen: list[Exchange] = field(default_factory=list)
    _made: int = 0

    def mint(self, user: str) -> str:
        self._made += 1
        token = jwt_like(sub=user, n=self._made) if self.jwt else f"hush-opaque-{self._made}"
        self.valid[token] = user
        return token

    async def handle(self, exchange: Exchange) -> Reply:
        self.seen.append(exchange)
        content = await read_all(exchange.body, 1_000_000)
        sent = json.loads(content) if content else {}
        if exchange.target == b"/login":
            return self._pair(self.mint(sent["user"]), {"user": {"id": sent["user"]}})
        if exchange.target == b"/refresh":
            return await self._refresh(self._token(exchange, sent))
        if exchange.target == b"/logout":
            self.logouts += 1
            self.valid.pop(self._token(exchange, sent), None)
            return Reply(204)
        return Reply(200, [], Buffered(b"other"))

    def _token(self, exchange: Exchange, sent: dict[str, Any]) -> str:
        if self.by_cookie:
            return (values_of(exchange.headers, b"refresh_token") or [""])[0]
        return str(sent.get("refreshToken", ""))

    async def _refresh(self, token: str) -> Reply:
        self.refreshes.append(token)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            self.holding.set()
            if self.open is not None:
                await self.open.wait()
            await asyncio.sleep(0)
        finally:
            self.at_once -= 1
        if token not in self.valid:
            return Reply(401, [(b"Content-Type", b"application/json")], Buffered(b'{"message":"no"}'))
        user = self.valid.pop(token) if self.rotates else self.valid[token]
        reply = self._pair(
            self.mint(user) if self.rotates else None, {"n": len(self.refreshes), "pad": "x" * self.padding}
        )
        if self.break_after:
            self.break_after = False
            raise GatewayError("upstream-unreachable", private="broke off")
        return reply

    def _pair(self, token: str | None, content: dict[str, Any]) -> Reply:
        headers = [(b"Content-Type", b"application/json"), (b"X-Trace", b"\xff 1"), (b"x-trace", b"2")]
        content["accessToken"] = "hush-access"
        if token is not None and self.by_cookie:
            headers.append((b"Set-Cookie", f"refresh_token={token}; Path=/; HttpOnly".encode()))
        elif token is not None:
            content["refreshToken"] = token
        return Reply(200, headers, Buffered(json.dumps(content).encode()), b"Fine")


class Gate:
    """A gateway in `mode: guard`, as a client sees it."""

    def __init__(
        self,
        store: GuardStore,
        forward: Forward,
        *,
        clock: Clock = SYSTEM,
        seconds: float = FORWARD_SECONDS,
        **changes: Any,
    ):
        self.settings = guard_settings(**changes)
        self.store = store
        self.forward = forward
        self.available = store.whole if isinstance(store, Faulty) else always
        self.events: list[Event] = []
        self.layer = GuardLayer(
            self.settings,
            Keys(self.settings),
            store,
            login=lambda exchange: exchange.target.startswith(b"/login"),
            refresh=lambda exchange: exchange.target.startswith(b"/refresh"),
            logout=lambda exchange: exchange.target.startswith(b"/logout"),
            emit=self.events.append,
            clock=clock,
            available=lambda: self.available(),
            forward_seconds=seconds,
        )

    async def send(self, exchange: Exchange) -> Outcome:
        try:
            reply = await self.layer.handle(exchange, self.forward)
        except GatewayError as error:
            return Outcome(error.status, error.headers, b"", error.code)
        content = await read_all(reply.body, 10_000_000)
        return Outcome(reply.status, reply.headers, content)

    async def login(self, user: str = "42") -> Outcome:
        body = Buffered(json.dumps({"user": user, "password": "hush-pass"}).encode())
        return await self.send(Exchange("POST", b"/login", [(b"User-Agent", b"test")], body, client="192.0.2.77"))

    async def refresh(self, *tokens: str) -> Outcome:
        return await self.send(self.request(b"/refresh", *tokens))

    async def logout(self, *tokens: str) -> Outcome:
        return await self.send(self.request(b"/logout", *tokens))

    def request(self, target: bytes, *tokens: str) -> Exchange:
        if self.settings.carrier == "cookie":
            cookies = "; ".join(["theme=dark", *(f"refresh_token={token}" for token in tokens)])
            return Exchange("POST", target, [(b"Cookie", cookies.encode())], client="192.0.2.77")
        (token,) = tokens
        body = Buffered(json.dumps({"refreshToken": token}).encode())
        return Exchange("POST", target, [(b"Content-Type", b"application/json")], body, client="192.0.2.77")

    def reported(self, kind: type[Event]) -> list[Any]:
        return [event for event in self.events if type(event) is kind]

    def results(self, operation: str = "refresh") -> list[str]:
        return [event.result for event in self.reported(TokenOperation) if event.operation == operation]


@asynccontextmanager
async def running(*gates: Gate) -> AsyncIterator[None]:
    """Give the gates' refreshes a home, as the lifecycle does."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(gate.layer.run()) for gate in gates]
        await asyncio.sleep(0)
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()


def memory_store(
    clock: Clock, policy: Policy | None = None, claim_ms: int = CLAIM_MS
) -> tuple[MemoryGuard, MemoryLedger]:
    """Return a store of this process, and the ledger that holds its families."""
    policy = policy or guard_settings().policy
    ledger = MemoryLedger(policy, clock)
    return MemoryGuard(ledger, Terms(policy, claim_ms), clock), ledger


class Stage:
    """One gateway in front of a backend, on a store in memory."""

    def __init__(self, backend: Minting | None = None, **changes: Any) -> None:
        self.clock = SetClock()
        self.store, self.ledger = memory_store(self.clock)
        self.backend = backend or Minting()
        self.gate = Gate(self.store, self.backend.handle, **changes)


class Faulty(MemoryGuard):
    """A store whose named steps fail."""

    failing: tuple[str, ...] = ()

    def whole(self) -> bool:
        """Tell what a gate would of it."""
        return not self.failing

    def __getattribute__(self, name: str) -> Any:
        return _fail if name in object.__getattribute__(self, "failing") else object.__getattribute__(self, name)


async def _fail(*arguments: object, **options: object) -> None:
    raise StoreUnavailable("away")


def faulty_store(ledger: MemoryLedger, clock: Clock) -> Faulty:
    """Return a store of a ledger, of which steps can be made to fail."""
    return Faulty(ledger, Terms(guard_settings().policy, CLAIM_MS), clock)


def faulty_stage(*, strict: bool, **changes: Any) -> tuple[Stage, Faulty]:
    """Return a stage, and its store, of which steps can be made to fail."""
    stage = Stage()
    store = faulty_store(stage.ledger, stage.clock)
    stage.gate = Gate(store, stage.backend.handle, clock=stage.clock, require_redis=strict, **changes)
    return stage, store


class GuardClient(TimedClient):
    """Runs the guard's scripts on a real server with a time of the test's."""

    async def run(self, script: Script, keys: Any, args: Any) -> Any:
        if script.name != "guard_keep":
            return await super().run(script, keys, args)
        self.before(script.name)
        self.sent.append((script.name, tuple(keys)))
        reply = self.redis.eval(script.source, len(keys), *keys, *args)
        self.after(script.name)
        return reply

    async def call(self, command: str, *arguments: Any) -> Any:
        self.before(command)
        return self.redis.execute_command(command, *arguments)


def timed_store(server: ValkeyServer, clock: SetClock, policy: Policy | None = None) -> tuple[RedisGuard, GuardClient]:
    """Return a store on a real server by the test's clock."""
    policy = policy or guard_settings().policy
    client: Any = GuardClient(server, clock)
    ledger = RedisLedger(client, policy, clock=clock)
    return RedisGuard(client, ledger, Terms(policy, CLAIM_MS)), client


class Crash(BaseException):
    """The gateway is gone."""


def fail(error: BaseException, *names: str) -> Callable[[str], None]:
    """Return a hook that fails the named steps."""

    def hook(name: str) -> None:
        if name in names:
            raise error

    return hook
