"""A small HTTP/1.1 client that can do what libraries hide: hang up before the answer, and never send twice by itself.

The one idea: one request, one outcome. Nothing is retried here, so whoever records requests records what was sent.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Any


class NoAnswer(Exception):
    """The connection could not be made or broke, or no answer came in time."""


class NotSent(NoAnswer):
    """Nobody was there: nothing became of the request."""


class PlainClient:
    """Keeps one connection to each port of loopback that it was asked to speak to."""

    def __init__(self, timeout: float) -> None:
        self._timeout = timeout
        self._open: dict[int, tuple[asyncio.StreamReader, asyncio.StreamWriter]] = {}

    async def request(
        self,
        port: int,
        method: str,
        path: str,
        document: Any = None,
        headers: Sequence[str] = (),
        hang_up_after: float | None = None,
    ) -> tuple[int, Any]:
        """Return status and JSON document (None without a body).

        Args:
            port: whom to ask.
            method: of the request.
            path: of the request.
            document: sent as JSON; None for no body.
            headers: more header lines.
            hang_up_after: close the connection so many seconds after sending, without reading.

        Raises:
            NoAnswer: whatever became of the request is not known; the connection is closed.
            NotSent: no connection could be made.
        """
        body = b"" if document is None else json.dumps(document).encode()
        lines = [f"{method} {path} HTTP/1.1", "Host: shop.example", f"Content-Length: {len(body)}", *headers]
        if document is not None:
            lines.append("Content-Type: application/json")
        try:
            async with asyncio.timeout(self._timeout):
                reader, writer = await self._connection(port)
                writer.write("\r\n".join([*lines, "", ""]).encode() + body)
                if hang_up_after is not None:
                    await asyncio.sleep(hang_up_after)
                    raise NoAnswer
                return await self._answer(port, reader)
        except (OSError, EOFError, TimeoutError):
            self._drop(port)
            raise NoAnswer from None
        except BaseException:
            self._drop(port)
            raise

    def close(self) -> None:
        """Close every connection."""
        for port in tuple(self._open):
            self._drop(port)

    async def _connection(self, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if port not in self._open:
            try:
                self._open[port] = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                raise NotSent from None
        return self._open[port]

    async def _answer(self, port: int, reader: asyncio.StreamReader) -> tuple[int, Any]:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        status_line, *lines = head.rstrip().split("\r\n")
        fields = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        status = int(status_line.split()[1])
        if fields.get("transfer-encoding", "").lower() == "chunked":
            content = b""
            while size := int(await reader.readuntil(b"\r\n"), 16):
                content += (await reader.readexactly(size + 2))[:-2]
            await reader.readuntil(b"\r\n")
        else:
            content = await reader.readexactly(int(fields.get("content-length", "0")))
        if fields.get("connection", "").lower() == "close":
            self._drop(port)
        return status, json.loads(content) if content else None

    def _drop(self, port: int) -> None:
        if (connection := self._open.pop(port, None)) is not None:
            connection[1].transport.abort()
