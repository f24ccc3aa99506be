"""How tokens travel: in JSON members of the `camel` dialect, or in cookies.

The one idea: the rest of the room deals in a presented text and a `Pair`; which fields or cookies these are is known
here alone. Nothing is ever read from the query string, where logs and histories would keep it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, Final, Protocol
from urllib.parse import parse_qsl

from gateway.errors import GatewayError
from gateway.exchange import Buffered, Exchange, Headers, Reply, header_values, read_all
from gateway.tokens.settings import CookieSettings, TokenSettings

MAX_BODY: Final = 16 * 1024
MAX_DUPLICATES: Final = 8
NO_STORE: Final = (b"Cache-Control", b"no-store")
_IN_QUERY: Final = frozenset(("refreshtoken", "refresh_token"))


@dataclass(frozen=True, slots=True)
class Pair:
    """What a client is given. Times are seconds from now."""

    access: str = field(repr=False)
    refresh: str = field(repr=False)
    expires_in: int
    refresh_expires_in: int


class Carrier(Protocol):
    """One way for tokens to travel."""

    async def presented(self, exchange: Exchange) -> list[str]:
        """Return the refresh tokens of a request, in the order of the wire; none when it brings none.

        Raises:
            GatewayError: `invalid-request`, when they cannot be read.
        """
        ...

    def reply(self, pair: Pair) -> Reply:
        """Return the answer to a refresh."""
        ...

    def members(self, pair: Pair) -> dict[str, Any]:
        """Return what becomes of the token members of a login's JSON; None: the member goes."""
        ...

    @property
    def adds_members(self) -> bool:
        """Whether members that the login's JSON does not have are added."""
        ...

    def set_headers(self, pair: Pair) -> Headers:
        """Return the fields that bring the pair, besides the JSON."""
        ...

    def clear_headers(self) -> Headers:
        """Return the fields that make the client forget."""
        ...

    def replaces(self, name: bytes, value: bytes) -> bool:
        """Tell whether a field of the backend's login would contradict ours."""
        ...


def carrier_of(settings: TokenSettings) -> Carrier:
    """Return the configured carrier."""
    return CookieCarrier(settings.cookie) if settings.carrier == "cookie" else JsonCarrier()


def refuse_query(exchange: Exchange) -> None:
    """Refuse a request with a refresh token in its query string.

    Raises:
        GatewayError: `invalid-request`; the token counts as not presented, and is not spent.
    """
    _, _, query = exchange.target.partition(b"?")
    if query and any(name.lower() in _IN_QUERY for name, _ in parse_qsl(query.decode("latin-1"), True)):
        raise GatewayError("invalid-request", detail="A refresh token does not belong into the URL.")


class JsonCarrier:
    """`{"refreshToken": …}` in; `accessToken`, `refreshToken`, `expiresIn` (seconds) and `tokenType` out."""

    adds_members = True

    async def presented(self, exchange: Exchange) -> list[str]:
        """Read the body, see `Carrier`."""
        try:
            content = await read_all(exchange.body, MAX_BODY)
        except GatewayError as error:
            if error.code != "payload-too-large":
                raise
            raise malformed() from None
        if not content.strip():
            return []
        try:
            document = json.loads(content)
        except (ValueError, RecursionError):
            raise malformed() from None
        if not isinstance(document, dict):
            raise malformed()
        token = document.get("refreshToken")
        if token is None:
            return []
        if not isinstance(token, str):
            raise malformed()
        return [token]

    def reply(self, pair: Pair) -> Reply:
        """Answer with the pair as JSON."""
        return json_reply(self.members(pair), [])

    def members(self, pair: Pair) -> dict[str, Any]:
        """Return all four members."""
        return {
            "accessToken": pair.access,
            "refreshToken": pair.refresh,
            "expiresIn": pair.expires_in,
            "tokenType": "Bearer",
        }

    def set_headers(self, pair: Pair) -> Headers:
        """Nothing travels in the header section."""
        return []

    def clear_headers(self) -> Headers:
        """Nothing can be cleared from here."""
        return []

    def replaces(self, name: bytes, value: bytes) -> bool:
        """Contradict nothing."""
        return False


class CookieCarrier:
    """Two HttpOnly cookies (RFC 6265bis); script never sees a token, so none stays in the JSON either.

    Several cookies of one name (an older path or domain, a sibling host's) all count as presented.
    """

    adds_members = False

    def __init__(self, settings: CookieSettings) -> None:
        self._settings = settings
        same_site = settings.same_site.capitalize()
        self._attributes = f"; Path={settings.path}; HttpOnly; SameSite={same_site}"
        if settings.secure:
            self._attributes += "; Secure"
        if settings.domain:
            self._attributes += f"; Domain={settings.domain}"

    async def presented(self, exchange: Exchange) -> list[str]:
        """Read the Cookie fields, see `Carrier`. The body is not looked at."""
        await exchange.body.aclose()
        wanted, found = self._settings.refresh.encode(), []
        for line in header_values(exchange.headers, b"cookie"):
            for pair in line.split(b";"):
                name, _, value = pair.strip(b" \t").partition(b"=")
                if name == wanted and (value := value.strip(b'"')):
                    found.append(value.decode("latin-1"))
        return list(dict.fromkeys(found))[:MAX_DUPLICATES]

    def reply(self, pair: Pair) -> Reply:
        """Answer with the cookies, and say in JSON when to come back."""
        content = {"expiresIn": pair.expires_in, "tokenType": "Bearer"}
        return json_reply(content, self.set_headers(pair))

    def members(self, pair: Pair) -> dict[str, Any]:
        """Replace what describes the token and remove the tokens themselves."""
        return {"accessToken": None, "refreshToken": None, "expiresIn": pair.expires_in, "tokenType": "Bearer"}

    def set_headers(self, pair: Pair) -> Headers:
        """Return both cookies, each for as long as its token lives."""
        return [
            self._cookie(self._settings.access, pair.access, pair.expires_in),
            self._cookie(self._settings.refresh, pair.refresh, pair.refresh_expires_in),
        ]

    def clear_headers(self) -> Headers:
        """Return both cookies, empty and ended."""
        return [self._cookie(self._settings.access, "", 0), self._cookie(self._settings.refresh, "", 0)]

    def replaces(self, name: bytes, value: bytes) -> bool:
        """Replace the backend's cookies of the same names."""
        cookie = value.partition(b"=")[0].strip()
        ours = (self._settings.access.encode(), self._settings.refresh.encode())
        return name.lower() == b"set-cookie" and cookie in ours

    def _cookie(self, name: str, value: str, max_age: int) -> tuple[bytes, bytes]:
        return b"Set-Cookie", f"{name}={value}; Max-Age={max(0, max_age)}{self._attributes}".encode()


def malformed() -> GatewayError:
    """Return the error for a refresh token that is missing or none."""
    return GatewayError("invalid-request", detail="The refresh token is missing or malformed.")


def json_reply(content: dict[str, Any], headers: Headers) -> Reply:
    """Return a 200 that no cache keeps (RFC 6749 section 5.1)."""
    body = json.dumps(content, separators=(",", ":")).encode()
    fields = [
        (b"Content-Type", b"application/json"),
        (b"Content-Length", b"%d" % len(body)),
        NO_STORE,
        (b"Pragma", b"no-cache"),
    ]
    return Reply(200, [*fields, *headers], Buffered(body))
