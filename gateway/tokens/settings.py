"""The `tokens:` section of the configuration."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import AfterValidator, Field, SecretStr

from gateway.settings import PositiveDuration, Route, RoutePattern, Settings, Unsuitable, parse_route
from gateway.tokens.rotation import Policy

_REGISTERED: Final = frozenset(("iss", "sub", "aud", "exp", "nbf", "iat", "jti", "deg"))
"""Claims that the gateway sets by itself (RFC 7519 section 4.1, and its own mark)."""


def _not_registered(name: str) -> str:
    if name in _REGISTERED:
        raise Unsuitable("is a claim that the gateway sets by itself; choose another name")
    return name


CookieName = Annotated[
    str, Field(pattern=r"^[A-Za-z0-9!#$%&'*+.^_`|~-]+$", description="a cookie's name: letters, digits, - and _")
]
"""A token of RFC 9110 section 5.6.2."""
Pointer = Annotated[str, Field(pattern=r"^(/([^~/]|~[01])*)+$", description="a JSON pointer such as /user/id")]
"""RFC 6901."""


class TokenRoutes(Settings):
    """Where clients log in, refresh and log out."""

    login: tuple[Route, ...] = (parse_route("POST /api/auth/login"),)
    refresh: Route = parse_route("POST /api/auth/refresh")
    logout: Route = parse_route("POST /api/auth/logout")

    def all(self) -> tuple[RoutePattern, ...]:
        """Every configured token route."""
        return (*self.login, self.refresh, self.logout)


class IdentitySettings(Settings):
    """JSON pointers (RFC 6901) into a 2xx login response."""

    subject: Pointer = "/user/id"
    claims: dict[Annotated[str, AfterValidator(_not_registered)], Pointer] = Field(
        default={"email": "/user/email", "role": "/user/role"}
    )


class KeySettings(Settings):
    """A key of the access tokens."""

    kid: Annotated[str, Field(min_length=1, max_length=64)]
    alg: Literal["HS256"] = "HS256"
    secret: SecretStr


class CookieSettings(Settings):
    """Names and attributes of the token cookies (RFC 6265bis)."""

    access: CookieName = "access_token"
    refresh: CookieName = "refresh_token"
    path: Annotated[str, Field(pattern=r"^/[^;\x00-\x20\x7f]*$", description="a path such as /")] = "/"
    same_site: Literal["lax", "strict", "none"] = "lax"
    secure: bool = True
    domain: Annotated[str, Field(pattern=r"^[A-Za-z0-9.-]+$", description="a domain such as example.com")] | None = None


class TokenSettings(Settings):
    """Refresh tokens: who mints them, where they travel, how long they live."""

    enabled: bool = False
    require_redis: bool = False
    mode: Literal["issue"] = "issue"
    dialect: Literal["camel"] = "camel"
    carrier: Literal["json", "cookie"] = "json"
    routes: TokenRoutes = TokenRoutes()
    identity: IdentitySettings = IdentitySettings()
    issuer: Annotated[str, Field(min_length=1)] = "gateway"
    audience: Annotated[str, Field(min_length=1)] = "backend"
    keys: tuple[KeySettings, ...] = ()
    refresh_secret: SecretStr | None = None
    """None: derived from the first key (HKDF, RFC 5869)."""
    access_ttl: PositiveDuration = 900.0
    refresh_ttl: PositiveDuration = 604_800.0
    session_ttl: PositiveDuration = 2_592_000.0
    max_families_per_user: Annotated[int, Field(ge=1, le=1000)] = 10
    rotation_grace_period: Annotated[PositiveDuration, Field(le=3600)] = 30.0
    cookie: CookieSettings = CookieSettings()

    @property
    def policy(self) -> Policy:
        """Lifetimes and limits as the ledgers take them."""
        return Policy(
            refresh_ttl=max(1, int(self.refresh_ttl)),
            session_ttl=max(1, int(self.session_ttl)),
            grace_ms=int(self.rotation_grace_period * 1000),
            max_families=self.max_families_per_user,
        )
