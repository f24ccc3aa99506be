"""The settings of the room."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from gateway.tokens.rotation import Policy
from gateway.tokens.settings import IdentitySettings
from tests.tokens.support import token_settings


@pytest.mark.parametrize("name", ["sub", "exp", "iss", "aud", "jti", "deg"])
def test_a_login_cannot_set_what_the_gateway_sets(name: str) -> None:
    """A claim taken from the login must not look like a registered one."""
    with pytest.raises(ValidationError, match="sets by itself"):
        IdentitySettings(claims={name: "/user/id"})


def test_the_policy_is_in_the_ledgers_units() -> None:
    """Durations become whole seconds, grace becomes milliseconds."""
    settings = token_settings(
        refresh_ttl="1h", session_ttl="2h", rotation_grace_period="1500ms", max_families_per_user=3
    )
    assert settings.policy == Policy(3600, 7200, 1500, 3)
    assert token_settings().policy == Policy()


def test_allowed_origins_have_the_form_that_browsers_send() -> None:
    """However they are written, they are compared as they come."""
    settings = token_settings(allowed_origins=("HTTPS://App.Example.com:443", "http://localhost:5173"))
    assert settings.allowed_origins == ("https://app.example.com", "http://localhost:5173")


def test_secrets_do_not_show() -> None:
    """Printing the settings tells no secret."""
    assert "hush-" not in repr(token_settings(refresh_secret="hush-refresh-secret-of-at-least-32-bytes"))


@pytest.mark.parametrize(
    "unknown", [{"modes": "issue"}, {"routes": {"jwk": None}}, {"keys": ({"id": "main"},)}], ids=str
)
def test_an_unknown_key_is_refused(unknown: dict[str, object]) -> None:
    """A key without a function is refused rather than ignored."""
    with pytest.raises(ValidationError):
        token_settings(**unknown)


def test_the_public_keys_are_behind_no_gate() -> None:
    """What closes token routes does not close the key set."""
    routes = token_settings(routes={"jwks": "/.well-known/jwks.json"}).routes
    assert routes.jwks == (None, "/.well-known/jwks.json")
    assert routes.jwks not in routes.all()
