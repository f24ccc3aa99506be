"""Minting and reading tokens: two kinds that can never be taken for each other.

The one idea: a refresh token is a function of its family's record and its login, byte for byte (the header and the
payload are built in one order, the `jti` is derived), so the same token can be minted again by any replica. Kinds
differ by `typ`, by audience and by secret. Only signature and shape are judged here; times are the ledger's matter.
Which keys there are is the ring's matter; each call takes the ring in force once.

Sources: RFC 7519 (JWT), RFC 9068 section 2.1 (`at+jwt`), RFC 8725 sections 3.1, 3.9 and 3.11 (pinned algorithm,
audience, explicit types), RFC 5869 (HKDF).
"""

from __future__ import annotations

import base64
import hmac
import json
import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

import jwt
from jwt.types import Options

from gateway.tokens.compact import ACCESS
from gateway.tokens.keys import Keys, RefreshSecret
from gateway.tokens.rotation import Family
from gateway.tokens.settings import TokenSettings

MAX_TOKEN: Final = 8192
"""Bytes of a presented token."""
MAX_SUBJECT: Final = 256
_MAX_NUMBER: Final = 2**40
"""Beyond any generation and time; Redis's Lua still counts exactly here, in milliseconds too."""
_SHAPE: Final = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*", re.ASCII)
_FAMILY: Final = re.compile(r"[0-9a-f]{24}", re.ASCII)
_ACCESS_OPTIONS: Final[Options] = {
    "require": ["iss", "aud", "sub", "iat", "exp", "jti"],
    "strict_aud": True,
    "verify_exp": False,
    "verify_iat": False,
    "verify_nbf": False,
}


class MalformedToken(Exception):
    """What was presented is no JWT at all."""


class InvalidToken(Exception):
    """A JWT that this gateway did not mint as a refresh token."""


@dataclass(frozen=True, slots=True)
class Login:
    """What a login says, carried in the refresh token from generation to generation."""

    user: str
    claims: dict[str, Any] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class RefreshToken:
    """A verified refresh token."""

    login: Login
    family: str
    generation: int
    auth_time: int
    issued_at: int
    expires: int
    degraded: bool


def new_family() -> str:
    """Return a name for a family: 96 random bits in hexadecimal."""
    return secrets.token_hex(12)


