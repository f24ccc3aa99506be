"""A master, its replica and three Sentinels, on 127.0.0.1.

The one idea: the Sentinels are told of each other beforehand, so they are ready when they answer, and a failover is
over when they name another master and that one takes writes.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import redis

from tests.support.valkey import ValkeyServer, free_port

SERVICE = "main"
DOWN_AFTER_MS = 500
FAILOVER_TIMEOUT_MS = 4000
"""Sentinels do not fail over again within twice this."""
OVER_WITHIN = 20.0
ATTEMPTS = 3
_MARK = "watched:mark"


class Sentinel(ValkeyServer):
    """One Sentinel; its configuration file is made anew at each start."""

    def __init__(self, *, password: str | None = None) -> None:
        super().__init__(password=password)
        self.lines: list[str] = []
        self.id = secrets.token_hex(20)

    def _arguments(self) -> Iterator[str]:
        assert self._folder is not None
        file = Path(self._folder) / "sentinel.conf"
        own = [f"port {self.port}", "bind 127.0.0.1", f'dir "{self._folder}"', f"sentinel myid {self.id}"]
        if self._password:
            own.append(f"requirepass {self._password}")
        file.write_text("\n".join([*own, *self.lines]))
        yield from (str(file), "--sentinel")


class Watched:
    """The whole set. `password` is asked by the servers, and with `guarded` by the Sentinels too."""

    def __init__(self, *, password: str | None = None, guarded: bool = False) -> None:
        self._password = password
        self._guarded = guarded
        self._build()

    def _build(self) -> None:
        password = self._password
        both = ("--repl-diskless-sync-delay", "0", *(("--masterauth", password) if password else ()))
        self.master = ValkeyServer(*both, password=password)
        self.replica = ValkeyServer(*both, "--replicaof", f"127.0.0.1 {self.master.port}", password=password)
        self.sentinels = [Sentinel(password=password if self._guarded else None) for _ in range(3)]

    @property
    def servers(self) -> list[ValkeyServer]:
        return [self.master, self.replica, *self.sentinels]

    @property
    def url(self) -> str:
        """Where clients find it, password included."""
        hosts = ",".join(f"127.0.0.1:{sentinel.port}" for sentinel in self.sentinels)
        return f"redis+sentinel://{f':{self._password}@' if self._password else ''}{hosts}/{SERVICE}/0"

    async def start(self) -> None:
        """Start all and wait until the replica has caught up and each Sentinel has seen it.

        On a machine that stalls for a moment, Sentinels may take the master for dead while they start and fail over at
        once; such a set is thrown away, and another one started.
        """
        for left in reversed(range(ATTEMPTS)):
            try:
                await self._start()
                return
            except TimeoutError:
                if not left:
                    raise
                await self.stop()
                self._build()

    async def _start(self) -> None:
        await asyncio.gather(self.master.start(), self.replica.start())
        await until(lambda: self.replica.command("INFO", "replication")["master_link_status"] == "up")
        for sentinel in self.sentinels:
            sentinel.lines = [*self._lines(sentinel)]
        await asyncio.gather(*(sentinel.start() for sentinel in self.sentinels))
        await until(lambda: all(self._is_ready(sentinel) for sentinel in self.sentinels))

    async def stop(self) -> None:
        """End all, whatever state they are in."""
        await asyncio.gather(*(server.stop() for server in [*self.sentinels, self.replica, self.master]))

    async def cut_off(self) -> None:
        """Stop the replica's copying once it has what the master has now; the Sentinels take a while to notice."""
        mark = secrets.token_hex(8).encode()
        self.master.command("SET", _MARK, mark)
        await until(lambda: self.replica.command("GET", _MARK) == mark)
        self.replica.command("REPLICAOF", "127.0.0.1", free_port())

    def kill_master(self) -> None:
        """End the master at once; `promoted` takes its place after a while."""
        self.master.kill()

    @property
    def promoted(self) -> ValkeyServer:
        """The server that takes the master's place."""
        return self.replica

    async def failed_over(self) -> None:
        """Wait until every Sentinel that runs names the former replica, and it takes writes."""
        running = [sentinel for sentinel in self.sentinels if sentinel.running]
        await until(lambda: all(named(sentinel) == self.replica.port for sentinel in running))
        await until(lambda: self.replica.command("INFO", "replication")["role"] == "master")

    async def rejoin(self) -> None:
        """Bring the former master back, empty, as the replica of the one that took its place.

        Only once every Sentinel has spoken to that one: until then they may take it for dead after all, and would fail
        over to whatever is there.
        """
        running = [sentinel for sentinel in self.sentinels if sentinel.running]
        await until(lambda: all(knows_master(sentinel) for sentinel in running))
        self.master, self.replica = self.replica, self.master
        await self.replica.start()
        self.replica.command("REPLICAOF", "127.0.0.1", self.master.port)
        await until(lambda: self.replica.command("INFO", "replication")["master_link_status"] == "up")
        await until(lambda: all(self._is_ready(sentinel) for sentinel in running))

    def _lines(self, of: Sentinel) -> Iterator[str]:
        yield f"sentinel monitor {SERVICE} 127.0.0.1 {self.master.port} 2"
        yield f"sentinel down-after-milliseconds {SERVICE} {DOWN_AFTER_MS}"
        yield f"sentinel failover-timeout {SERVICE} {FAILOVER_TIMEOUT_MS}"
        if self._password:
            yield f"sentinel auth-pass {SERVICE} {self._password}"
            if of._password:
                yield f"sentinel sentinel-pass {self._password}"
        yield f"sentinel known-replica {SERVICE} 127.0.0.1 {self.replica.port}"
        for other in self.sentinels:
            if other is not of:
                yield f"sentinel known-sentinel {SERVICE} 127.0.0.1 {other.port} {other.id}"

    @staticmethod
    def _is_ready(sentinel: Sentinel) -> bool:
        with contextlib.suppress(redis.RedisError):
            replicas: list[Any] = sentinel.command("SENTINEL", "REPLICAS", SERVICE)
            return len(replicas) == 1 and bool(sentinel.command("SENTINEL", "CKQUORUM", SERVICE))
        return False


def named(sentinel: Sentinel) -> int:
    """Return the port of the master that a Sentinel names."""
    return int(sentinel.command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", SERVICE)[1])


def knows_master(sentinel: Sentinel) -> bool:
    """Tell whether a Sentinel is connected to the master that it names, and has heard from it."""
    words: list[bytes] = sentinel.command("SENTINEL", "MASTER", SERVICE)
    told = dict(zip(words[::2], words[1::2], strict=True))
    return told[b"flags"] == b"master" and told[b"runid"] != b""


async def until(holds: Any, within: float = OVER_WITHIN) -> None:
    """Wait until a question that may raise an error of Redis is answered with yes."""
    async with asyncio.timeout(within):
        while True:
            with contextlib.suppress(redis.RedisError):
                if await asyncio.to_thread(holds):
                    return
            await asyncio.sleep(0.02)
