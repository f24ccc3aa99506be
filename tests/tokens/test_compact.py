"""The gateway's own HS256 tokens, held together with the RFC's example and with PyJWT."""

from __future__ import annotations

import base64
import json
import string
from typing import Any

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.tokens.compact import REFRESH, Seal, signed

SECRET = b"hush-secret-of-a-seal-of-32-bytes-at-least"
SEAL = Seal(SECRET, REFRESH, "0a1b2c3d")
_UNJUDGED: Any = {"verify_exp": False, "verify_iat": False, "verify_nbf": False, "verify_aud": False,
                  "verify_iss": False, "verify_sub": False, "verify_jti": False}  # fmt: skip
_ALPHABET = string.ascii_letters + string.digits + "-_"

leaves = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
members = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=12,
)
payloads = st.dictionaries(st.text().filter(lambda name: name != "iss"), members, max_size=6)


def _part(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def _token(content: str) -> str:
    """Return what the holder of the secret could sign: this content, whatever it is."""
    return signed(SECRET, SEAL.start + content)


def test_the_example_of_rfc_7515() -> None:
    """Appendix A.1: the signing input gets the signature that stands there."""
    key = base64.urlsafe_b64decode(
        "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow=="
    )
    text = (
        "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9."
        "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ"
    )
    assert (signed(key, text) == f"{text}.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk") is True


@given(payloads)
def test_what_we_sign_is_byte_for_byte_what_pyjwt_signs(payload: dict[str, Any]) -> None:
    """Both make the same token of a payload, PyJWT reads ours, and we open its."""
    ours = SEAL.sign(payload)
    theirs = jwt.encode(payload, SECRET, "HS256", {"typ": REFRESH, "kid": "0a1b2c3d"})
    assert (ours == theirs) is True
    assert jwt.decode(ours, SECRET, ["HS256"], _UNJUDGED) == payload
    assert SEAL.opened(theirs) == payload


@given(payloads, st.data())
def test_no_changed_token_is_opened(payload: dict[str, Any], data: st.DataObject) -> None:
    """One other character, or one fewer, anywhere: neither we nor PyJWT take it."""
    token = SEAL.sign(payload)
    at = data.draw(st.integers(0, len(token) - 1))
    other = data.draw(st.sampled_from(["", *_ALPHABET, ".", "=", " ", "\n", "é", "\ud800"]))
    changed = token[:at] + other + token[at + 1 :]
    if changed == token:
        return
    with pytest.raises(ValueError, match=r"."):
        SEAL.opened(changed)
    with pytest.raises((jwt.PyJWTError, UnicodeEncodeError)):
        jwt.decode(changed, SECRET, ["HS256"], _UNJUDGED)


@pytest.mark.parametrize("text", ["", ".", "..", "a.b.c", SEAL.start, SEAL.start + ".", SEAL.start + "e30"])
def test_what_has_no_signature_is_not_opened(text: str) -> None:
    """Nothing, stops alone, and our header with nothing or without a signature."""
    with pytest.raises(ValueError, match=r"."):
        SEAL.opened(text)


@pytest.mark.parametrize(
    "header",
    [
        {"alg": "none", "kid": "0a1b2c3d", "typ": REFRESH},
        {"alg": "HS512", "kid": "0a1b2c3d", "typ": REFRESH},
        {"alg": "HS256", "kid": "0a1b2c3d", "typ": "at+jwt"},
        {"alg": "HS256", "kid": "other", "typ": REFRESH},
        {"typ": REFRESH, "kid": "0a1b2c3d", "alg": "HS256"},
        {"alg": "HS256", "kid": "0a1b2c3d", "typ": REFRESH, "crit": ["b64"], "b64": False},
    ],
)
def test_another_header_is_not_ours_even_under_our_secret(header: dict[str, Any]) -> None:
    """Another algorithm, kind, key id, order of members or an extension: a header is compared whole, never read."""
    text = f"{_part(json.dumps(header, separators=(',', ':')).encode())}.{_part(b'{}')}"
    with pytest.raises(ValueError, match="not signed by this seal"):
        SEAL.opened(signed(SECRET, text))


def test_another_secret_does_not_open() -> None:
    """The same header under another secret is of no use."""
    with pytest.raises(ValueError, match="not signed by this seal"):
        Seal(SECRET + b"x", REFRESH, "0a1b2c3d").opened(SEAL.sign({}))


@pytest.mark.parametrize(
    "content",
    ["", "e30=", "e31", "e30.e30", "e", "e 30", _part(b"[]"), _part(b"1"), _part(b"{}{}"), _part(b"\xff"),
     _part("{}".encode("utf-16")), _part(b"\xef\xbb\xbf{}")],
)  # fmt: skip
def test_signed_content_of_another_form_is_not_opened(content: str) -> None:
    """Padding, bits beyond the end, a stop, no JSON object, no UTF-8: refused behind a good signature, too."""
    with pytest.raises(ValueError, match=r"."):
        SEAL.opened(_token(content))


def test_content_that_is_nested_without_end_harms_nobody() -> None:
    """The parser's own limit is what stops it."""
    with pytest.raises(RecursionError):
        SEAL.opened(_token(_part(b'{"a":' * 100_000)))


def test_nothing_secret_in_a_repr() -> None:
    """A seal that is printed does not show its secret."""
    assert "hush-" not in repr(SEAL)
