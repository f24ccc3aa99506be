"""What must hold of the gateway's own login to a vendor, of the guard of a day's calls, of a listener's certificate.

The one idea: what a login needs depends on its type, and whatever would fail only at the first login is told here.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from typing import Final

from pydantic import SecretStr

from gateway.config.policy import Policy
from gateway.config.problems import Problem
from gateway.config.validation import Checked
from gateway.salesforce.settings import AuthSettings
from gateway.whmcs.settings import WhmcsAuth

Found = Iterator[Problem]

_NEEDS: Final[dict[str, tuple[str, ...]]] = {
    "salesforce_jwt": ("client_id", "username", "private_key"),
    "salesforce_client_credentials": ("client_id", "client_secret"),
    "salesforce_password": ("client_id", "client_secret", "username", "password"),
    "whmcs": ("identifier", "secret"),
}
_SECRETS: Final = (*AuthSettings.SECRETS, *WhmcsAuth.SECRETS)
_SHARED: Final = ("login.salesforce.com", "test.salesforce.com")


def check_auth(policy: Checked[Policy]) -> Found:
    """Yield what keeps the gateway from logging in, or from calling with credentials of its own."""
    auth, document, kind = policy.settings.auth, policy.document, ("auth", "type")
    if not policy.sound(("auth",)) or auth is None:
        return
    if isinstance(auth, AuthSettings):
        yield from _times(policy, auth)
    if not policy.sound(kind) or auth.type is None:
        return
    vendor = auth.type.partition("_")[0]
    if policy.sound(("upstream",)) and policy.settings.upstream != vendor:
        yield document.problem(kind, f"is for the upstream {vendor}; this policy is for {policy.settings.upstream}")
    for name in _NEEDS[auth.type]:
        path = ("auth", name)
        if policy.sound(path) and not _given(getattr(auth, name)):
            secret = f" ({name} or {name}_file)" if name in _SECRETS else ""
            yield document.problem(path, f"is missing; type {auth.type} needs it{secret}")
    if isinstance(auth, AuthSettings):
        yield from _private_key(policy, auth)
        yield from _host(policy, auth)


def _times(policy: Checked[Policy], auth: AuthSettings) -> Found:
    ttl, buffer = ("auth", "ttl"), ("auth", "refresh_buffer")
    if policy.sound(ttl, buffer) and auth.refresh_buffer >= auth.ttl:
        text = "must be shorter than auth.ttl; a session would be renewed before it begins"
        yield policy.document.problem(buffer, text)


def _host(policy: Checked[Policy], auth: AuthSettings) -> Found:
    url = ("auth", "token_url")
    if auth.type == "salesforce_client_credentials" and policy.sound(url) and any(h in auth.token_url for h in _SHARED):
        text = "type salesforce_client_credentials needs the My Domain host, such as https://acme.my.salesforce.com/…"
        yield policy.document.problem(url, text)


def _given(value: str | SecretStr | None) -> bool:
    return bool(value.get_secret_value() if isinstance(value, SecretStr) else value)


def _private_key(policy: Checked[Policy], auth: AuthSettings) -> Found:
    path = ("auth", "private_key")
    if not policy.sound(path) or auth.type != "salesforce_jwt" or not _given(auth.private_key):
        return
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey  # only here: costly to load
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    assert auth.private_key is not None
    try:
        key = load_pem_private_key(auth.private_key.get_secret_value().encode(), None)
    except (ValueError, TypeError, UnsupportedAlgorithm):  # TypeError: encrypted
        key = None
    if not isinstance(key, RSAPrivateKey):
        yield policy.document.problem(path, "must be an RSA private key in PEM form, without a passphrase")


def check_daily(policy: Checked[Policy]) -> Found:
    """Yield what makes no sense in the guard of a day's calls."""
    daily, document = policy.settings.daily, policy.document
    if not policy.sound(("daily",)) or daily is None:
        return
    warn, stop, upstream = ("daily", "warn"), ("daily", "stop"), ("upstream",)
    if policy.sound(warn, stop) and daily.warn > daily.stop:
        yield document.problem(warn, "must not be more than daily.stop")
    if policy.sound(upstream) and policy.settings.upstream != "salesforce":
        text = "has no effect: only the upstream salesforce tells how much of a day is used"
        yield document.problem(("daily",), text, "warning", of_key=True)


def check_tls(policy: Checked[Policy]) -> Found:
    """Yield what keeps the listener's certificate from being used."""
    tls = policy.settings.tls
    if not policy.sound(("tls",), ("tls", "cert_file"), ("tls", "key_file")) or tls is None:
        return
    for name, file in (("cert_file", tls.cert_file), ("key_file", tls.key_file)):
        try:
            file.read_bytes()
        except (OSError, ValueError) as error:  # ValueError: a NUL in the path
            reason = (isinstance(error, OSError) and error.strerror) or "unknown reason"
            yield policy.document.problem(("tls", name), f"cannot be read: {reason.lower()}")
            return
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(tls.cert_file, tls.key_file, password=lambda: "")
    except (OSError, ValueError):
        text = "the two files are not a certificate and its key in PEM form (without a passphrase)"
        yield policy.document.problem(("tls", "cert_file"), text)
