"""`mode: guard` in the configuration: what it needs, and what it makes pointless."""

from __future__ import annotations

from tests.config.support import SECRET, Place

GUARD = "tokens:\n  enabled: true\n  mode: guard\n"


def test_a_refresh_secret_is_enough(place: Place) -> None:
    """No key of access tokens is needed where none are minted; one to derive the secret from will do as well."""
    assert place.config(f"{GUARD}  keys: []\n  refresh_secret: {SECRET}\n").problems() == []
    assert place.config(f"{GUARD}  refresh_secrets: [{{secret: {SECRET}}}]\n").problems() == []
    assert place.config(f"{GUARD}  keys: [{{kid: main, secret: {SECRET}}}]\n").problems() == []


def test_what_has_no_effect_is_told(place: Place) -> None:
    """Claims are a matter of whoever mints."""
    text = f"{GUARD}  refresh_secret: {SECRET}\n  claims_from: GET /internal/users/{{sub}}\n"
    routes = place.config(f"{GUARD}  refresh_secret: {SECRET}\n  routes: {{sessions: /s}}\n").warnings()
    assert [line.split(": ")[1] for line in routes] == ["tokens.routes.sessions"]
    (warning,) = place.config(text).warnings()
    assert "tokens.claims_from: has no effect with tokens.mode: guard" in warning


def test_login_and_refresh_may_be_one_endpoint(place: Place) -> None:
    """An OAuth server has one for all grants; no other two routes may be one, and none in another dialect or mode."""
    routes = "  routes: {login: [POST /oauth/token, POST /login], refresh: POST /oauth/token}\n"
    oauth = f"{GUARD}  dialect: oauth2\n  refresh_secret: {SECRET}\n"
    assert place.config(oauth + routes).problems() == []
    assert place.config(f"{GUARD}  refresh_secret: {SECRET}\n{routes}").problems() != []
    assert place.config(f"tokens:\n  dialect: oauth2\n{routes}").problems() != []
    logout = "  routes: {login: [POST /oauth/token], logout: POST /oauth/token}\n"
    (problem,) = place.config(oauth + logout).problems()
    assert "tokens.routes.logout: meets the same requests as tokens.routes.login[0]" in problem
