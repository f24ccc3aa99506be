"""Clients that refresh without end, in a process of their own: `python -m bench.token_load PORT SECONDS < TOKENS`.

Each line of the input is a refresh token; its family has a connection to itself. Prints how many pairs came, and in how
many seconds.
"""

from __future__ import annotations

import asyncio
import sys
import time
from typing import Final

import uvloop

_HEAD: Final = (
    b"POST /api/auth/refresh HTTP/1.1\r\nHost: shop.example\r\nUser-Agent: bench/1\r\nAccept: */*\r\n"
    b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"
)
_NAME: Final = b'"refreshToken":"'
_LENGTH: Final = b"content-length:"


class _Client(asyncio.Protocol):
    """Trades its token for the next one, until the time is over."""

    def __init__(self, token: bytes, until: float, done: asyncio.Future[int]) -> None:
        self._token = token
        self._until = until
        self._done = done
        self._buffer = b""
        self._rotations = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._ask()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        head = self._buffer[:end].lower()
        length = int(head[head.index(_LENGTH) + len(_LENGTH) :].split(b"\r\n", 1)[0])
        if len(self._buffer) < end + 4 + length:
            return
        if not head.startswith(b"http/1.1 200"):
            self._done.set_exception(RuntimeError(f"unexpected answer: {head[:20]!r}"))
            return
        content = self._buffer[end + 4 :].replace(b'": "', b'":"')
        start = content.index(_NAME) + len(_NAME)
        self._token = content[start : content.index(b'"', start)]
        self._buffer = b""
        self._rotations += 1
        if time.perf_counter() < self._until:
            self._ask()
        else:
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._done.done():
            self._done.set_result(self._rotations)

    def _ask(self) -> None:
        content = b'{"refreshToken":"%s"}' % self._token
        self._transport.write(_HEAD % (len(content), content))  # type: ignore[attr-defined]


async def load(port: int, seconds: float, tokens: list[bytes]) -> tuple[int, float]:
    """Return how many rotations there were, and the seconds they took."""
    loop = asyncio.get_running_loop()
    started = time.perf_counter()
    waits = []
    for token in tokens:
        done: asyncio.Future[int] = loop.create_future()
        client = _Client(token, started + seconds, done)
        await loop.create_connection(lambda client=client: client, "127.0.0.1", port)
        waits.append(done)
    return sum(await asyncio.gather(*waits)), time.perf_counter() - started


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        print(*runner.run(load(int(sys.argv[1]), float(sys.argv[2]), sys.stdin.buffer.read().split())))
