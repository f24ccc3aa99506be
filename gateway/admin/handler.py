"""The admin listener's routes: `/metrics`, `/startupz`, `/healthz`, `/readyz`.

The one idea: it speaks the same Exchange and Reply as the two roads, so it needs no server of its own.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Final

from gateway.admin.health import Health
from gateway.exchange import Buffered, Exchange, Reply, header_values

_TEXT: Final = b"text/plain; charset=utf-8"
_JSON: Final = b"application/json"

Render = Callable[[str], tuple[bytes, str]]
"""From an Accept field to the exposition and its content type."""


class AdminHandler:
    """Answers kubelet and Prometheus."""

    def __init__(self, health: Health, render_metrics: Render) -> None:
        self._health = health
        self._render_metrics = render_metrics
        self._routes: dict[bytes, Callable[[Exchange], Reply]] = {
            b"/metrics": self._metrics,
            b"/startupz": self._startupz,
            b"/healthz": self._healthz,
            b"/readyz": self._readyz,
        }

    async def handle(self, exchange: Exchange) -> Reply:
        """Answer one request; only GET and HEAD are known here."""
        route = self._routes.get(exchange.target.partition(b"?")[0])
        if route is None:
            paths = ", ".join(path.decode() for path in self._routes)
            return _reply(404, _TEXT, f"Not found. Here are: {paths}\n".encode())
        if exchange.method not in ("GET", "HEAD"):
            reply = _reply(405, _TEXT, b"Only GET and HEAD.\n")
            reply.headers.append((b"Allow", b"GET, HEAD"))
            return reply
        return route(exchange)

    def _metrics(self, exchange: Exchange) -> Reply:
        accept = b",".join(header_values(exchange.headers, b"accept")).decode("latin-1")
        content, content_type = self._render_metrics(accept)
        return _reply(200, content_type.encode(), content)

    def _startupz(self, exchange: Exchange) -> Reply:
        return _status(self._health.started, "started" if self._health.started else "starting")

    def _healthz(self, exchange: Exchange) -> Reply:
        return _status(True, "alive")  # that this line runs is the proof: the event loop turns

    def _readyz(self, exchange: Exchange) -> Reply:
        health = self._health
        state = "draining" if health.draining else "ready" if health.ready else "starting"
        return _status(health.ready, state, redis=health.redis())


def _status(good: bool, status: str, **more: str) -> Reply:
    return _reply(200 if good else 503, _JSON, json.dumps({"status": status, **more}).encode() + b"\n")


def _reply(status: int, content_type: bytes, content: bytes) -> Reply:
    headers = [
        (b"Content-Type", content_type),
        (b"Content-Length", str(len(content)).encode()),
        (b"Cache-Control", b"no-store"),
    ]
    return Reply(status, headers, Buffered(content))
