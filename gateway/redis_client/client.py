"""One client for all rooms: it answers within the command's time limit or raises `StoreUnavailable`.

The one idea: nothing here waits for Redis to come back. While the gate says that Redis is away a command fails without
touching the network; else it has `command_timeout` for everything (waiting for a connection, setting it up, asking, one
repetition), and how it ended is told to whoever judges availability.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, TypeAlias

from redis.asyncio.connection import AbstractConnection
from redis.exceptions import NoScriptError

from gateway.clock import SYSTEM, Clock
from gateway.errors import StoreUnavailable
from gateway.events import Emit
from gateway.redis_client.address import connector
from gateway.redis_client.connections import Connections
from gateway.redis_client.events import CommandFailed, CommandFinished
from gateway.redis_client.failures import FAILURES, kind_of, unavailable
from gateway.redis_client.scripts import Script
from gateway.redis_client.settings import RedisSettings

Argument: TypeAlias = str | bytes | int | float
_Ask: TypeAlias = Callable[[AbstractConnection], Awaitable[Any]]

CONNECTIONS: Final = 32
_PROBE_KEY_LIFE: Final = 60_000
_WORTHLESS: Final = frozenset({"timeout", "connection", "readonly"})
"""Kinds after which the other connections are not to be trusted either: a dead peer, or one that was demoted."""
_REPEATABLE: Final = frozenset({"connection", "readonly"})
"""Kinds that a new connection may heal at once: one that had gone stale, or led to a former primary."""


def _always() -> bool:
    return True


def _nobody(kind: str | None) -> None:
    """Tell nobody."""


class RedisClient:
    """Scripts and commands for one Redis (`redis://`, `rediss://` with its certificate verified, `unix://`).

    Attributes:
        available: asked before each command; when it says no, the command fails with the kind `away` at once.
        on_result: told how each command ended: None for an answer, else the kind of the failure.
    """

    def __init__(
        self, settings: RedisSettings, make: Callable[[], AbstractConnection], *, emit: Emit, clock: Clock = SYSTEM
    ) -> None:
        self.available: Callable[[], bool] = _always
        self.on_result: Callable[[str | None], None] = _nobody
        self._timeout = settings.command_timeout
        self._probe_key = f"{settings.key_prefix}:probe"
        self._connections = Connections(make, CONNECTIONS)
        self._probe_connection = Connections(make, 1)
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
        """Return a client for the server at `url`. Nothing is sent yet.

        Raises:
            StartError: when the URL cannot be read; the text does not repeat it.
        """
        client = cls(settings, connector(url, settings.connect_timeout), emit=emit, clock=clock)
        client.on_result = on_result
        return client

    async def run(self, script: Script, keys: Sequence[str], args: Sequence[Argument]) -> Any:
        """Run a script and return its reply as it came (text as bytes).

        It may run twice when the connection breaks before the reply, see `Script`.

        Raises:
            StoreUnavailable: for whatever reason there is no reply, also when the script itself fails (`other`).
        """

        async def ask(connection: AbstractConnection) -> Any:
            try:
                return await _ask(connection, "EVALSHA", script.sha, len(keys), *keys, *args)
            except NoScriptError:
                return await _ask(connection, "EVAL", script.source, len(keys), *keys, *args)

        return await self._gated(script.name, ask, repeat=True)

    async def call(self, command: str, *arguments: Argument) -> Any:
        """Send one command and return its reply as it came (RESP 2: text as bytes, maps as flat lists).

        It is sent once: a break in the connection leaves open whether it was carried out.

        Raises:
            StoreUnavailable: for whatever reason there is no reply, or the reply is an error.
        """

        def ask(connection: AbstractConnection) -> Awaitable[Any]:
            return _ask(connection, command, *arguments)

        return await self._gated(command.lower(), ask, repeat=False)

    async def ping(self) -> None:
        """Ask whether Redis takes a write, on a connection of its own and whatever `available` says.

        A write, because a server that is a replica or out of memory still answers PING.

        Raises:
            StoreUnavailable: when it does not.
        """

        def ask(connection: AbstractConnection) -> Awaitable[Any]:
            return _ask(connection, "SET", self._probe_key, 1, "PX", _PROBE_KEY_LIFE)

        await self._measured("ping", self._bounded("ping", self._probe_connection, ask, repeat=True))

    async def aclose(self) -> None:
        """Close the connections. A command that is under way ends as it would have."""
        await self._connections.drop()
        await self._probe_connection.drop()

    async def _gated(self, name: str, ask: _Ask, *, repeat: bool) -> Any:
        try:
            if not self.available():
                self._emit(CommandFailed(name, "away"))
                raise StoreUnavailable("away", name)
            reply = await self._measured(name, self._bounded(name, self._connections, ask, repeat=repeat))
        except StoreUnavailable as error:
            self.on_result(error.kind)
            raise
        self.on_result(None)
        return reply

    async def _measured(self, name: str, reply: Awaitable[Any]) -> Any:
        started = self._clock.monotonic()
        try:
            answer = await reply
        except StoreUnavailable as error:
            self._emit(CommandFailed(name, error.kind))
            raise
        self._emit(CommandFinished(name, self._clock.monotonic() - started))
        return answer

    async def _bounded(self, name: str, connections: Connections, ask: _Ask, *, repeat: bool) -> Any:
        try:
            async with asyncio.timeout(self._timeout):
                return await _on(connections, ask, repeat=repeat)
        except FAILURES as error:
            if kind_of(error) in _WORTHLESS:
                await connections.drop()
            raise unavailable(name, error) from None


async def _on(connections: Connections, ask: _Ask, *, repeat: bool) -> Any:
    """Ask on a connection; when that was stale or led to a former primary, once more on a new one."""
    try:
        async with connections.lend() as connection:
            return await ask(connection)
    except FAILURES as error:
        if not repeat or kind_of(error) not in _REPEATABLE:
            raise
    await connections.drop()
    async with connections.lend() as connection:
        return await ask(connection)


async def _ask(connection: AbstractConnection, *command: Argument) -> Any:
    await connection.send_command(*command, check_health=False)
    return await connection.read_response()
