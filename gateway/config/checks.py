"""What must hold between the keys of `config.yaml`.

The one idea: each check is a generator that yields problems at the key an operator would change. It asks about exactly
the keys it reads, so that a mistake elsewhere does not silence it. No text repeats a value of `redis.url`, of a key or
of a secret.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final
from urllib.parse import unquote_to_bytes

from gateway.config.cookie_checks import check_cookies
from gateway.config.document import KeyPath, dotted
from gateway.config.guard_checks import check_guard
from gateway.config.key_checks import check_keys
from gateway.config.problems import Problem
from gateway.config.redis_checks import check_redis
from gateway.config.root import FileSettings
from gateway.config.validation import Checked
from gateway.settings import RoutePattern

_ENABLED: Final = ("tokens", "enabled")
_ROUTES: Final = ("tokens", "routes")

Found = Iterator[Problem]


def check_file(config: Checked[FileSettings], environ: Mapping[str, str]) -> Found:
    """Yield every error and warning that lies between keys of `config.yaml`."""
    enabled = config.sound(_ENABLED) and config.settings.tokens.enabled
    yield from check_redis(config, environ)
    yield from _routes(config)
    yield from check_keys(config, enabled=enabled)
    yield from check_guard(config)
    yield from _lifetimes(config)
    yield from check_cookies(config, enabled=enabled)


def _routes(config: Checked[FileSettings]) -> Found:
    taken: list[tuple[KeyPath, RoutePattern]] = []
    for path, route in _own_routes(config):
        rivals = (other for other, its in taken if other[:3] != path[:3] and _meet_the_same(route, its))
        rival = next(rivals, None)
        if rival is not None:
            text = f"meets the same requests as {dotted(rival)}; each needs a route of its own"
            yield config.document.problem(path, text)
        taken.append((path, route))


def _own_routes(config: Checked[FileSettings]) -> Iterator[tuple[KeyPath, RoutePattern]]:
    """Yield every sound token route with its path; that of the sessions stands for several."""
    routes = config.settings.tokens.routes
    every: list[tuple[KeyPath, RoutePattern | None]] = [
        *(((*_ROUTES, "login", index), route) for index, route in enumerate(routes.login)),
        ((*_ROUTES, "refresh"), routes.refresh),
        ((*_ROUTES, "logout"), routes.logout),
        *(((*_ROUTES, "sessions"), route) for route in routes.of_sessions()),
        ((*_ROUTES, "jwks"), routes.jwks),
    ]
    for path, route in every:
        if config.sound(path) and route is not None:
            yield path, route


def _meet_the_same(one: RoutePattern, other: RoutePattern) -> bool:
    """Whether two patterns are one to the router, for a method at least; `GET` stands for `HEAD` too."""
    methods = {one.method, other.method}
    overlap = len(methods) == 1 or None in methods or methods == {"GET", "HEAD"}
    return overlap and _segments(one.path) == _segments(other.path)


def _segments(path: str) -> list[bytes]:
    """Return what the router makes of a path: escapes decoded, without regard to case and to slashes in excess."""
    return [segment for segment in unquote_to_bytes(path).lower().split(b"/") if segment]


def _lifetimes(config: Checked[FileSettings]) -> Found:
    tokens = config.settings.tokens
    access, refresh, session = (("tokens", name) for name in ("access_ttl", "refresh_ttl", "session_ttl"))
    if config.sound(access, refresh) and tokens.access_ttl >= tokens.refresh_ttl:
        text = "must be shorter than tokens.refresh_ttl; a token that outlives its refresh token cannot be renewed"
        yield config.document.problem(access, text)
    if config.sound(refresh, session) and tokens.refresh_ttl > tokens.session_ttl:
        text = "must not be longer than tokens.session_ttl, the end of every session"
        yield config.document.problem(refresh, text)
