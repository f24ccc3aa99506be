"""What must hold of the address of Redis, and of what else says how to reach it.

The one idea: no text repeats any part of `redis.url`, because any part of one that cannot be read may be the password.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterator, Mapping
from typing import Final

from gateway.config.problems import Problem, did_you_mean
from gateway.config.root import FileSettings
from gateway.config.validation import Checked
from gateway.redis_client.settings import EMBEDDED
from gateway.redis_client.url import SHAPES, UnreadableUrl, parse

IN_KUBERNETES: Final = "KUBERNETES_SERVICE_HOST"
"""Set by Kubernetes in every container."""

_FORMS: Final = (
    "embedded, redis://HOST:PORT/DB, unix:///PATH, redis+sentinel://HOST:PORT,HOST:PORT/SERVICE/DB or "
    "redis+cluster://HOST:PORT,HOST:PORT (rediss… for TLS)"
)
_URL: Final = ("redis", "url")
_CA_FILE: Final = ("redis", "ca_file")

Found = Iterator[Problem]


def check_redis(config: Checked[FileSettings], environ: Mapping[str, str]) -> Found:
    """Yield what keeps the gateway from reaching a Redis, or from using the embedded one."""
    text = _unusable_url(config.settings.redis.url) if config.sound(_URL) else ""
    if text:
        yield config.document.problem(_URL, text)
    yield from _authorities(config)
    yield from _embedded(config, environ)


def _unusable_url(url: str) -> str:
    if url == EMBEDDED:
        return ""
    scheme, separator, _ = url.partition("://")
    if not separator:
        return f"must be {_FORMS}{did_you_mean(scheme, (EMBEDDED,))}"
    if scheme not in SHAPES:
        return f"must be {_FORMS}{did_you_mean(scheme, tuple(SHAPES))}"
    try:
        parse(url)
    except UnreadableUrl as error:
        return f"must be {error.shape}, without other options; in a user or a password, percent-encode / : @ # and ?"
    return ""


def _authorities(config: Checked[FileSettings]) -> Found:
    file = config.settings.redis.ca_file
    if not config.sound(_CA_FILE) or file is None:
        return
    if config.sound(_URL) and not config.settings.redis.url.startswith("rediss"):
        text = "is not used, because redis.url does not ask for TLS (rediss…)"
        yield config.document.problem(_CA_FILE, text, "warning")
    try:
        ssl.create_default_context(cafile=file)
    except ssl.SSLError:
        yield config.document.problem(_CA_FILE, "holds no certificate in PEM form")
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        reason = (isinstance(error, OSError) and error.strerror) or "unknown reason"
        yield config.document.problem(_CA_FILE, f"cannot be read: {reason.lower()}")


def _embedded(config: Checked[FileSettings], environ: Mapping[str, str]) -> Found:
    redis, tokens = config.settings.redis, config.settings.tokens
    if not config.sound(_URL, ("redis", "allow_embedded")) or redis.url != EMBEDDED or redis.allow_embedded:
        return
    why = []
    if config.sound(("tokens", "require_redis")) and tokens.require_redis:
        why.append("tokens.require_redis is on")
    if environ.get(IN_KUBERNETES):
        why.append("this is Kubernetes, where other replicas would not share it")
    if why:
        remedy = "name a shared Redis (REDIS_URL), or set redis.allow_embedded: true"
        yield config.document.problem(_URL, f"embedded is refused, because {' and '.join(why)}; {remedy}")
