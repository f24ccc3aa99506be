"""The words that clients and the gateway use: names of members, the form of a request, how a refusal reads.

The one idea: a dialect says nothing of what is decided, only how it is told. `camel` is what single-page portals speak,
`oauth2` what OAuth libraries speak (RFC 6749 sections 5.1, 5.2 and 6; RFC 7009 for the logout).

In `oauth2` every client is a public one: the gateway knows no client registry, so `client_id`, `client_secret` and a
Basic `Authorization` are not looked at, nor is `scope`: there are none to narrow. A refresh token is bound to nothing
but its family.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, Protocol
from urllib.parse import parse_qsl

from gateway.errors import Code, GatewayError
from gateway.exchange import Buffered, Exchange, Handler, Headers, Reply, header, without

Operation = Literal["refresh", "logout"]

NO_STORE: Final = (b"Cache-Control", b"no-store")
NO_CACHE: Final = (b"Pragma", b"no-cache")
_MAX_PARAMETERS: Final = 64
_FORM: Final = b"application/x-www-form-urlencoded"
_CHALLENGE: Final = frozenset((b"www-authenticate",))
_ERRORS: Final[Mapping[Code, tuple[str, str]]] = {
    "invalid-request": ("invalid_request", "The request is malformed."),
    "invalid-token": ("invalid_grant", "The refresh token is not valid."),
}


@dataclass(frozen=True, slots=True)
class Pair:
    """What a client is given. Times are seconds from now."""

    access: str = field(repr=False)
    refresh: str = field(repr=False)
    expires_in: int
    refresh_expires_in: int


class Dialect(Protocol):
    """One way to speak of tokens."""

    access_member: str
    refresh_member: str
    query_names: frozenset[str]
    """Parameters of the query, in lower case, that would be a refresh token."""
    logged_out: int
    """The status of a logout."""

    def presented(self, exchange: Exchange, content: bytes, operation: Operation) -> str | None:
        """Return the refresh token in a request's content, None when it brings none.

        Raises:
            GatewayError: `invalid-request`, when it cannot be read.
        """
        ...

    def timing(self, pair: Pair) -> dict[str, Any]:
        """Return the members that describe the access token without being one."""
        ...


class Camel:
    """`{"refreshToken": …}` in; `accessToken`, `refreshToken`, `expiresIn` (seconds) and `tokenType` out."""

    access_member = "accessToken"
    refresh_member = "refreshToken"
    query_names = frozenset(("refreshtoken", "refresh_token"))
    logged_out = 204

    def presented(self, exchange: Exchange, content: bytes, operation: Operation) -> str | None:
        """Read JSON of whatever media type, see `Dialect`."""
        if not content.strip():
            return None
        try:
            document = json.loads(content)
        except (ValueError, RecursionError):
            raise malformed() from None
        if not isinstance(document, dict):
            raise malformed()
        token = document.get(self.refresh_member)
        if token is not None and not isinstance(token, str):
            raise malformed()
        return token

    def timing(self, pair: Pair) -> dict[str, Any]:
        """Return how long it lives, and its type."""
        return {"expiresIn": pair.expires_in, "tokenType": "Bearer"}


class OAuth2:
    """A form with `grant_type=refresh_token` in; `access_token`, `refresh_token`, `expires_in`, `token_type` out.

    A logout brings `token` (RFC 7009 section 2.1) or `refresh_token`. Content of another media type brings none.
    """

    access_member = "access_token"
    refresh_member = "refresh_token"
    query_names = frozenset(("refreshtoken", "refresh_token", "token"))
    logged_out = 200

    def presented(self, exchange: Exchange, content: bytes, operation: Operation) -> str | None:
        """Read a form, see `Dialect`. No parameter may come twice, one without a value counts as left out."""
        kind = (header(exchange.headers, b"content-type") or b"").partition(b";")[0].strip().lower()
        if not content or kind != _FORM:
            return None
        form = _form(content)
        if operation == "logout":
            return form.get("token") or form.get("refresh_token")
        grant = form.get("grant_type")
        if grant is None:
            raise GatewayError("invalid-request", detail="The parameter grant_type is missing.")
        if grant != "refresh_token":
            raise UnsupportedGrantType
        return form.get("refresh_token")

    def timing(self, pair: Pair) -> dict[str, Any]:
        """Return how long it lives, and its type."""
        return {"expires_in": pair.expires_in, "token_type": "Bearer"}


class UnsupportedGrantType(GatewayError):
    """The token endpoint is asked for anything but a refresh."""

    def __init__(self) -> None:
        super().__init__("invalid-request", detail="Only the grant type refresh_token is supported.")


class OAuth2Errors:
    """The layer that words refusals as RFC 6749 section 5.2 wants them; the statuses it does not know pass.

    Args:
        matches: tells the token endpoints.
    """

    def __init__(self, matches: Callable[[Exchange], bool]) -> None:
        self._matches = matches

    async def handle(self, exchange: Exchange, forward: Handler) -> Reply:
        """Forward; answer in the inner layers' place when they refuse a token."""
        if not self._matches(exchange):
            return await forward(exchange)
        try:
            return await forward(exchange)
        except GatewayError as error:
            if error.code not in _ERRORS:
                raise
            return _refusal(error)


def _refusal(error: GatewayError) -> Reply:
    name, description = _ERRORS[error.code]
    if isinstance(error, UnsupportedGrantType):
        name = "unsupported_grant_type"
    content = {"error": name, "error_description": error.detail or description}
    reply = json_reply(content, without(error.headers, _CHALLENGE), 400)
    reply.error = error.code
    return reply


def dialect_of(name: Literal["camel", "oauth2"]) -> Dialect:
    """Return the configured dialect."""
    return OAuth2() if name == "oauth2" else Camel()


def malformed() -> GatewayError:
    """Return the error for a refresh token that is missing or none."""
    return GatewayError("invalid-request", detail="The refresh token is missing or malformed.")


def json_reply(content: dict[str, Any], headers: Headers, status: int = 200) -> Reply:
    """Return JSON that no cache keeps (RFC 6749 section 5.1)."""
    body = json.dumps(content, separators=(",", ":")).encode()
    fields = [(b"Content-Type", b"application/json"), (b"Content-Length", b"%d" % len(body)), NO_STORE, NO_CACHE]
    return Reply(status, [*fields, *headers], Buffered(body))


def _form(content: bytes) -> dict[str, str]:
    try:
        pairs = parse_qsl(content.decode("ascii"), True, errors="strict", max_num_fields=_MAX_PARAMETERS)
    except ValueError:
        raise GatewayError("invalid-request", detail="The form cannot be read.") from None
    if len({name for name, _ in pairs}) < len(pairs):
        raise GatewayError("invalid-request", detail="A parameter comes more than once.")
    return {name: value for name, value in pairs if value}
