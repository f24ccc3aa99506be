"""Old tokens, read with the old secret."""

from __future__ import annotations

import hashlib

import jwt
import pytest

from gateway.tokens.legacy import Legacy, LegacyReader
from gateway.tokens.migration import name_of
from tests.support.legacy import SECRET, old_token
from tests.tokens.support import token_settings

NOW = 1_800_000_000
_CLAIMS = {"userId": "42", "tokenId": "f", "type": "refresh", "iat": 1, "exp": 2}


def _reader(**legacy: str) -> LegacyReader:
    return LegacyReader(token_settings(legacy={"secret": SECRET, **legacy}))


def test_an_old_token_is_generation_0_of_a_family() -> None:
    """User, family and times come from it, claims where it has those that are configured."""
    text = old_token(42, "fam", NOW, role="admin", other="x")
    found = _reader().read(text)
    assert found is not None
    token, old = found
    assert (token.login.user, token.login.claims) == ("42", {"role": "admin"})
    assert (token.family, token.generation, token.degraded) == (name_of("fam"), 0, False)
    assert (token.auth_time, token.issued_at, token.expires) == (NOW, NOW, NOW + 604_800)
    assert old == Legacy(hashlib.sha256(text.encode()).hexdigest(), "fam")


def test_without_the_old_secret_nothing_is_read() -> None:
    """`tokens.legacy: null`: no token of before is known."""
    assert LegacyReader(token_settings()).read(old_token("42", "fam", NOW)) is None


@pytest.mark.parametrize(
    "text",
    [
        old_token("42", "fam", NOW, secret="hush-another-secret-0123456789-0123456789"),
        old_token("42", "fam", NOW, type="access"),
        old_token("42", "", NOW),
        old_token(None, "fam", NOW),
        old_token("42", "fam", -5),
        old_token("42", "fam", 2**41),
        jwt.encode({"userId": "42", "tokenId": "fam", "type": "refresh"}, SECRET, "HS256"),
        jwt.encode(_CLAIMS, "", "none"),
        jwt.encode(_CLAIMS, SECRET * 2, "HS512"),
        jwt.encode(_CLAIMS, SECRET, "HS256", {"typ": "x"}),
        "not.a.token",
        "",
    ],
    ids=range(12),
)  # fmt: skip
def test_what_is_no_old_token(text: str) -> None:
    """Another secret, algorithm, type or shape: none of the old backend's."""
    assert _reader().read(text) is None


def test_issuer_and_audience_count_where_they_are_configured() -> None:
    """given both, then a token without them is none; given none, then whatever it names is accepted."""
    named = old_token("42", "fam", NOW, iss="portal", aud="portal")
    assert _reader(issuer="portal", audience="portal").read(named) is not None
    assert _reader().read(named) is not None
    assert _reader(issuer="portal").read(old_token("42", "fam", NOW)) is None
    assert _reader(audience="other").read(named) is None
