"""One client for all rooms: it answers within the command's time limit or raises `StoreUnavailable`.

The one idea: nothing here waits for Redis to come back. While the gate says that Redis is away a command fails without
touching the network; else it has `command_timeout` for everything (finding the server, waiting for a connection,
setting it up, asking, one repetition), and how it ended is told to whoever judges availability.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any, Final

from redis.exceptions import NoScriptError

from gateway.clock import SYSTEM, Clock
from gateway.errors import StoreUnavailable
from gateway.events import Emit
from gateway.redis_client.connection import Argument
from gateway.redis_client.deployment import topology
from gateway.redis_client.events import CommandFailed, CommandFinished
from gateway.redis_client.failures import FAILURES, kind_of, unavailable
from gateway.redis_client.node import Ask, Node, Send
from gateway.redis_client.scripts import Script
from gateway.redis_client.settings import RedisSettings
from gateway.redis_client.subscription import Heard, listen
from gateway.redis_client.topology import Topology

_PROBE_KEY_LIFE: Final = 60_000
_LISTEN_PAUSE: Final = 1.0


def _always() -> bool:
    return True


def _nobody(kind: str | None) -> None:
    """Tell nobody."""


class RedisClient:
    """Scripts and commands for one Redis, whatever its topology.

    On a cluster a command goes to the owner of its first key, and it may have no key of another slot.

    Attributes:
        available: asked before each command; when it says no, the command fails with the kind `away` at once.
        on_result: told how each command ended: None for an answer, else the kind of the failure. Of a cluster only
            failures are told: an answer of one of its servers says nothing of the others, the probe asks them all.
    """

    def __init__(self, settings: RedisSettings, topology: Topology, *, emit: Emit, clock: Clock = SYSTEM) -> None:
        self.available: Callable[[], bool] = _always
        self.on_result: Callable[[str | None], None] = _nobody
        self._probe_key = f"{settings.key_prefix}:probe"
        self._topology = topology
        self._emit = emit
        self._clock = clock

    @classmethod
    def connect(
        cls,
        settings: RedisSettings,
        url: str,
        *,
        emit: Emit,
        clock: Clock = SYSTEM,
        on_result: Callable[[str | None], None] = _nobody,
    ) -> RedisClient:
        """Return a client for the deployment at `url`. Nothing is sent yet.

        Raises:
            StartError: when the URL or the CA file cannot be read; the text does not repeat the URL.
        """
        client = cls(settings, topology(settings, url), emit=emit, clock=clock)
        client.on_result = on_result
        return client

    async def run(self, script: Script, keys: Sequence[str], args: Sequence[Argument]) -> Any:
        """Run a script and return its reply as it came (text as bytes).

        It may run twice when the connection breaks before the reply, see `Script`.

        Raises:
            StoreUnavailable: for whatever reason there is no reply, also when the script itself fails (`other`).
        """

        async def ask(send: Send) -> Any:
            try:
                return await send("EVALSHA", script.sha, len(keys), *keys, *args)
            except NoScriptError:
                return await send("EVAL", script.source, len(keys), *keys, *args)

        return await self._gated(script.name, keys[0], ask, repeat=True)

    async def call(self, command: str, *arguments: Argument) -> Any:
        """Send one command and return its reply as it came (RESP 2: text as bytes, maps as flat lists).

        It is sent once: a break in the connection leaves open whether it was carried out. On a cluster the first
        argument is taken for its key.

        Raises:
            StoreUnavailable: for whatever reason there is no reply, or the reply is an error.
        """
        key = str(arguments[0]) if arguments else ""
        return await self._gated(command.lower(), key, _one(command, *arguments), repeat=False)

    async def scan(self, pattern: str, count: int = 1000) -> AsyncIterator[list[bytes]]:
        """Yield the keys that match a pattern, batch by batch, from every master; a key may come more than once.

        Raises:
            StoreUnavailable: for whatever reason a batch did not come.
        """
        for master in await self._told("scan", self._topology.masters()):
            cursor: bytes = b"0"
            while True:
                ask = _one("SCAN", cursor, "MATCH", pattern, "COUNT", count)
                cursor, keys = await self._told("scan", self._topology.ask_node(master, ask))
                if keys:
                    yield keys
                if cursor == b"0":
                    break

    async def inspect(self, command: str, *arguments: Argument) -> list[Any]:
        """Ask every master something about itself. Neither the gate nor a metric hears how that ended.

        Raises:
            StoreUnavailable: when one of them did not answer, or with an error.
        """
        name, ask = command.lower(), _one(command, *arguments)
        nodes: Sequence[Node] = await _mapped(name, self._topology.masters())
        return [await _mapped(name, self._topology.ask_node(node, ask)) for node in nodes]

    @property
    def whole(self) -> bool:
        """Whether one server has everything, so that a script may read keys that have nothing to do with each other."""
        return self._topology.whole

    def sibling(self, key: str, name: str) -> str:
        """Return the key that `name` stands for where `key` is kept.

        What is written there is lost when `key` is lost with its server, and moves when it moves: on a cluster there
        is one such key for each slot, elsewhere `name` is the key.
        """
        return self._topology.sibling(key, name)

    async def listen(self, channel: str, heard: Heard, lost: Callable[[], object]) -> None:
        """Call `heard` with whatever is published on a channel, until cancelled; see `subscription`.

        What is published while Redis is away, or while it is connected to again, is lost; `lost` is called whenever
        that begins, or goes on. The gate is neither asked nor told.
        """

        def failed(error: Exception) -> None:
            self._emit(CommandFailed("subscribe", kind_of(error)))
            lost()

        await listen(self._topology.dial, channel, heard, failed, _LISTEN_PAUSE)

    async def ping(self) -> None:
        """Ask whether Redis (on a cluster, every master) takes a write, on connections of its own and whatever
        `available` says.

        A write, because a server that is a replica or out of memory still answers PING.

        Raises:
            StoreUnavailable: when it does not.
        """

        def ask(key: str) -> Ask:
            return _one("SET", key, 1, "PX", _PROBE_KEY_LIFE)

        await self._measured("ping", self._topology.probe(self._probe_key, ask))

    async def aclose(self) -> None:
        """Close the connections. A command that is under way ends as it would have."""
        await self._topology.aclose()

    async def _gated(self, name: str, key: str, ask: Ask, *, repeat: bool) -> Any:
        if self.available():
            return await self._told(name, self._topology.ask(key, ask, repeat=repeat))
        self._emit(CommandFailed(name, "away"))
        self.on_result("away")
        raise StoreUnavailable("away", name)

    async def _told(self, name: str, reply: Awaitable[Any]) -> Any:
        try:
            answer = await self._measured(name, reply)
        except StoreUnavailable as error:
            self.on_result(error.kind)
            raise
        if self._topology.whole:
            self.on_result(None)
        return answer

    async def _measured(self, name: str, reply: Awaitable[Any]) -> Any:
        started = self._clock.monotonic()
        try:
            answer = await _mapped(name, reply)
        except StoreUnavailable as error:
            self._emit(CommandFailed(name, error.kind))
            raise
        self._emit(CommandFinished(name, self._clock.monotonic() - started))
        return answer


def _one(*command: Argument) -> Ask:
    """Return what asks by one command."""

    def ask(send: Send) -> Awaitable[Any]:
        return send(*command)

    return ask


async def _mapped(name: str, reply: Awaitable[Any]) -> Any:
    try:
        return await reply
    except FAILURES as error:
        raise unavailable(name, error) from None
