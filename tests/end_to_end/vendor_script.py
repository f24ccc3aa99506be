"""A vendor of raw sockets that answers by a script, whatever connections its calls come on."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final

from tests.wire.raw_server import Peer

Step = Callable[[Peer], Awaitable[None]]

OK: Final = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def says(status: str, *fields: str) -> Step:
    """Answer with a status and fields, and no content."""
    head = "\r\n".join([f"HTTP/1.1 {status}", *fields, "Content-Length: 0", "", ""])
    return lambda peer: peer.send(head.encode())


async def resets(peer: Peer) -> None:
    """Break the connection off."""
    peer.reset()


class ScriptedVendor:
    """Does one step a call, then answers 200; keeps the calls with the time at which their last byte arrived."""

    def __init__(self, *steps: Step) -> None:
        self._steps = list(steps)
        self.calls: list[tuple[bytes, bytes]] = []
        """Request line and content."""
        self.times: list[float] = []
        self.walls: list[float] = []

    async def __call__(self, peer: Peer) -> None:
        """Serve one connection."""
        while True:
            head = await peer.head()
            length = next(
                (int(x.split(b":")[1]) for x in head.lower().split(b"\r\n") if x.startswith(b"content-len")), 0
            )
            content = await peer.exactly(length)
            self.calls.append((head.partition(b"\r\n")[0], content))
            self.times.append(time.monotonic())
            self.walls.append(time.time())
            if self._steps:
                await self._steps.pop(0)(peer)
            else:
                await peer.send(OK)


class Gate:
    """A step that answers its header section, and its content when it is opened."""

    def __init__(self, before: bytes, after: bytes = b"") -> None:
        self._before = before
        self._after = after
        self.opened = asyncio.Event()

    async def __call__(self, peer: Peer) -> None:
        await peer.send(self._before)
        await self.opened.wait()
        await peer.send(self._after)
