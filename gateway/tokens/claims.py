"""Minting and reading tokens: two kinds that can never be taken for each other.

The one idea: a refresh token is a function of its family's record and its login, byte for byte (the header and the
payload are built in one order, the `jti` is derived), so the same token can be minted again by any replica. Kinds
differ by `typ`, by audience and by secret. Only signature and shape are judged here; times are the ledger's matter.

Sources: RFC 7519 (JWT), RFC 9068 section 2.1 (`at+jwt`), RFC 8725 sections 3.1, 3.9 and 3.11 (pinned algorithm,
audience, explicit types), RFC 5869 (HKDF).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
import secrets
from dataclasses import dataclass, field
from typing import Any, Final

import jwt
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from jwt.types import Options

from gateway.tokens.rotation import Family
from gateway.tokens.settings import TokenSettings

MAX_TOKEN: Final = 8192
"""Bytes of a presented token."""
MAX_SUBJECT: Final = 256
_MAX_NUMBER: Final = 2**40
"""Beyond any generation and time; Redis's Lua still counts exactly here, in milliseconds too."""
ACCESS: Final = "at+jwt"
REFRESH: Final = "rt+jwt"
_ALGORITHM: Final = "HS256"
_SHAPE: Final = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*", re.ASCII)
_FAMILY: Final = re.compile(r"[0-9a-f]{24}", re.ASCII)
_OPTIONS: Final[Options] = {
    "require": ["iss", "aud", "sub", "fid", "gen", "auth_time", "iat", "exp", "jti"],
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
    """Mints both kinds and reads refresh tokens back, with the keys of the settings.

    Attributes:
        key_id: names the refresh secret, in headers and in the families' records.
    """

    def __init__(self, settings: TokenSettings) -> None:
        self._issuer = settings.issuer
        self._audience = settings.audience
        self._refresh_audience = f"{settings.issuer}/refresh"
        key = settings.keys[0]
        self._access_kid, self._access_secret = key.kid, key.secret.get_secret_value()
        root = (settings.refresh_secret or key.secret).get_secret_value().encode()
        self._refresh_secret = _derived(root, b"refresh token")
        self._jti_secret = _derived(root, b"refresh token jti")
        self._audit_secret = _derived(root, b"audit")
        self.key_id = _derived(root, b"refresh token kid").hex()[:8]

    def access(self, login: Login, now: int, expires: int, *, degraded: bool = False) -> str:
        """Return a new access token, valid from `now` to `expires` (seconds)."""
        payload: dict[str, Any] = {
            **login.claims,
            "iss": self._issuer,
            "aud": self._audience,
            "sub": login.user,
            "iat": now,
            "exp": expires,
            "jti": secrets.token_urlsafe(16),
        }
        if degraded:
            payload["deg"] = True
        headers = {"typ": ACCESS, "kid": self._access_kid}
        return jwt.encode(payload, self._access_secret, _ALGORITHM, headers)

    def refresh(self, login: Login, family: str, record: Family, *, degraded: bool = False) -> str:
        """Return the current refresh token of a family: the same bytes for the same record and login."""
        payload: dict[str, Any] = {
            "iss": self._issuer,
            "aud": self._refresh_audience,
            "sub": login.user,
            "fid": family,
            "gen": record.generation,
            "auth_time": record.auth_time,
            "iat": record.rotated_ms // 1000,
            "exp": record.expires,
            "jti": self._jti(family, record.generation),
            "claims": {name: login.claims[name] for name in sorted(login.claims)},
        }
        if degraded:
            payload["deg"] = True
        headers = {"typ": REFRESH, "kid": record.key_id}
        return jwt.encode(payload, self._refresh_secret, _ALGORITHM, headers)

    def read(self, token: str) -> RefreshToken:
        """Return what a refresh token says, once its signature, kind, issuer, audience and shape are right.

        Raises:
            MalformedToken: when it is no JWT, or larger than `MAX_TOKEN`.
            InvalidToken: for any other fault. Whether it is within its times is not judged.
        """
        if len(token) > MAX_TOKEN or _SHAPE.fullmatch(token) is None:
            raise MalformedToken
        header = _header(token)
        if header.get("typ") != REFRESH or header.get("kid") != self.key_id:
            raise InvalidToken
        try:
            payload = jwt.decode(
                token,
                self._refresh_secret,
                [_ALGORITHM],
                _OPTIONS,
                audience=self._refresh_audience,
                issuer=self._issuer,
            )
        except (jwt.PyJWTError, ValueError, RecursionError):
            raise InvalidToken from None
        return _shaped(payload)

    def fingerprint(self, token: str) -> str:
        """Return the prefix of a keyed hash, by which the audit trail names a presented token."""
        return hmac.digest(self._audit_secret, token.encode("utf-8", "surrogatepass"), "sha256").hex()[:12]

    def _jti(self, family: str, generation: int) -> str:
        digest = hmac.digest(self._jti_secret, f"{family}|{generation}".encode(), hashlib.sha256)
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


def _derived(root: bytes, purpose: bytes) -> bytes:
    return HKDF(SHA256(), 32, None, b"gateway " + purpose).derive(root)


def _shaped(payload: dict[str, Any]) -> RefreshToken:
    user, family, claims, degraded = payload["sub"], payload["fid"], payload.get("claims"), payload.get("deg", False)
    if not (isinstance(user, str) and 1 <= len(user) <= MAX_SUBJECT and isinstance(claims, dict)):
        raise InvalidToken
    if not (isinstance(family, str) and _FAMILY.fullmatch(family) and isinstance(degraded, bool)):
        raise InvalidToken
    numbers = [payload[name] for name in ("gen", "auth_time", "iat", "exp")]
    if not all(type(number) is int and 0 <= number < _MAX_NUMBER for number in numbers) or numbers[0] == 0:
        raise InvalidToken
    generation, auth_time, issued_at, expires = numbers
    return RefreshToken(Login(user, claims), family, generation, auth_time, issued_at, expires, degraded)
