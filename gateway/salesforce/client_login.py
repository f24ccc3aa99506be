"""Logins that clients make by themselves, through the gateway.

The one idea: the answer to a login tells the client where to go from then on, so it is rewritten to the address at
which the client found the gateway; and a login has a time limit of its own, from its dispatch to its last byte.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from gateway.errors import GatewayError
from gateway.events import Emit, ignore
from gateway.exchange import Buffered, Exchange, Handler, Reply, header, read_all, without
from gateway.peek import peek
from gateway.salesforce.events import ClientLoginTimedOut
from gateway.salesforce.expiry import kind_of
from gateway.salesforce.rewrite import soap_at, soap_call, token_answer_at

_START: Final = 64 * 1024
_LARGEST: Final = 1024 * 1024
"""Bytes of an answer to a login."""
_ENCODING: Final = frozenset((b"accept-encoding",))
_LENGTHS: Final = frozenset((b"content-length", b"transfer-encoding"))

Rewrite = Callable[[bytes, str], bytes]


class ClientLoginLayer:
    """Inside the throttle: `timeout` in seconds is that of a login."""

    def __init__(self, upstream: str, timeout: float, emit: Emit = ignore) -> None:
        self._upstream = upstream
        self._timeout = timeout
        self._emit = emit

    async def handle(self, exchange: Exchange, forward: Handler) -> Reply:
        """Forward; the answer to a login names the gateway.

        Raises:
            GatewayError: `auth-timeout` (504) when a login takes too long.
        """
        rewrite = await _rewrite_for(exchange)
        if rewrite is None:
            return await forward(exchange)
        # The answer has to be read, so it must come as it is.
        exchange.headers = [*without(exchange.headers, _ENCODING), (b"Accept-Encoding", b"identity")]
        limit = asyncio.timeout(None)
        self._limit_from_dispatch(exchange, limit)
        try:
            async with limit:
                reply = await forward(exchange)
                return await _at_gateway(exchange, reply, rewrite)
        except TimeoutError:
            if not limit.expired():
                raise
            self._emit(ClientLoginTimedOut(self._upstream, self._timeout))
            raise GatewayError("auth-timeout", private="a client's login") from None

    def _limit_from_dispatch(self, exchange: Exchange, limit: asyncio.Timeout) -> None:
        """Let the time run from the moment that the throttle lets the call go, not while it waits."""
        before_send, on_unsent = exchange.before_send, exchange.on_unsent
        loop = asyncio.get_running_loop()

        async def dispatched() -> None:
            if before_send is not None:
                await before_send()
            limit.reschedule(loop.time() + self._timeout)

        def unsent() -> None:
            limit.reschedule(None)
            if on_unsent is not None:
                on_unsent()

        exchange.before_send, exchange.on_unsent = dispatched, unsent


async def _rewrite_for(exchange: Exchange) -> Rewrite | None:
    """Return how the answer is rewritten, None when the call is no login."""
    if exchange.method != "POST":
        return None
    kind = kind_of(exchange.target)
    if kind == "token":
        return token_answer_at if exchange.target.partition(b"?")[0].rstrip(b"/").endswith(b"/token") else None
    if kind != "soap":
        return None
    start, exchange.body = await peek(exchange.body, _START)
    return soap_at if soap_call(start) == b"login" else None


async def _at_gateway(exchange: Exchange, reply: Reply, rewrite: Rewrite) -> Reply:
    host = header(exchange.headers, b"host")
    coded = header(reply.headers, b"content-encoding")
    if reply.status != 200 or host is None or coded not in (None, b"identity"):
        return reply
    try:
        content = await read_all(reply.body, _LARGEST)
    except GatewayError as error:
        if error.code != "payload-too-large":
            raise
        raise GatewayError("upstream-unreachable", private="the answer to a login is too large") from None
    content = rewrite(content, f"{exchange.scheme}://{host.decode('latin-1')}")
    reply.headers = [*without(reply.headers, _LENGTHS), (b"Content-Length", b"%d" % len(content))]
    reply.body = Buffered(content)
    return reply
