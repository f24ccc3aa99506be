"""Redaction."""

from __future__ import annotations

import jwt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.observability import redaction
from gateway.observability.redaction import HIDDEN, redact, redact_event

TOKEN = jwt.encode({"sub": "u"}, "k" * 32, "HS256")


@pytest.mark.parametrize(
    "text",
    [
        f"presented {TOKEN} again",
        f"Authorization: Bearer {TOKEN}",
        "redis://user:hush-1@127.0.0.1:6379/0",
        "redis://:hush-1@127.0.0.1:6379/0",
        "identifier=abc&secret=hush-1&action=GetClients",
        '{"password": "hush-1"}',
        "client_secret='hush-1'",
        "GET /id/00D/005?oauth_token=hush-1&format=json",
        "the session 00D5g0000001abc!AQEAQ.hush-1_x ended",
        "-----BEGIN RSA PRIVATE KEY-----\nhush-1\n-----END RSA PRIVATE KEY-----",
    ],
)
def test_text_that_looks_like_a_secret_is_replaced(text: str) -> None:
    """Tokens, credentials in URLs and forms, and private keys do not survive, wherever they stand."""
    redacted = redact(text)
    assert TOKEN not in redacted
    assert "hush-1" not in redacted
    assert HIDDEN in redacted


@pytest.mark.parametrize(
    "key", ["password", "Authorization", "cookie", "set_cookie", "refresh_token", "access_token", "client_secret"]
)
def test_fields_with_a_telling_name_are_replaced_whatever_they_hold(key: str) -> None:
    """A field is hidden by its name, also in nested containers."""
    assert redact_event(None, "", {"event": "x", key: "opaque"})[key] == HIDDEN
    assert redact_event(None, "", {"event": "x", "more": [{key: "opaque"}]})["more"] == [{key: HIDDEN}]


WORDS = (
    "Token", "accessToken", "SECRET", "Password", "Assertion", "accesskey", "IDENTIFIER", "Bearer", "BASIC", "redis",
    "pa\u017f\u017fword", "a\u017f\u017fertion", "\u0131dentifier", "eyJhbGciOi", "-----BEGIN PRIVATE KEY-----",
)  # fmt: skip
BETWEEN = (" ", "\n", "\u00a0", "\x1c", "=", ": ", "' : \"", "://u:", ".e30.")
texts = st.tuples(
    st.sampled_from(WORDS), st.sampled_from(BETWEEN), st.sampled_from(("", "x1", "p@h", "-----END PRIVATE KEY-----"))
)


@settings(max_examples=500)
@given(st.lists(texts.map("".join), min_size=1, max_size=2).map(" ".join))
def test_the_look_that_rules_most_texts_out_rules_out_no_secret(text: str) -> None:
    """Whatever the shapes alone would replace, in any case and with letters that only match without regard to it."""
    expected = text
    for shape, replacement in redaction._SHAPES:
        expected = shape.sub(replacement, expected)
    assert redact(text) == redaction._PEM.sub(HIDDEN, expected)


def test_harmless_fields_stay_as_they_are() -> None:
    """Numbers, flags, names and keyed hashes pass unchanged."""
    event = {"event": "Token audit", "count": 3, "audit": True, "token_hash": "9f2c", "user": "u-1", "none": None}
    assert redact_event(None, "", dict(event)) == event
