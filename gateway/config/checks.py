"""What must hold between the keys of `config.yaml`.

The one idea: each check is a generator over sound settings that yields problems at the key an operator would change.
No text repeats a value of `redis.url`, of a key or of a secret.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterator, Mapping
from typing import Final

from gateway.config.guard_checks import check_guard
from gateway.config.key_checks import check_keys
from gateway.config.problems import Problem, did_you_mean
from gateway.config.root import FileSettings
from gateway.config.validation import Checked
from gateway.redis_client.settings import EMBEDDED
from gateway.redis_client.url import SHAPES, UnreadableUrl, parse
from gateway.tokens.settings import CookieSettings

IN_KUBERNETES: Final = "KUBERNETES_SERVICE_HOST"
"""Set by Kubernetes in every container."""

_FORMS: Final = (
    "embedded, redis://HOST:PORT/DB, unix:///PATH, redis+sentinel://HOST:PORT,HOST:PORT/SERVICE/DB or "
    "redis+cluster://HOST:PORT,HOST:PORT (rediss… for TLS)"
)

Found = Iterator[Problem]


def check_file(config: Checked[FileSettings], environ: Mapping[str, str]) -> Found:
    """Yield every error and warning that lies between keys of `config.yaml`."""
    settings = config.settings
    if settings is None:
        return
    if config.sound("redis"):
        yield from _redis_url(config, settings)
        yield from _authorities(config, settings)
    if config.sound("redis", "tokens"):
        yield from _embedded(config, settings, environ)
    if config.sound("tokens"):
        yield from check_keys(config, settings)
        yield from check_guard(config, settings)
        yield from _lifetimes(config, settings)
        yield from _cookie(config, settings)


def _redis_url(config: Checked[FileSettings], settings: FileSettings) -> Found:
    text = _unusable_url(settings.redis.url)
    if text:
        yield config.document.problem(("redis", "url"), text)


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


def _authorities(config: Checked[FileSettings], settings: FileSettings) -> Found:
    file = settings.redis.ca_file
    if file is None:
        return
    if not settings.redis.url.startswith("rediss"):
        text = "is not used, because redis.url does not ask for TLS (rediss…)"
        yield config.document.problem(("redis", "ca_file"), text, "warning")
    try:
        ssl.create_default_context(cafile=file)
    except ssl.SSLError:
        yield config.document.problem(("redis", "ca_file"), "holds no certificate in PEM form")
    except OSError as error:
        reason = (error.strerror or "unknown reason").lower()
        yield config.document.problem(("redis", "ca_file"), f"cannot be read: {reason}")


def _embedded(config: Checked[FileSettings], settings: FileSettings, environ: Mapping[str, str]) -> Found:
    if settings.redis.url != EMBEDDED or settings.redis.allow_embedded:
        return
    why = []
    if settings.tokens.require_redis:
        why.append("tokens.require_redis is on")
    if environ.get(IN_KUBERNETES):
        why.append("this is Kubernetes, where other replicas would not share it")
    if why:
        remedy = "name a shared Redis (REDIS_URL), or set redis.allow_embedded: true"
        yield config.document.problem(("redis", "url"), f"embedded is refused, because {' and '.join(why)}; {remedy}")


def _lifetimes(config: Checked[FileSettings], settings: FileSettings) -> Found:
    tokens = settings.tokens
    if tokens.access_ttl >= tokens.refresh_ttl:
        text = "must be shorter than tokens.refresh_ttl; a token that outlives its refresh token cannot be renewed"
        yield config.document.problem(("tokens", "access_ttl"), text)
    if tokens.refresh_ttl > tokens.session_ttl:
        text = "must not be longer than tokens.session_ttl, the end of every session"
        yield config.document.problem(("tokens", "refresh_ttl"), text)


def _cookie(config: Checked[FileSettings], settings: FileSettings) -> Found:
    cookie = settings.tokens.cookie
    section = ("tokens", "cookie")
    if cookie.access == cookie.refresh:
        yield config.document.problem((*section, "refresh"), "is the name of the access cookie too")
    if cookie.same_site == "none" and not cookie.secure:
        text = "none needs tokens.cookie.secure: true; browsers drop such a cookie"
        yield config.document.problem((*section, "same_site"), text)
    for name in ("access", "refresh"):
        text = _broken_prefix(getattr(cookie, name), cookie)
        if text:
            yield config.document.problem((*section, name), text)
    if settings.tokens.enabled and settings.tokens.carrier != "json" and not cookie.secure:
        text = "the refresh cookie travels over plain http too; set it to true wherever clients use https"
        yield config.document.problem((*section, "secure"), text, "warning")
    if settings.tokens.enabled and settings.tokens.carrier != "json":
        yield from _cookie_path(config, settings)


def _cookie_path(config: Checked[FileSettings], settings: FileSettings) -> Found:
    """Warn of a path that browsers would not send the cookies to (RFC 6265 section 5.1.4); a proxy may rewrite it."""
    path, routes = settings.tokens.cookie.path, settings.tokens.routes
    for name in ("refresh", "logout"):
        if not f"{getattr(routes, name).path}/".startswith(f"{path.rstrip('/')}/"):
            text = f"does not cover tokens.routes.{name}: browsers that see the same paths send no cookie there"
            yield config.document.problem(("tokens", "cookie", "path"), text, "warning")


def _broken_prefix(name: str, cookie: CookieSettings) -> str:
    """Return what a browser would refuse such a cookie for (RFC 6265bis section 4.1.3; case does not matter)."""
    lower = name.lower()
    if lower.startswith("__host-") and not (cookie.secure and cookie.path == "/" and cookie.domain is None):
        return "the prefix __Host- needs secure: true, path: / and no domain"
    for prefix in ("__Secure-", "__Http-"):
        if lower.startswith(prefix.lower()) and not cookie.secure:
            return f"the prefix {prefix} needs secure: true"
    return ""
