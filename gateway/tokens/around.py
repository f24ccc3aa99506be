"""What stands around the token layer, as far as the settings call for it.

The one idea: where tokens travel in cookies, two more frames see to the cookies; where OAuth clients are spoken to, one
sees to the words. The layer itself knows neither.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from gateway.exchange import Exchange, Layer
from gateway.settings import RoutePattern
from gateway.tokens.cookies import RefreshCookieLayer
from gateway.tokens.dialect import OAuth2Errors
from gateway.tokens.origin_layer import OriginLayer
from gateway.tokens.settings import TokenSettings

Matches = Callable[[Exchange], bool]


def around_tokens(
    settings: TokenSettings,
    tokens: Layer,
    matcher: Callable[[Iterable[RoutePattern]], Matches],
    authority: Callable[[Exchange], bytes],
) -> list[Layer]:
    """Return the layers of the token room, outermost first.

    Args:
        settings: the `tokens:` section.
        tokens: the layer that issues, rotates and ends.
        matcher: makes a test of route patterns.
        authority: returns the host and port that a client asked for.
    """
    routes, issues, by_cookie = settings.routes, settings.mode == "issue", settings.carrier != "json"
    endpoints = (routes.refresh, routes.logout)
    layers = [tokens]
    if settings.dialect == "oauth2":
        layers.insert(0, OAuth2Errors(matcher(endpoints)))
    if by_cookie or settings.allowed_origins:
        answered = matcher((*endpoints, *routes.of_sessions()) if issues else ())
        layers.insert(0, OriginLayer(settings, matches=matcher(routes.all()), answered=answered, authority=authority))
    if by_cookie and issues:
        layers.append(RefreshCookieLayer(settings.cookie.refresh))
    return layers
