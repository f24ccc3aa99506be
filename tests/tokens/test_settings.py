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


def test_secrets_do_not_show() -> None:
    """Printing the settings tells no secret."""
    assert "hush-" not in repr(token_settings(refresh_secret="hush-refresh-secret-of-at-least-32-bytes"))


@pytest.mark.parametrize(
    "later",
    [{"mode": "guard"}, {"dialect": "oauth2"}, {"carrier": "both"}, {"on_data_loss": "adopt"}, {"claims_from": None},
     {"allowed_origins": []}, {"routes": {"sessions": None}}, {"routes": {"jwks": None}}],
    ids=str,
)  # fmt: skip
def test_what_does_not_exist_yet_is_an_unknown_key(later: dict[str, object]) -> None:
    """A key whose function is missing is refused rather than ignored."""
    with pytest.raises(ValidationError):
        token_settings(**later)
