"""What a login sends, and what its answer means."""

from __future__ import annotations

import json
from urllib.parse import parse_qs

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from hypothesis import given
from hypothesis import strategies as st

from gateway.salesforce.instance import trust
from gateway.salesforce.login import Denied, Granted, read, request
from gateway.salesforce.settings import AuthSettings
from tests.salesforce.samples import ORIGIN, TOKEN_URL, answer, auth, denial

TRUSTED = trust(TOKEN_URL)


def form(settings: AuthSettings, wall: float = 1_800_000_000.0) -> dict[str, str]:
    headers, content = request(settings, wall)
    assert dict(headers)[b"Content-Type"] == b"application/x-www-form-urlencoded"
    return {name: value for name, (value,) in parse_qs(content.decode(), strict_parsing=True).items()}


def test_jwt_bearer() -> None:
    """The assertion is RS256 with issuer, subject and audience, and good for three minutes."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    sent = form(auth(type="salesforce_jwt", client_id="key", username="me@example.com", private_key=pem))
    assert sent["grant_type"] == "urn:ietf:params:oauth:grant-type:jwt-bearer"
    options = {"verify_exp": False}
    claims = jwt.decode(
        sent["assertion"], key.public_key(), ["RS256"], audience="https://login.salesforce.com", options=options
    )
    assert (claims["iss"], claims["sub"], claims["exp"]) == ("key", "me@example.com", 1_800_000_180)


def test_client_credentials() -> None:
    """Key and secret travel in the form."""
    assert form(auth(client_secret="hush & = %")) == {
        "grant_type": "client_credentials", "client_id": "key", "client_secret": "hush & = %",
    }  # fmt: skip


def test_password() -> None:
    """User and password travel beside key and secret."""
    sent = form(auth(type="salesforce_password", username="me@example.com", password="hush-päss+word"))
    assert (sent["grant_type"], sent["username"], sent["password"]) == ("password", "me@example.com", "hush-päss+word")


def test_a_key_that_is_none() -> None:
    """A private key that cannot be used is an error, not an assertion."""
    with pytest.raises((ValueError, TypeError, jwt.PyJWTError)):
        request(auth(type="salesforce_jwt", username="u", private_key="hush-nonsense"), 0.0)


def test_granted() -> None:
    """A good answer gives the token and where its calls go; the token is in no text of the result."""
    granted = read(*answer("hush-token"), TRUSTED)
    assert granted == Granted("hush-token", ORIGIN)
    assert "hush" not in repr(granted)


@pytest.mark.parametrize(
    ("status", "content", "failure"),
    [
        (*denial("invalid_grant", "authentication failure"), "fatal"),
        (*denial("invalid_grant", "user hasn't approved this consumer"), "fatal"),
        (*denial("invalid_client_id", "client identifier invalid"), "fatal"),
        (*denial("invalid_client", "invalid client credentials"), "fatal"),
        (*denial("invalid_grant", "login rate exceeded"), "rate"),
        (*denial("invalid_grant", "Login Rate Exceeded"), "rate"),
        (*denial("unknown_error", "retry your request"), "transient"),
        (429, b"", "rate"),
        (302, b"", "fatal"),
        (404, b"<html>", "fatal"),
        (500, b"", "transient"),
        (503, b"{}", "transient"),
        (200, b"", "transient"),
        (200, b"[1]", "transient"),
        (200, b"[" * 100_000, "transient"),
        (*answer("two words"), "transient"),
        (*answer("line\nbreak"), "transient"),
        (*answer("token", "https://evil.example.com"), "fatal"),
        (*answer("token", "http://acme.my.salesforce.com"), "fatal"),
    ],
)
def test_denied(status: int, content: bytes, failure: str) -> None:
    """Failures are of three kinds: told no, too many logins, and reasons that may pass."""
    denied = read(status, content, TRUSTED)
    assert isinstance(denied, Denied)
    assert denied.failure == failure


@given(st.integers(200, 599), st.binary() | st.recursive(
    st.none() | st.text() | st.integers(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["error", "access_token", "instance_url"]), inner),
).map(lambda value: json.dumps(value).encode()))  # fmt: skip
def test_any_answer(status: int, content: bytes) -> None:
    """Whatever an endpoint answers is granted or denied, and nothing is raised."""
    assert isinstance(read(status, content, TRUSTED), Granted | Denied)


def test_no_problem_repeats_the_vendor() -> None:
    """A description that is not known stays out of the problem, whatever it holds."""
    denied = read(*denial("hush-error", "bad password hush-secret"), TRUSTED)
    assert denied == Denied("fatal", "status 400")
    assert read(*denial("invalid_grant", "authentication failure"), TRUSTED) == Denied(
        "fatal", "status 400, invalid_grant: authentication failure"
    )
