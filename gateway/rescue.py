"""The one place where an error becomes an answer.

The one idea: inner layers raise, this frame answers: `application/problem+json` (RFC 9457), the shape of NestJS, or a
small page for a person, and nothing internal in any of them.
"""

from __future__ import annotations

import html
import json
import math
from dataclasses import dataclass
from typing import Final

from gateway.errors import Code, GatewayError, Shape, document
from gateway.events import Emit, Event
from gateway.exchange import Buffered, Exchange, Handler, Headers, Reply, header_values

PUBLIC: Final[dict[Code, str]] = {
    "maintenance": "The service is under maintenance.",
    "redis-required": "Authentication is temporarily unavailable. Please try again in a moment.",
    "upstream-unreachable": "The service behind the gateway could not be reached.",
    "upstream-timeout": "The service behind the gateway did not answer in time.",
    "queue-full": "Too many calls are waiting. Please try again later.",
    "queue-timeout": "The call waited too long for its turn. Please try again later.",
    "auth-failed": "The gateway could not log in to the service.",
    "auth-timeout": "The login to the service took too long.",
    "breaker-open": "The service behind the gateway fails at present, and is left alone for a while.",
    "invalid-request": "The request is malformed.",
    "invalid-token": "The refresh token is not valid.",
    "not-found": "There is nothing of that name.",
    "forbidden-origin": "Requests from this origin are not allowed.",
    "too-many-attempts": "Too many failed attempts. Please try again later.",
    "payload-too-large": "The request is too large.",
    "request-timeout": "The request did not arrive in time.",
    "header-too-large": "The request's header section is too large.",
    "bad-request": "The request is malformed.",
    "not-implemented": "The request uses a feature that is not supported.",
    "shutting-down": "The service is restarting. Please try again.",
    "internal-error": "Something went wrong.",
}
"""What the client is told when the error itself says nothing."""


@dataclass(frozen=True, slots=True)
class Refused(Event):
    """A request ended with one of the gateway's own errors."""

    upstream: str
    """What the request was meant for: `backend`, or a policy's name."""
    route: str
    code: str
    private: str


@dataclass(frozen=True, slots=True)
class Crashed(Event):
    """A request ended with an exception that nobody expected."""

    error: BaseException


class RescueLayer:
    """Turns whatever an inner layer raises into a reply."""

    def __init__(self, upstream: str, shape: Shape, emit: Emit) -> None:
        self._upstream = upstream
        self._shape = shape
        self._emit = emit

    async def handle(self, exchange: Exchange, forward: Handler) -> Reply:
        """Forward; answer in the inner layers' place when they raise."""
        try:
            return await forward(exchange)
        except GatewayError as error:
            self._emit(Refused(self._upstream, exchange.route, error.code, error.private))
            return render(error, exchange, self._shape)
        except Exception as error:  # the border: anything unforeseen is a 500 and a log line with its traceback
            self._emit(Crashed(error))
            return render(GatewayError("internal-error"), exchange, self._shape)


def render(error: GatewayError, exchange: Exchange, shape: Shape) -> Reply:
    """Return the answer for an error in the shape that is configured, or a page when the client prefers one."""
    detail = error.detail or PUBLIC[error.code]
    if prefers_html(b",".join(header_values(exchange.headers, b"accept"))):
        content_type, content = b"text/html; charset=utf-8", _page(error, detail)
    else:
        kind, told = document(shape, code=error.code, status=error.status, title=error.title, detail=detail)
        content_type, content = kind.encode(), json.dumps(told, ensure_ascii=False, separators=(",", ":")).encode()
    headers: Headers = [
        (b"Content-Type", content_type),
        (b"Content-Length", str(len(content)).encode()),
        (b"Cache-Control", b"no-store"),
        (b"Vary", b"Accept"),
    ]
    if error.retry_after is not None:
        headers.append((b"Retry-After", str(max(1, math.ceil(error.retry_after))).encode()))
    named = {name.lower() for name, _ in error.headers}
    headers = [pair for pair in headers if pair[0].lower() not in named] + error.headers
    return Reply(error.status, headers, Buffered(content), error=error.code)


def prefers_html(accept: bytes) -> bool:
    """Tell whether an Accept field names `text/html` and ranks it above JSON (RFC 9110 section 12.5.1).

    Where JSON is covered only by a wildcard, an equal rank is enough: the page was asked for by name.
    """
    if b"text/html" not in accept.lower():
        return False
    ranks: dict[str, float] = {}
    for part in accept.decode("latin-1").lower().split(","):
        kind, *parameters = (p.strip() for p in part.split(";"))
        ranks[kind] = max(ranks.get(kind, 0.0), _quality(parameters))
    page = ranks.get("text/html", 0.0)
    named = [rank for kind, rank in ranks.items() if kind == "application/json" or kind.endswith("+json")]
    if any(rank >= page for rank in named):
        return False
    wildcard = ranks.get("application/*", ranks.get("*/*", 0.0))
    return page > 0.0 and (bool(named) or page >= wildcard)


def _quality(parameters: list[str]) -> float:
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            try:
                return min(1.0, max(0.0, float(value)))
            except ValueError:
                return 0.0
    return 1.0


_PAGE: Final = """<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{title}</title>
<style>body{{font:16px/1.5 system-ui,sans-serif;max-width:36rem;margin:15vh auto;padding:0 1rem;color:#222}}
h1{{font-size:1.4rem}}@media(prefers-color-scheme:dark){{body{{background:#111;color:#ddd}}}}</style></head>
<body><h1>{title}</h1><p>{detail}</p></body>
</html>
"""


def _page(error: GatewayError, detail: str) -> bytes:
    return _PAGE.format(title=html.escape(error.title), detail=html.escape(detail)).encode()
