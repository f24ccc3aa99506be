"""A listening socket: clients' connections in, exchanges to a handler, and an orderly end.

The one idea: a listener knows every request that is in flight, so ending is a question of waiting for a set to become
empty, then of telling what is left in it.
"""

from __future__ import annotations

import asyncio
import errno
import ssl
from typing import Final

from gateway.clock import SYSTEM, Clock
from gateway.errors import Shape, StartError
from gateway.exchange import Handler
from gateway.wire.acceptor import Acceptor, Answered, Inbound
from gateway.wire.forwarded import Forwarding
from gateway.wire.settings import LimitSettings, TlsSettings
from gateway.wire.tls import server_context
from gateway.wire.turn import House, Turn

_BACKLOG: Final = 1024
_GOODBYE_SECONDS: Final = 1.0
"""How long a close may take beyond its timeout: for WebSocket clients that answer the closing handshake."""


class Listener:
    """Serves HTTP/1.1 and HTTP/1.0 on one address.

    `key` is the configuration key that errors name; `idle_timeout` is in seconds: a body or tunnel on which no byte
    moves either way for so long is aborted. `shape` is how refusals of bad HTTP look. Without `forwarding` the peer is
    the client. With `tls` it speaks nothing else.
    """

    def __init__(
        self,
        name: str,
        handler: Handler,
        *,
        forwarding: Forwarding | None,
        limits: LimitSettings,
        idle_timeout: float | None,
        key: str,
        shape: Shape = "problem",
        tls: TlsSettings | None = None,
        clock: Clock = SYSTEM,
    ) -> None:
        self.name = name
        self._key = key
        self._limits = limits
        self._tls = tls
        self._house = House(handler, forwarding, limits, idle_timeout, clock, shape)
        self._turns: set[Turn] = set()
        self._finished = asyncio.Event()
        self._acceptor: Acceptor | None = None
        self._server: asyncio.Server | None = None

    @property
    def in_flight(self) -> int:
        """Requests that have no complete answer yet, and tunnels."""
        return len(self._turns)

    @property
    def connections(self) -> int:
        """Open client connections, idle ones too."""
        return len(self._acceptor.connections) if self._acceptor is not None else 0

    async def start(self, address: str) -> str:
        """Listen on HOST:PORT and return the address bound, with the real port when that was 0.

        Raises:
            StartError: the address cannot be bound, or the certificate cannot be used; names the configuration key.
        """
        limits = self._limits
        # The parser tells a target and a field that are too long apart by nothing but the limit that it names.
        self._acceptor = Acceptor(
            self._serve,
            shape=self._house.shape,
            max_line_size=limits.header_bytes,
            max_field_size=limits.header_bytes + 1,
            max_headers=limits.headers,
        )
        host, _, port = address.rpartition(":")
        loop = asyncio.get_running_loop()
        try:
            self._server = await loop.create_server(
                self._acceptor, host.strip("[]"), int(port), backlog=_BACKLOG, ssl=self._context()
            )
        except OSError as error:
            reason = "the port is in use" if error.errno == errno.EADDRINUSE else (error.strerror or "not an address")
            raise StartError(f"{self._key}: cannot listen on {address}: {reason}") from error
        bound = self._server.sockets[0].getsockname()
        return f"[{bound[0]}]:{bound[1]}" if ":" in bound[0] else f"{bound[0]}:{bound[1]}"

    def begin_drain(self) -> None:
        """Go on accepting, but end each connection with its next answer."""
        self._house.draining = True

    async def close(self, timeout: float) -> None:
        """Stop accepting, let what is in flight finish for `timeout` seconds, then end the rest.

        WebSocket clients are sent a Close frame with status 1001, requests that still wait for an answer a 503, and
        answers under way are broken off.
        """
        self.begin_drain()
        if self._server is None or self._acceptor is None:
            return
        self._server.close()
        for connection in self._acceptor.clients:
            if connection.idle:
                connection.force_close()
        if not await self._finish_within(timeout):
            for turn in list(self._turns):
                turn.leave()
            if not await self._finish_within(_GOODBYE_SECONDS):
                for turn in list(self._turns):
                    turn.abort()
        for connection in self._acceptor.clients:
            connection.force_close()
        await self._acceptor.shutdown(_GOODBYE_SECONDS)

    def _context(self) -> ssl.SSLContext | None:
        try:
            return None if self._tls is None else server_context(self._tls)
        except (OSError, ValueError) as error:
            raise StartError(f"{self._key}: the certificate or its key cannot be used") from error

    async def _serve(self, inbound: Inbound) -> Answered:
        turn = Turn(self._house, inbound)
        self._turns.add(turn)
        try:
            return await turn.run()
        finally:
            self._turns.discard(turn)
            if not self._turns:
                self._finished.set()

    async def _finish_within(self, seconds: float) -> bool:
        """Wait until nothing is in flight; return False when that takes longer."""
        try:
            async with asyncio.timeout(seconds):
                while self._turns:
                    self._finished.clear()
                    await self._finished.wait()
        except TimeoutError:
            return False
        return True
