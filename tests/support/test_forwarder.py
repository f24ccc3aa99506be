"""The forwarder leads where it is told to."""

from __future__ import annotations

import asyncio
import contextlib

from tests.support.forwarder import Forwarder


async def _speaker(text: bytes, ended: asyncio.Semaphore) -> asyncio.Server:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while await reader.read(100):
                writer.write(text)
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
        ended.release()

    return await asyncio.start_server(answer, "127.0.0.1", 0)


async def test_a_switch_cuts_connections_and_leads_elsewhere() -> None:
    """given a connection / when the target changes / then it breaks, and the next one reaches the new target."""
    ended = asyncio.Semaphore(0)
    async with await _speaker(b"one", ended) as one, await _speaker(b"two", ended) as two:
        first, second = (server.sockets[0].getsockname()[1] for server in (one, two))
        async with Forwarder(first) as forwarder:
            for target, text in ((first, b"one"), (second, b"two")):
                forwarder.switch(target)
                reader, writer = await asyncio.open_connection("127.0.0.1", forwarder.port)
                writer.write(b"?")
                assert await reader.read(10) == text
                forwarder.cut()
                assert await reader.read(10) == b""
                writer.close()
                await ended.acquire()
