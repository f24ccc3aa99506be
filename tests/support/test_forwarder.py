"""The forwarder leads where it is told to."""

from __future__ import annotations

import asyncio

from tests.support.forwarder import Forwarder


async def _speaker(text: bytes) -> asyncio.Server:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(100):
            writer.write(text)
        writer.close()

    return await asyncio.start_server(answer, "127.0.0.1", 0)


async def test_a_switch_cuts_connections_and_leads_elsewhere() -> None:
    """given a connection / when the target changes / then it breaks, and the next one reaches the new target."""
    async with await _speaker(b"one") as one, await _speaker(b"two") as two:
        first, second = (server.sockets[0].getsockname()[1] for server in (one, two))
        async with Forwarder(first) as forwarder:
            reader, writer = await asyncio.open_connection("127.0.0.1", forwarder.port)
            writer.write(b"?")
            assert await reader.read(10) == b"one"
            forwarder.switch(second)
            assert await reader.read(10) == b""
            writer.close()
            reader, writer = await asyncio.open_connection("127.0.0.1", forwarder.port)
            writer.write(b"?")
            assert await reader.read(10) == b"two"
            writer.close()
