"""The `tokens:` section of the configuration."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import AfterValidator, Field, SecretStr

from gateway.settings import PositiveDuration, Route, RoutePattern, Settings, Unsuitable, parse_route
from gateway.tokens.origin import parse_origin
from gateway.tokens.rotation import Policy

_REGISTERED: Final = frozenset(("iss", "sub", "aud", "exp", "nbf", "iat", "jti", "sid", "deg"))
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
ClaimsRoute = Annotated[
    str,
    Field(
        pattern=r'^GET /[!"$-z|~]*\{sub\}[!"$-z|~]*$',
        description="GET and a path with {sub} in it once, such as GET /internal/users/{sub}",
    ),
]
"""A request target in which `{sub}` stands for the percent-encoded user."""
Origin = Annotated[str, AfterValidator(parse_origin)]
"""RFC 6454, in the form that browsers send."""


def _read_only(route: RoutePattern) -> RoutePattern:
    if route.method not in (None, "GET"):
        raise Unsuitable("the keys are only read; leave the method out")
    return route


def _plain_path(route: RoutePattern) -> RoutePattern:
    if route.method is not None or "*" in route.path or route.path == "/":
        raise Unsuitable("the sessions have a path without a method and without *, such as /api/auth/sessions")
    return RoutePattern(None, route.path.rstrip("/"))


class TokenRoutes(Settings):
    """Where clients log in, refresh and log out."""

    login: tuple[Route, ...] = (parse_route("POST /api/auth/login"),)
    refresh: Route = parse_route("POST /api/auth/refresh")
    logout: Route = parse_route("POST /api/auth/logout")
    sessions: Annotated[Route, AfterValidator(_plain_path)] | None = None
    """Where users see and end their families: `GET`, `DELETE`, and `DELETE` of one below it."""
    jwks: Annotated[Route, AfterValidator(_read_only)] | None = None
    """Where verifiers find the public keys (RFC 7517); never closed, so it is not among `all`."""

    def all(self) -> tuple[RoutePattern, ...]:
        """Every configured token route."""
        return (*self.login, self.refresh, self.logout, *self.of_sessions())

    def of_sessions(self) -> tuple[RoutePattern, ...]:
        """List, end all, end one; none when there are no sessions routes."""
        if self.sessions is None:
            return ()
        path = self.sessions.path
        return RoutePattern("GET", path), RoutePattern("DELETE", path), RoutePattern("DELETE", f"{path}/*")


class IdentitySettings(Settings):
    """JSON pointers (RFC 6901) into a 2xx login response."""

    subject: Pointer = "/user/id"
    claims: dict[Annotated[str, AfterValidator(_not_registered)], Pointer] = Field(
        default={"email": "/user/email", "role": "/user/role"}
    )


Algorithm = Literal["HS256", "RS256", "ES256", "EdDSA"]
"""RFC 7518 section 3.1; EdDSA is with Ed25519 (RFC 8037)."""


class KeySettings(Settings):
    """A key of the access tokens: HS256 has a secret, the others a private key in PEM."""

    kid: Annotated[str, Field(min_length=1, max_length=64)]
    alg: Algorithm = "HS256"
    secret: SecretStr | None = None
    private_key: SecretStr | None = None


class RefreshSecretSettings(Settings):
    """A secret of the refresh tokens: one of its own, or derived from the access key with the id `key`."""

    secret: SecretStr | None = None
    key: str | None = None


def _not_empty(secret: SecretStr) -> SecretStr:
    if not secret.get_secret_value():
        raise Unsuitable("must not be empty")
    return secret


class LegacySettings(Settings):
    """The refresh tokens of a backend that minted its own before (HS256), as `gateway tokens migrate` takes them over.

    Its claims are `userId`, `tokenId` (the family) and `type: refresh`.
    """

    secret: Annotated[SecretStr, AfterValidator(_not_empty)]
    issuer: str | None = None
    audience: str | None = None


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
    mode: Literal["issue", "guard"] = "issue"
    dialect: Literal["camel", "oauth2"] = "camel"
    carrier: Literal["json", "cookie", "both"] = "json"
    routes: TokenRoutes = TokenRoutes()
    identity: IdentitySettings = IdentitySettings()
    legacy: LegacySettings | None = None
    """Whose old refresh tokens are traded for new ones, once each; None: nobody's."""
    claims_from: ClaimsRoute | None = None
    """Asked at each refresh; 403, 404 or 410 ends the family."""
    issuer: Annotated[str, Field(min_length=1)] = "gateway"
    audience: Annotated[str, Field(min_length=1)] = "backend"
    keys: tuple[KeySettings, ...] = ()
    refresh_secret: SecretStr | None = None
    """None: derived from each of the keys (HKDF, RFC 5869); the first one's signs."""
    refresh_secrets: tuple[RefreshSecretSettings, ...] = ()
    """In the place of `refresh_secret`: the first signs, all verify."""
    access_ttl: PositiveDuration = 900.0
    refresh_ttl: PositiveDuration = 604_800.0
    session_ttl: PositiveDuration = 2_592_000.0
    max_families_per_user: Annotated[int, Field(ge=1, le=1000)] = 10
    rotation_grace_period: Annotated[PositiveDuration, Field(le=3600)] = 30.0
    on_data_loss: Literal["adopt", "reject"] = "adopt"
    """What becomes of families that a restarted, empty Redis does not know."""
    allowed_origins: tuple[Origin, ...] = ()
    """Whose pages may send token requests with cookies, besides the origin's own."""
    cookie: CookieSettings = CookieSettings()

    @property
    def policy(self) -> Policy:
        """Lifetimes and limits as the ledgers take them."""
        return Policy(
            refresh_ttl=max(1, int(self.refresh_ttl)),
            session_ttl=max(1, int(self.session_ttl)),
            grace_ms=int(self.rotation_grace_period * 1000),
            max_families=self.max_families_per_user,
            adopt_lost=self.on_data_loss == "adopt",
            old_tokens=self.legacy is not None,
        )
