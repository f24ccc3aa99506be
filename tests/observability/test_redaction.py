"""Redaction."""

from __future__ import annotations

import jwt
import pytest

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


def test_harmless_fields_stay_as_they_are() -> None:
    """Numbers, flags, names and keyed hashes pass unchanged."""
    event = {"event": "Token audit", "count": 3, "audit": True, "token_hash": "9f2c", "user": "u-1", "none": None}
    assert redact_event(None, "", dict(event)) == event
