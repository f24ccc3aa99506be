"""The two ends of a proxy benchmark: a backend that costs little, and a client that keeps connections busy.

Run as a module (`python -m bench.wire`) it is the backend, in a process of its own: it prints its port.
"""

from __future__ import annotations

import asyncio

BODY = b"x" * 1024
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n%s" % (len(BODY), BODY)
REQUEST = (
    b"GET /api/profile?x=1 HTTP/1.1\r\nHost: shop.example\r\nUser-Agent: bench/1\r\nAccept: */*\r\n"
    b"Accept-Encoding: gzip\r\nCookie: session=0123456789abcdef\r\nX-Request-Id: 0123456789\r\n\r\n"
)


class _Backend(asyncio.Protocol):
    """Answers each header section with the same 1 KiB."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.transport.write(ANSWER * data.count(b"\r\n\r\n"))  # type: ignore[attr-defined]


class _Client(asyncio.Protocol):
    """Sends a request, waits for its answer, sends the next, until the shared count is used up."""

    def __init__(self, budget: list[int], done: asyncio.Future[None]) -> None:
        self.budget, self.done = budget, done
        self.buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.next()

    def next(self) -> None:
        if self.budget[0] <= 0:
            self.transport.close()
            return
        self.budget[0] -= 1
        self.transport.write(REQUEST)  # type: ignore[attr-defined]

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        end = self.buffer.find(b"\r\n\r\n")
        if end >= 0 and len(self.buffer) >= end + 4 + len(BODY):
            if not self.buffer.startswith(b"HTTP/1.1 200"):
                raise RuntimeError(f"unexpected answer: {self.buffer[:80]!r}")
            self.buffer = b""
            self.next()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.done.done():
            self.done.set_result(None)


async def load(port: int, requests: int, connections: int) -> None:
    """Send so many requests over so many kept connections."""
    loop = asyncio.get_running_loop()
    budget, waits = [requests], []
    for _ in range(connections):
        done = loop.create_future()
        await loop.create_connection(lambda done=done: _Client(budget, done), "127.0.0.1", port)
        waits.append(done)
    await asyncio.gather(*waits)


async def _serve() -> None:
    server = await asyncio.get_running_loop().create_server(_Backend, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve())
