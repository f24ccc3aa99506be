"""A portal with all that stands around its token layer, whose clients say themselves how tokens travel."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any
from urllib.parse import urlencode

from gateway.exchange import Buffered, Exchange, Handler, Reply, chain
from gateway.settings import RoutePattern
from gateway.tokens.around import Matches, around_tokens
from tests.tokens.support import Outcome, Portal, another_gateway

ROUTES = {"POST /api/auth/login": b"/login", "POST /api/auth/refresh": b"/refresh", "POST /api/auth/logout": b"/logout"}
"""Where the portal's short routes stand in the settings."""


class _Whole:
    """Several layers as one."""

    def __init__(self, layers: Sequence[Any]) -> None:
        self._layers = layers

    async def handle(self, exchange: Exchange, forward: Handler) -> Reply:
        return await chain(self._layers, forward)(exchange)


class Site:
    """Another gateway on a portal's ledger, at http://portal.example."""

    def __init__(self, portal: Portal, **changes: Any) -> None:
        self.portal = another_gateway(portal, **changes)
        layers = around_tokens(self.portal.settings, self.portal.layer, _matcher, lambda _: b"portal.example")
        self.portal.layer = _Whole(layers)  # type: ignore[assignment]

    async def post(self, path: bytes, content: bytes = b"", *headers: tuple[bytes, bytes], client: str = "") -> Outcome:
        exchange = Exchange("POST", path, list(headers), Buffered(content), client=client or "192.0.2.77")
        return await self.portal.send(exchange)

    async def form(self, path: bytes, **parameters: str) -> Outcome:
        kind = (b"Content-Type", b"application/x-www-form-urlencoded")
        return await self.post(path, urlencode(parameters).encode(), kind)

    async def by_cookie(self, path: bytes, *tokens: str, headers: Sequence[tuple[bytes, bytes]] = ()) -> Outcome:
        fields = [(b"Cookie", f"theme=dark; refresh_token={token}".encode()) for token in tokens]
        return await self.post(path, b"", *fields, *headers)

    async def by_json(self, path: bytes, token: str, client: str = "") -> Outcome:
        return await self.post(path, json.dumps({"refreshToken": token}).encode(), client=client)


def forged(token: str) -> str:
    """Return a token with its signature turned round."""
    head, body, signature = token.split(".")
    return f"{head}.{body}.{signature[::-1]}"


def _matcher(routes: Iterable[RoutePattern]) -> Matches:
    paths = [ROUTES[str(route)] for route in routes]
    return lambda exchange: any(exchange.target.startswith(path) for path in paths)
