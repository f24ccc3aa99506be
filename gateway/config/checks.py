"""What must hold between the keys of `config.yaml`.

The one idea: each check is a generator that yields problems at the key an operator would change. It asks about exactly
the keys it reads, so that a mistake elsewhere does not silence it. No text repeats a value of `redis.url`, of a key or
of a secret.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from gateway.config.cookie_checks import check_cookies
from gateway.config.guard_checks import check_guard
from gateway.config.key_checks import check_keys
from gateway.config.problems import Problem
from gateway.config.redis_checks import check_redis
from gateway.config.root import FileSettings
from gateway.config.route_checks import check_routes
from gateway.config.validation import Checked

_ENABLED: Final = ("tokens", "enabled")

Found = Iterator[Problem]


def check_file(config: Checked[FileSettings], environ: Mapping[str, str]) -> Found:
    """Yield every error and warning that lies between keys of `config.yaml`."""
    enabled = config.sound(_ENABLED) and config.settings.tokens.enabled
    yield from check_redis(config, environ)
    yield from check_routes(config)
    yield from check_keys(config, enabled=enabled)
    yield from check_guard(config)
    yield from _lifetimes(config)
    yield from check_cookies(config, enabled=enabled)


def _lifetimes(config: Checked[FileSettings]) -> Found:
    tokens = config.settings.tokens
    access, refresh, session = (("tokens", name) for name in ("access_ttl", "refresh_ttl", "session_ttl"))
    if config.sound(access, refresh) and tokens.access_ttl >= tokens.refresh_ttl:
        text = "must be shorter than tokens.refresh_ttl; a token that outlives its refresh token cannot be renewed"
        yield config.document.problem(access, text)
    if config.sound(refresh, session) and tokens.refresh_ttl > tokens.session_ttl:
        text = "must not be longer than tokens.session_ttl, the end of every session"
        yield config.document.problem(refresh, text)