class Mint:
    """Mints both kinds and reads them back, with the keys that are in force (those of the settings by default)."""

    def __init__(self, settings: TokenSettings, keys: Keys | None = None) -> None:
        self._keys = keys or Keys(settings)
        self._issuer = settings.issuer
        self._audience = settings.audience
        self._refresh_audience = f"{settings.issuer}/refresh"

    @property
    def key_id(self) -> str:
        """Names the secret that signs refresh tokens, in their headers and in the families' records."""
        return self._keys.ring.refresh[0].kid

    def access(self, login: Login, now: int, expires: int, *, family: str = "", degraded: bool = False) -> str:
        """Return a new access token, valid from `now` to `expires` (seconds); `sid` names its family."""
        payload: dict[str, Any] = {
            **login.claims,
            "iss": self._issuer,
            "aud": self._audience,
            "sub": login.user,
            "iat": now,
            "exp": expires,
            "jti": secrets.token_urlsafe(16),
        }
        if family:
            payload["sid"] = family
        if degraded:
            payload["deg"] = True
        return self._keys.ring.access[0].sign(payload)

    def refresh(self, login: Login, family: str, record: Family, *, degraded: bool = False) -> str:
        """Return the current refresh token of a family: the same bytes for the same record and login.

        A record may name a secret that is retired by now. What that signed verifies nowhere any more, so the first
        secret signs, and there is no second token of the generation.
        """
        ring = self._keys.ring
        secret = ring.refresh_secret(record.key_id) or ring.refresh[0]
        payload: dict[str, Any] = {
            "iss": self._issuer,
            "aud": self._refresh_audience,
            "sub": login.user,
            "fid": family,
            "gen": record.generation,
            "auth_time": record.auth_time,
            "iat": record.rotated_ms // 1000,
            "exp": record.expires,
            "jti": _jti(secret, family, record.generation),
            "claims": {name: login.claims[name] for name in sorted(login.claims)},
        }
        if degraded:
            payload["deg"] = True
        return secret.seal.sign(payload)

    def read(self, token: str) -> RefreshToken:
        """Return what a refresh token says, once its signature, kind, issuer, audience and shape are right.

        Raises:
            MalformedToken: when it is no JWT, or larger than `MAX_TOKEN`.
            InvalidToken: for any other fault. Whether it is within its times is not judged.
        """
        if len(token) > MAX_TOKEN or _SHAPE.fullmatch(token) is None:
            raise MalformedToken
        seal = self._keys.ring.seal_of(token)
        if seal is None:
            _header(token)  # another's token is one that we did not mint, and what has no header is none at all
            raise InvalidToken
        try:
            payload = seal.opened(token)
        except (ValueError, RecursionError):
            raise InvalidToken from None
        if payload.get("iss") != self._issuer or payload.get("aud") != self._refresh_audience:
            raise InvalidToken
        return _shaped(payload)

    def read_access(self, token: str, now: float) -> dict[str, Any]:
        """Return the claims of an access token that is good at `now` (seconds), whichever of the keys signed it.

        Raises:
            InvalidToken: for any fault; the key that the token names decides the algorithm, not the token.
        """
        try:
            if len(token) > MAX_TOKEN or _SHAPE.fullmatch(token) is None:
                raise MalformedToken
            header = _header(token)
            key = self._keys.ring.access_key(header.get("kid"))
            if header.get("typ") != ACCESS or key is None:
                raise InvalidToken
            payload: dict[str, Any] = jwt.decode(
                token, key.verifying, [key.alg], _ACCESS_OPTIONS, audience=self._audience, issuer=self._issuer
            )
        except (MalformedToken, jwt.PyJWTError, ValueError, RecursionError):
            raise InvalidToken from None
        if not (isinstance(payload["sub"], str) and type(payload["exp"]) is int and now < payload["exp"]):
            raise InvalidToken
        return payload

    def fingerprint(self, token: str) -> str:
        """Return the prefix of a keyed hash, by which the audit trail names a presented token."""
        return hmac.digest(self._keys.ring.refresh[0].audit, token.encode("utf-8", "surrogatepass"), "sha256").hex()[
            :12
        ]


def _jti(secret: RefreshSecret, family: str, generation: int) -> str:
    digest = hmac.digest(secret.jti, f"{family}|{generation}".encode(), "sha256")
    return base64.urlsafe_b64encode(digest[:16]).rstrip(b"=").decode()


def _header(token: str) -> dict[str, Any]:
    segment = token.partition(".")[0]
    try:
        header = json.loads(base64.urlsafe_b64decode(segment + "=" * (-len(segment) % 4)))
    except (ValueError, RecursionError):
        raise MalformedToken from None
    if not isinstance(header, dict):
        raise MalformedToken
    return header


def _shaped(payload: dict[str, Any]) -> RefreshToken:
    told: Callable[..., Any] = payload.get
    user, family, claims, degraded = told("sub"), told("fid"), told("claims"), told("deg", False)
    if not (isinstance(user, str) and 1 <= len(user) <= MAX_SUBJECT and isinstance(claims, dict)):
        raise InvalidToken
    if not (isinstance(family, str) and _FAMILY.fullmatch(family) and isinstance(degraded, bool)):
        raise InvalidToken
    if not isinstance(told("jti"), str):
        raise InvalidToken
    numbers = generation, auth_time, issued_at, expires = told("gen"), told("auth_time"), told("iat"), told("exp")
    for number in numbers:
        if type(number) is not int or not 0 <= number < _MAX_NUMBER:
            raise InvalidToken
    if generation == 0:
        raise InvalidToken
    return RefreshToken(Login(user, claims), family, generation, auth_time, issued_at, expires, degraded)
