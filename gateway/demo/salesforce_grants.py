"""Who logs in to the simulated Salesforce: each OAuth grant it knows, and the SOAP login.

The one idea: a grant returns the user or raises `LoginRefused` with the words that Salesforce uses; nothing here opens
a session. Source: Salesforce Help, "OAuth authorization flows"; RFC 6749, RFC 7523.
"""

from __future__ import annotations

import base64
from collections.abc import Collection, Mapping
from typing import Any, Final

import jwt

from gateway.demo.accounts import SALESFORCE
from gateway.demo.salesforce_key import private_key

JWT_BEARER: Final = "urn:ietf:params:oauth:grant-type:jwt-bearer"
LOGIN_HOSTS: Final = ("login.salesforce.com", "test.salesforce.com")
_AUDIENCES: Final = tuple(f"https://{host}" for host in LOGIN_HOSTS)
GRANTS: Final = {JWT_BEARER: "jwt_bearer", "client_credentials": "client_credentials", "password": "password"}
"""How the report names each grant."""


class LoginRefused(Exception):
    """A login that failed: OAuth's `error` and `error_description`."""

    def __init__(self, error: str, description: str) -> None:
        super().__init__(error, description)
        self.error = error
        self.description = description


def authenticate(form: Mapping[str, str], authorization: str, origin: str, now: float) -> str:
    """Return who logs in with a form of the token endpoint.

    `origin` is where the form came to, a good audience besides Salesforce's own; `now` is seconds since the epoch.

    Raises:
        LoginRefused: for whoever may not.
    """
    grant = form.get("grant_type", "")
    if grant not in GRANTS:
        raise LoginRefused("unsupported_grant_type", "grant type not supported")
    if grant == JWT_BEARER:
        return _bearer_of(form.get("assertion", ""), (*_AUDIENCES, origin), now)
    client = _basic(authorization) if authorization else (form.get("client_id", ""), form.get("client_secret", ""))
    if client[0] != SALESFORCE.client_id:
        raise LoginRefused("invalid_client_id", "client identifier invalid")
    if client[1] != SALESFORCE.client_secret:
        raise LoginRefused("invalid_client", "invalid client credentials")
    if grant == "client_credentials":
        if origin.rpartition("/")[2] in LOGIN_HOSTS:
            raise LoginRefused("invalid_grant", "request not supported on this domain")
        return SALESFORCE.username
    return with_password(form.get("username", ""), form.get("password", ""))


def with_password(username: str, password: str) -> str:
    """Return who logs in with a password, which the security token may follow."""
    good = (SALESFORCE.password, SALESFORCE.password + SALESFORCE.security_token)
    if username != SALESFORCE.username or password not in good:
        raise LoginRefused("invalid_grant", "authentication failure")
    return username


def _basic(authorization: str) -> tuple[str, str]:
    """Return the key and secret of an Authorization field (RFC 7617); nothing for one that holds none."""
    scheme, _, encoded = authorization.partition(" ")
    try:
        login, _, password = base64.b64decode(encoded, validate=True).decode().partition(":")
    except ValueError:
        return "", ""
    return (login, password) if scheme.lower() == "basic" else ("", "")


def _bearer_of(assertion: str, audiences: Collection[str], now: float) -> str:
    """Return the user that an assertion names; its times are judged by `now`, and its signature by the app's key."""
    unchecked = dict.fromkeys(("verify_exp", "verify_iat", "verify_nbf", "verify_aud"), False)
    options: Any = {**unchecked, "require": ["iss", "sub", "aud", "exp"]}
    try:
        public = private_key().public_key()
        claims = jwt.decode(assertion, public, ["RS256"], options=options)
        expires = float(claims["exp"])
    except (jwt.PyJWTError, TypeError, ValueError):
        raise LoginRefused("invalid_grant", "invalid assertion") from None
    if claims["iss"] != SALESFORCE.client_id:
        raise LoginRefused("invalid_client_id", "client identifier invalid")
    if claims["aud"] not in audiences:
        raise LoginRefused("invalid_grant", "audience is invalid")
    if expires <= now:
        raise LoginRefused("invalid_grant", "expired authorization code")
    if claims["sub"] != SALESFORCE.username:
        raise LoginRefused("invalid_grant", "user hasn't approved this consumer")
    return SALESFORCE.username
