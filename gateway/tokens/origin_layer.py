"""No other origin's page spends, plants or clears a token cookie.

The one idea: a browser attaches cookies to whatever page asks, so where tokens travel in cookies the page's origin is
part of the proof. Tokens in a body prove themselves: a page that has one was given it.

| carrier | from another origin that is not allowed |
|---|---|
| json | served |
| cookie | 403, a login too: its answer would plant the cookies of whoever wrote the page |
| both | 403 with a token cookie; else served in JSON alone, without setting or clearing cookies |

In `mode: guard` only requests that bring the refresh cookie are refused, and the backend's answers stay as they are.

Pages of allowed origins can read what the gateway itself answers them (the Fetch standard's CORS protocol); preflights
are the backend's to answer, like those of its other routes.
"""

from __future__ import annotations

from collections.abc import Callable

from gateway.errors import GatewayError
from gateway.exchange import Exchange, Handler, Headers, Reply, header
from gateway.tokens.carrier import carrier_of
from gateway.tokens.cookies import values_of
from gateway.tokens.origin import is_foreign, parse_origin
from gateway.tokens.settings import TokenSettings

Matches = Callable[[Exchange], bool]


class OriginLayer:
    """Stands before the token routes.

    Args:
        settings: the `tokens:` section.
        matches: tells the requests to any token route.
        answered: tells those that the gateway answers by itself.
        authority: returns the host and port that the client asked for.
    """

    def __init__(
        self, settings: TokenSettings, *, matches: Matches, answered: Matches, authority: Callable[[Exchange], bytes]
    ) -> None:
        self._matches, self._answered, self._authority = matches, answered, authority
        self._allowed = frozenset(settings.allowed_origins)
        self._carrier = carrier_of(settings)
        self._by_cookie = settings.carrier != "json"
        self._refuses_all = settings.mode == "issue" and settings.carrier == "cookie"
        self._keeps_cookies = settings.mode != "issue"
        names = [settings.cookie.refresh] if self._keeps_cookies else [settings.cookie.refresh, settings.cookie.access]
        self._cookies = [name.encode() for name in names]

    async def handle(self, exchange: Exchange, forward: Handler) -> Reply:
        """Refuse, or forward and see to the fields that concern the page's origin.

        Raises:
            GatewayError: `forbidden-origin`, before anything was read, spent or forwarded.
        """
        if not self._matches(exchange):
            return await forward(exchange)
        foreign = self._by_cookie and is_foreign(exchange.headers, self._own(exchange), self._allowed)
        if foreign and (self._refuses_all or self._brings_cookie(exchange)):
            raise GatewayError("forbidden-origin", private="a page of another origin asked")
        shared = self._shared(exchange)
        try:
            reply = await forward(exchange)
        except GatewayError as error:
            error.headers = self._seen_to(error.headers, foreign, shared)
            raise
        reply.headers = self._seen_to(reply.headers, foreign, shared)
        return reply

    def _brings_cookie(self, exchange: Exchange) -> bool:
        return any(values_of(exchange.headers, name) for name in self._cookies)

    def _seen_to(self, headers: Headers, foreign: bool, shared: Headers) -> Headers:
        if foreign and not self._keeps_cookies:
            headers = [pair for pair in headers if not self._carrier.replaces(*pair)]
        return [*headers, *shared] if shared else headers

    def _shared(self, exchange: Exchange) -> Headers:
        """Return the fields that let a page of an allowed origin read the answer."""
        origin = header(exchange.headers, b"origin")
        if origin is None or origin.decode("latin-1") not in self._allowed or not self._answered(exchange):
            return []
        return [
            (b"Access-Control-Allow-Origin", origin),
            (b"Access-Control-Allow-Credentials", b"true"),
            (b"Access-Control-Expose-Headers", b"Retry-After"),
            (b"Vary", b"Accept, Origin"),
        ]

    def _own(self, exchange: Exchange) -> str:
        try:
            return parse_origin(f"{exchange.scheme}://{self._authority(exchange).decode('latin-1')}")
        except ValueError:
            return ""
