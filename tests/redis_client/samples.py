"""Small things that several tests of this room need."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from gateway.redis_client.scripts import Script
from gateway.redis_client.url import Server


def script(name: str, source: str) -> Script:
    """Return a script from its text."""
    return Script(name, source, hashlib.sha1(source.encode()).hexdigest())


def alive(pid: int) -> bool:
    """Whether a process runs; one that has ended and waits for its parent to notice does not."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:  # gone by now, or a system without /proc
        return not Path("/proc").is_dir()


Answer = Callable[[list[bytes]], bytes | None]
"""What a peer replies to the words of a command; None: nothing, ever."""


class Peer:
    """Something that speaks Redis's protocol and says what a test wants to hear."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.heard: list[list[bytes]] = []
        self.server: Server = ("127.0.0.1", 0)
        self._talks: set[asyncio.Task[None] | None] = set()
        self._writers: set[asyncio.StreamWriter] = set()

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._talks.add(asyncio.current_task())
        self._writers.add(writer)
        with contextlib.suppress(asyncio.IncompleteReadError, OSError):
            while True:
                count = int((await reader.readuntil(b"\r\n"))[1:])
                words = [await self._word(reader) for _ in range(count)]
                self.heard.append(words)
                reply = self.answer(words)
                if reply is None:
                    await reader.read()
                    break
                writer.write(reply)
        writer.close()

    async def hang_up(self) -> None:
        """Close every connection and wait until nobody talks any more."""
        for writer in self._writers:
            writer.close()
        await asyncio.gather(*(talk for talk in self._talks if talk is not None))

    async def _word(self, reader: asyncio.StreamReader) -> bytes:
        length = int((await reader.readuntil(b"\r\n"))[1:])
        return (await reader.readexactly(length + 2))[:-2]


@asynccontextmanager
async def peer(answer: Answer) -> AsyncIterator[Peer]:
    """Have a peer listen on 127.0.0.1."""
    peer = Peer(answer)
    async with await asyncio.start_server(peer.talk, "127.0.0.1", 0) as listener:
        peer.server = listener.sockets[0].getsockname()[:2]
        try:
            yield peer
        finally:
            await peer.hang_up()


def words(*texts: str | int) -> bytes:
    """Return a reply of several texts."""
    return b"*%d\r\n" % len(texts) + b"".join(b"$%d\r\n%s\r\n" % (len(str(t)), str(t).encode()) for t in texts)


def slots(*shards: tuple[int, int, Server]) -> bytes:
    """Return a reply to CLUSTER SLOTS."""
    rows = (
        b"*3\r\n:%d\r\n:%d\r\n*2\r\n$%d\r\n%s\r\n:%d\r\n" % (first, last, len(host), host.encode(), port)
        for first, last, (host, port) in shards
    )
    return b"*%d\r\n" % len(shards) + b"".join(rows)
