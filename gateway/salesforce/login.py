"""A login at the token endpoint: what is sent, and what the answer means.

The one idea: both are functions of values, and no text that leaves here repeats what the vendor or a secret said: a
problem is told in the words of a fixed table. Source: Salesforce Help, "OAuth Authorization Flows"; RFC 7523.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final
from urllib.parse import urlencode

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from gateway.exchange import Headers
from gateway.salesforce.instance import audience
from gateway.salesforce.session import Failure
from gateway.salesforce.settings import AuthSettings

ASSERTION_SECONDS: Final = 180
"""For how long an assertion is good, which is used at once; Salesforce allows no more than 3 minutes."""

_HEADERS: Final[Headers] = [(b"Content-Type", b"application/x-www-form-urlencoded"), (b"Accept", b"application/json")]
_TOKEN: Final = re.compile(r"[\x21-\x7e]{1,8192}")
"""What a header field can carry."""
_RATE: Final = "login rate exceeded"
_PASSING: Final = frozenset(("server_error", "temporarily_unavailable", "unknown_error"))
_ERRORS: Final = frozenset(
    (
        "invalid_grant", "invalid_client", "invalid_client_id", "invalid_client_credentials", "invalid_request",
        "invalid_app_access", "inactive_user", "inactive_org", "rate_limit_exceeded", "unsupported_grant_type",
        "unauthorized_client", "access_denied", "redirect_uri_mismatch", "app_not_found", "invalid_assertion_type",
    )
) | _PASSING  # fmt: skip
_DESCRIPTIONS: Final = (
    "authentication failure",
    "user hasn't approved this consumer",
    "user is not admin approved to access this app",
    "invalid assertion",
    "invalid client credentials",
    "client identifier invalid",
    "expired access/refresh token",
    "audience is invalid",
    "inactive user",
    "inactive organization",
    "ip restricted",
    "retry your request",
    "no client credentials user enabled",
    "request not supported on this domain",
    _RATE,
)


@dataclass(frozen=True, slots=True)
class Granted:
    """A session was opened, for calls to `origin`."""

    token: str = field(repr=False)
    origin: str


@dataclass(frozen=True, slots=True)
class Denied:
    """None was; `problem` is for the log."""

    failure: Failure
    problem: str


def request(auth: AuthSettings, wall: float) -> tuple[Headers, bytes]:
    """Return fields and content of the login, at the time `wall` (seconds since the epoch).

    Raises:
        ValueError, TypeError: the private key cannot be used.
    """
    if auth.type == "salesforce_jwt":
        claims = {
            "iss": auth.client_id,
            "sub": auth.username,
            "aud": audience(auth.token_url),
            "exp": int(wall) + ASSERTION_SECONDS,
        }
        assertion = jwt.encode(claims, _private_key(_plain(auth.private_key)), "RS256")
        form = {"grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer", "assertion": assertion}
    else:
        form = {"client_id": auth.client_id, "client_secret": _plain(auth.client_secret)}
        if auth.type == "salesforce_password":
            form |= {"grant_type": "password", "username": auth.username, "password": _plain(auth.password)}
        else:
            form |= {"grant_type": "client_credentials"}
    return _HEADERS, urlencode(form).encode()


def read(status: int, content: bytes, trusted: Callable[[str], str]) -> Granted | Denied:
    """Return what the answer of the token endpoint means; `trusted` is that of `gateway.salesforce.instance`."""
    answer = _object(content)
    if status == 200:
        return _granted(answer, trusted)
    if status >= 500:
        return Denied("transient", f"status {status}")
    error, description = str(answer.get("error", "")), str(answer.get("error_description", "")).lower()
    problem = f"status {status}" + (f", {error}" if error in _ERRORS else "")
    told = next((known for known in _DESCRIPTIONS if known in description), "")
    problem += f": {told}" if told else ""
    if told == _RATE or error == "rate_limit_exceeded" or status == 429:
        return Denied("rate", problem)
    if error in _PASSING or told == "retry your request" or status == 408:
        return Denied("transient", problem)
    return Denied("fatal", problem)


@lru_cache(maxsize=4)
def _private_key(pem: str) -> RSAPrivateKey:
    """Return the key, which takes 30 ms to be checked, too long for the event loop at each login."""
    key = load_pem_private_key(pem.encode(), None)
    if not isinstance(key, RSAPrivateKey):
        raise TypeError("not an RSA key")
    return key


def _granted(answer: dict[str, Any], trusted: Callable[[str], str]) -> Granted | Denied:
    token, instance_url = answer.get("access_token"), answer.get("instance_url")
    if not isinstance(token, str) or _TOKEN.fullmatch(token) is None or not isinstance(instance_url, str):
        return Denied("transient", "the answer holds no token or no instance_url")
    found = trusted(instance_url)
    if not found:
        return Denied(
            "fatal", "the answer's instance_url is neither Salesforce's nor the host of base_url or token_url"
        )
    return Granted(token, found)


def _object(content: bytes) -> dict[str, Any]:
    try:
        found = json.loads(content)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _plain(secret: Any) -> str:
    return str(secret.get_secret_value()) if secret is not None else ""
