"""A database full of users with one family each, made in seconds.

The one idea: one user is made by the ledger itself, and its hash is copied by the server's own DUMP and RESTORE, so
that the crowd is in whatever format the ledger writes. Crowds to be compared are databases of one server: how its
allocator happens to have laid out memory weighs more than anything else in a script, and is then the same for all.
"""

from __future__ import annotations

import random
import socket
from collections.abc import Iterable
from contextlib import AsyncExitStack
from typing import Final

from gateway.events import ignore
from gateway.redis_client.client import RedisClient
from gateway.redis_client.settings import RedisSettings
from gateway.tokens.redis_ledger import RedisLedger
from gateway.tokens.rotation import Policy, Presented
from tests.support.valkey import ValkeyServer

FAMILY: Final = "0123456789abcdef01234567"
_BATCH: Final = 20_000
_LIFE: Final = b"%d" % (1000 * (Policy().refresh_ttl - 60))
"""Milliseconds; a little short, so that every write has to prolong it, whenever it comes."""


class Crowd:
    """So many users in a database, and a ledger on it."""

    def __init__(self, server: ValkeyServer, database: int, size: int) -> None:
        self.size = size
        self._server = server
        self._database = database
        self._stack = AsyncExitStack()
        self._dump = b""
        self.ledger: RedisLedger
        self.token: Presented
        """What every user holds."""

    async def __aenter__(self) -> Crowd:
        async with self._stack:
            settings = RedisSettings(command_timeout=5.0, connect_timeout=5.0)
            url = f"redis://127.0.0.1:{self._server.port}/{self._database}"
            client = RedisClient.connect(settings, url, emit=ignore)
            self._stack.push_async_callback(client.aclose)
            self.ledger = RedisLedger(client, Policy())
            opened = await self.ledger.issue(self.name(0), FAMILY, "main", "")
            self.token = Presented(FAMILY, 1, opened.auth_time, opened.rotated_ms // 1000, opened.expires)
            dump = f"return redis.call('SELECT', {self._database}) and redis.call('DUMP', KEYS[1])"
            self._dump = self._server.command("EVAL", dump, 1, self.ledger.key(self.name(0)))
            self.restore(range(self.size))
            self._stack = self._stack.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    def name(self, number: int) -> str:
        """Return a user, named as long as every other."""
        return f"user-{number:08d}"

    def some(self, rng: random.Random, count: int) -> list[int]:
        """Return so many different users."""
        return rng.sample(range(self.size), count)

    def restore(self, users: Iterable[int]) -> None:
        """Make users what they were at the beginning; new ones too."""
        with socket.create_connection(("127.0.0.1", self._server.port)) as connection:
            connection.sendall(_packed(b"CLIENT", b"REPLY", b"OFF") + _packed(b"SELECT", b"%d" % self._database))
            batch: list[bytes] = []
            for user in users:
                key = self.ledger.key(self.name(user)).encode()
                batch.append(_packed(b"RESTORE", key, _LIFE, self._dump, b"REPLACE"))
                if len(batch) == _BATCH:
                    connection.sendall(b"".join(batch))
                    batch.clear()
            connection.sendall(b"".join([*batch, _packed(b"CLIENT", b"REPLY", b"ON")]))
            answer = connection.recv(100)
        if answer != b"+OK\r\n":
            raise RuntimeError("the server did not take the crowd")


def _packed(*words: bytes) -> bytes:
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words)
