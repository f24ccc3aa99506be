"""Which layers stand around the token layer."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.exchange import Exchange, Handler, Reply
from gateway.tokens.around import around_tokens
from tests.tokens.support import token_settings


class _Tokens:
    async def handle(self, exchange: Exchange, forward: Handler) -> Reply:
        return await forward(exchange)


@pytest.mark.parametrize(
    ("changes", "names"),
    [
        ({}, ["_Tokens"]),
        ({"dialect": "oauth2"}, ["OAuth2Errors", "_Tokens"]),
        ({"allowed_origins": ("https://app.example.com",)}, ["OriginLayer", "_Tokens"]),
        ({"carrier": "cookie"}, ["OriginLayer", "_Tokens", "RefreshCookieLayer"]),
        ({"carrier": "both", "dialect": "oauth2"}, ["OriginLayer", "OAuth2Errors", "_Tokens", "RefreshCookieLayer"]),
    ],
    ids=str,
)
def test_only_what_the_settings_call_for(changes: dict[str, Any], names: list[str]) -> None:
    """A gateway that does not use cookies pays for none of their frames."""
    layers = around_tokens(token_settings(**changes), _Tokens(), lambda routes: lambda exchange: False, lambda _: b"")
    assert [type(layer).__name__ for layer in layers] == names


def test_in_guard_the_refresh_cookie_reaches_the_backend() -> None:
    """The backend mints and reads it there; origins are judged all the same."""
    settings = token_settings(carrier="cookie").model_copy(update={"mode": "guard"})
    layers = around_tokens(settings, _Tokens(), lambda routes: lambda exchange: False, lambda _: b"")
    assert [type(layer).__name__ for layer in layers] == ["OriginLayer", "_Tokens"]
