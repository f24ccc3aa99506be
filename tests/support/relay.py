"""A relay before a server that can lose what the server answers: the commit happened, and nobody heard of it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Relay:
    """Passes bytes both ways; while `mute` is set, the server's are thrown away.

    Attributes:
        port: where it listens on 127.0.0.1.
        lost: set when an answer has been thrown away.
    """

    def __init__(self, target: int) -> None:
        self.port = 0
        self.mute = False
        self.lost = asyncio.Event()
        self._target = target
        self._talks: dict[asyncio.StreamWriter, asyncio.Task[None] | None] = {}

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[Relay]:
        """Listen until the block ends, then cut every connection."""
        async with await asyncio.start_server(self._accept, "127.0.0.1", 0) as listener:
            self.port = listener.sockets[0].getsockname()[1]
            try:
                yield self
            finally:
                listener.close()
                talks = [task for task in self._talks.values() if task is not None]
                for client in self._talks:
                    client.close()
                await asyncio.gather(*talks)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._talks[writer] = asyncio.current_task()
        try:
            there, back = await asyncio.open_connection("127.0.0.1", self._target)
            async with asyncio.TaskGroup() as group:
                group.create_task(self._copy(reader, back, answers=False))
                group.create_task(self._copy(there, writer, answers=True))
        except* OSError:
            pass
        finally:
            writer.close()
            del self._talks[writer]

    async def _copy(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, *, answers: bool) -> None:
        with contextlib.closing(sink):
            while data := await source.read(65_536):
                if answers and self.mute:
                    self.lost.set()
                    continue
                sink.write(data)
                await sink.drain()
