"""What must hold between the keys of `config.yaml`.

The one idea: each check is a generator over sound settings that yields problems at the key an operator would change.
No text repeats a value of `redis.url`, of a key or of a secret.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final
from urllib.parse import parse_qsl, urlsplit

from pydantic import SecretStr

from gateway.config.problems import Problem, did_you_mean
from gateway.config.root import FileSettings
from gateway.config.validation import Checked
from gateway.redis_client.settings import EMBEDDED
from gateway.tokens.settings import CookieSettings

IN_KUBERNETES: Final = "KUBERNETES_SERVICE_HOST"
"""Set by Kubernetes in every container."""
HS256_BYTES: Final = 32
"""RFC 7518 section 3.2: a key is at least as long as the hash it is used with."""

_SCHEMES: Final = ("redis", "rediss", "unix")
_FORMS: Final = "embedded, redis://HOST:PORT/DB, rediss://HOST:PORT/DB or unix:///PATH"

Found = Iterator[Problem]


def check_file(config: Checked[FileSettings], environ: Mapping[str, str]) -> Found:
    """Yield every error and warning that lies between keys of `config.yaml`."""
    settings = config.settings
    if settings is None:
        return
    if config.sound("redis"):
        yield from _redis_url(config, settings)
    if config.sound("redis", "tokens"):
        yield from _embedded(config, settings, environ)
    if config.sound("tokens"):
        yield from _keys(config, settings)
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
    base, _, kind = scheme.partition("+")
    if base in _SCHEMES and kind in ("sentinel", "cluster"):
        return f"Redis {kind.capitalize()} is not supported yet; use {_FORMS}"
    if scheme not in _SCHEMES:
        return f"must be {_FORMS}{did_you_mean(scheme, _SCHEMES)}"
    form = "unix:///PATH?db=DB" if scheme == "unix" else f"{scheme}://HOST:PORT/DB"
    encode = "in a user or a password, percent-encode / : @ # and ?"
    return "" if _has_server(url) else f"must be {form}, without other options; {encode}"


def _has_server(url: str) -> bool:
    """Whether an address names a socket or a host, a database by its number, and no other option."""
    try:
        parts = urlsplit(url)
        server = parts.path.strip("/") if parts.scheme == "unix" else parts.hostname and parts.port != 0
        options = parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query))
    except ValueError:  # brackets, port or query
        return False
    if parts.scheme == "unix" and parts.netloc and not parts.netloc.endswith("@"):  # unix://run/redis.sock
        return False
    databases = [value for name, value in options if name == "db"]
    if parts.scheme != "unix" and parts.path.strip("/"):
        databases.append(parts.path[1:])
    numbered = all(database.isascii() and database.isdigit() for database in databases)
    return bool(server) and not parts.fragment and len(databases) <= 1 and numbered and len(options) <= len(databases)


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


def _keys(config: Checked[FileSettings], settings: FileSettings) -> Found:
    tokens = settings.tokens
    first: dict[str, int] = {}
    for index, key in enumerate(tokens.keys):
        if first.setdefault(key.kid, index) != index:
            text = f"is the kid of tokens.keys[{first[key.kid]}] too; each key needs its own"
            yield config.document.problem(("tokens", "keys", index, "kid"), text)
        if tokens.enabled and _is_short(key.secret):
            path = ("tokens", "keys", index, "secret")
            yield config.document.problem(path, f"{key.alg} needs a secret of at least {HS256_BYTES} bytes")
    if tokens.enabled and not tokens.keys:
        yield config.document.problem(("tokens", "keys"), "tokens.enabled needs at least one key")
    if tokens.enabled and tokens.refresh_secret is not None and _is_short(tokens.refresh_secret):
        text = f"must have at least {HS256_BYTES} bytes; leave it out to derive it from the first key"
        yield config.document.problem(("tokens", "refresh_secret"), text)


def _is_short(secret: SecretStr) -> bool:
    return len(secret.get_secret_value().encode()) < HS256_BYTES


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
    if settings.tokens.enabled and settings.tokens.carrier == "cookie" and not cookie.secure:
        text = "the refresh cookie travels over plain http too; set it to true wherever clients use https"
        yield config.document.problem((*section, "secure"), text, "warning")


def _broken_prefix(name: str, cookie: CookieSettings) -> str:
    """Return what a browser would refuse such a cookie for (RFC 6265bis section 4.1.3; case does not matter)."""
    lower = name.lower()
    if lower.startswith("__host-") and not (cookie.secure and cookie.path == "/" and cookie.domain is None):
        return "the prefix __Host- needs secure: true, path: / and no domain"
    if lower.startswith("__secure-") and not cookie.secure:
        return "the prefix __Secure- needs secure: true"
    return ""
