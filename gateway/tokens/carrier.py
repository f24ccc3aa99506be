"""How tokens travel: in a body of the configured dialect, in cookies, or in both.

The one idea: the rest of the room deals in a presented text and a `Pair`; which fields or cookies these are is known
here alone. Nothing is ever read from the query string, where logs and histories would keep it.
"""

from __future__ import annotations

from typing import Any, Final, Protocol
from urllib.parse import parse_qsl

from gateway.errors import GatewayError
from gateway.exchange import Exchange, Headers, Reply, read_all
from gateway.tokens.cookies import values_of
from gateway.tokens.dialect import Camel, Dialect, Operation, Pair, dialect_of, json_reply, malformed
from gateway.tokens.settings import CookieSettings, TokenSettings

MAX_BODY: Final = 16 * 1024
MAX_OPAQUE: Final = 8
"""Cookies of one name that count while nothing here can tell a good one: a store is asked about each."""
MAX_PRESENTED: Final = 160
"""Cookies of one name that are verified. The longest count: a header section of the ordinary size has no room for so
many that are as long as a token of ours, so none is crowded out."""
_CAMEL: Final = Camel()


class Carrier(Protocol):
    """One way for tokens to travel."""

    async def presented(self, exchange: Exchange, operation: Operation = "refresh") -> list[str]:
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
    dialect = dialect_of(settings.dialect)
    body, cookies = JsonCarrier(dialect), CookieCarrier(settings.cookie, dialect, opaque=settings.mode == "guard")
    match settings.carrier:
        case "json":
            return body
        case "cookie":
            return cookies
        case "both":
            return BothCarrier(body, cookies)


def refuse_query(exchange: Exchange, dialect: Dialect = _CAMEL) -> None:
    """Refuse a request with a refresh token in its query string.

    Raises:
        GatewayError: `invalid-request`; the token counts as not presented, and is not spent.
    """
    _, _, query = exchange.target.partition(b"?")
    names = dialect.query_names
    if query and any(name.lower() in names for name, _ in parse_qsl(query.decode("latin-1"), True)):
        raise GatewayError("invalid-request", detail="A refresh token does not belong into the URL.")


class JsonCarrier:
    """In the content of requests and answers, as the dialect spells it."""

    adds_members = True

    def __init__(self, dialect: Dialect = _CAMEL) -> None:
        self._dialect = dialect

    async def presented(self, exchange: Exchange, operation: Operation = "refresh") -> list[str]:
        """Read the body, see `Carrier`."""
        try:
            content = await read_all(exchange.body, MAX_BODY)
        except GatewayError as error:
            if error.code != "payload-too-large":
                raise
            raise malformed() from None
        token = self._dialect.presented(exchange, content, operation)
        return [] if token is None else [token]

    def reply(self, pair: Pair) -> Reply:
        """Answer with the pair as JSON."""
        return json_reply(self.members(pair), [])

    def members(self, pair: Pair) -> dict[str, Any]:
        """Return all four members."""
        dialect = self._dialect
        return {
            dialect.access_member: pair.access,
            dialect.refresh_member: pair.refresh,
            **dialect.timing(pair),
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

    Several cookies of one name (an older path or domain, a sibling host's) all count as presented, and which of them is
    good is for whoever verifies them to find; `opaque`: nobody can, so that only a few count.
    """

    adds_members = False

    def __init__(self, settings: CookieSettings, dialect: Dialect = _CAMEL, *, opaque: bool = False) -> None:
        self._settings = settings
        self._dialect = dialect
        self._opaque = opaque
        same_site = settings.same_site.capitalize()
        self._attributes = f"; Path={settings.path}; HttpOnly; SameSite={same_site}"
        if settings.secure:
            self._attributes += "; Secure"
        if settings.domain:
            self._attributes += f"; Domain={settings.domain}"

    async def presented(self, exchange: Exchange, operation: Operation = "refresh") -> list[str]:
        """Read the Cookie fields, see `Carrier`. The body is not looked at."""
        await exchange.body.aclose()
        found = list(dict.fromkeys(values_of(exchange.headers, self._settings.refresh.encode())))
        if not self._opaque and len(found) > MAX_PRESENTED:
            found = sorted(found, key=len, reverse=True)[:MAX_PRESENTED]
        # What has the shape of a JWT comes first: its fault is the one to tell of, and likelier an opaque one is good.
        found.sort(key=lambda value: value.count(".") != 2)
        return found[:MAX_OPAQUE] if self._opaque else found

    def reply(self, pair: Pair) -> Reply:
        """Answer with the cookies, and say in JSON when to come back."""
        return json_reply(self._dialect.timing(pair), self.set_headers(pair))

    def members(self, pair: Pair) -> dict[str, Any]:
        """Replace what describes the token and remove the tokens themselves."""
        dialect = self._dialect
        return {dialect.access_member: None, dialect.refresh_member: None, **dialect.timing(pair)}

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


class BothCarrier:
    """The pair in JSON and in cookies.

    A request's content is read first; its cookies count only when it brings no token, so that a client that says which
    token it means is taken at its word.
    """

    adds_members = True

    def __init__(self, body: JsonCarrier, cookies: CookieCarrier) -> None:
        self._body = body
        self._cookies = cookies

    async def presented(self, exchange: Exchange, operation: Operation = "refresh") -> list[str]:
        """Read the body, and without a token in it the Cookie fields, see `Carrier`."""
        return await self._body.presented(exchange, operation) or await self._cookies.presented(exchange, operation)

    def reply(self, pair: Pair) -> Reply:
        """Answer with the pair as JSON and as cookies."""
        return json_reply(self.members(pair), self.set_headers(pair))

    def members(self, pair: Pair) -> dict[str, Any]:
        """Return all four members."""
        return self._body.members(pair)

    def set_headers(self, pair: Pair) -> Headers:
        """Return both cookies."""
        return self._cookies.set_headers(pair)

    def clear_headers(self) -> Headers:
        """Return both cookies, empty and ended."""
        return self._cookies.clear_headers()

    def replaces(self, name: bytes, value: bytes) -> bool:
        """Replace the backend's cookies of the same names."""
        return self._cookies.replaces(name, value)
