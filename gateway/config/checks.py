"""What must hold between the keys of `config.yaml`.

The one idea: each check is a generator that yields problems at the key an operator would change. It asks about exactly
the keys it reads, so that a mistake elsewhere does not silence it. No text repeats a value of `redis.url`, of a key or
of a secret.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final
from urllib.parse import parse_qsl, unquote_to_bytes, urlsplit

from pydantic import SecretStr

from gateway.config.document import KeyPath, dotted
from gateway.config.problems import Problem, did_you_mean
from gateway.config.root import FileSettings
from gateway.config.validation import Checked
from gateway.redis_client.settings import EMBEDDED
from gateway.settings import RoutePattern

IN_KUBERNETES: Final = "KUBERNETES_SERVICE_HOST"
"""Set by Kubernetes in every container."""
HS256_BYTES: Final = 32
"""RFC 7518 section 3.2: a key is at least as long as the hash it is used with."""

_SCHEMES: Final = ("redis", "rediss", "unix")
_FORMS: Final = "embedded, redis://HOST:PORT/DB, rediss://HOST:PORT/DB or unix:///PATH"

_URL: Final = ("redis", "url")
_ENABLED: Final = ("tokens", "enabled")
_ROUTES: Final = ("tokens", "routes")
_KEYS: Final = ("tokens", "keys")
_COOKIE: Final = ("tokens", "cookie")

Found = Iterator[Problem]


def check_file(config: Checked[FileSettings], environ: Mapping[str, str]) -> Found:
    """Yield every error and warning that lies between keys of `config.yaml`."""
    yield from _redis_url(config)
    yield from _embedded(config, environ)
    yield from _routes(config)
    yield from _keys(config)
    yield from _refresh_secret(config)
    yield from _lifetimes(config)
    yield from _cookie(config)
    yield from _prefixes(config)


def _redis_url(config: Checked[FileSettings]) -> Found:
    text = _unusable_url(config.settings.redis.url) if config.sound(_URL) else ""
    if text:
        yield config.document.problem(_URL, text)


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


def _routes(config: Checked[FileSettings]) -> Found:
    routes = config.settings.tokens.routes
    every: list[tuple[KeyPath, RoutePattern]] = [
        *(((*_ROUTES, "login", index), route) for index, route in enumerate(routes.login)),
        ((*_ROUTES, "refresh"), routes.refresh),
        ((*_ROUTES, "logout"), routes.logout),
    ]
    taken: list[tuple[KeyPath, RoutePattern]] = []
    for path, route in every:
        if not config.sound(path):
            continue
        rivals = (other for other, its in taken if other[:3] != path[:3] and _meet_the_same(route, its))
        rival = next(rivals, None)
        if rival is not None:
            text = f"meets the same requests as {dotted(rival)}; each needs a route of its own"
            yield config.document.problem(path, text)
        taken.append((path, route))


def _meet_the_same(one: RoutePattern, other: RoutePattern) -> bool:
    """Whether two patterns are one to the router, for a method at least; `GET` stands for `HEAD` too."""
    methods = {one.method, other.method}
    overlap = len(methods) == 1 or None in methods or methods == {"GET", "HEAD"}
    return overlap and _segments(one.path) == _segments(other.path)


def _segments(path: str) -> list[bytes]:
    """Return what the router makes of a path: escapes decoded, without regard to case and to slashes in excess."""
    return [segment for segment in unquote_to_bytes(path).lower().split(b"/") if segment]


def _keys(config: Checked[FileSettings]) -> Found:
    keys, enabled = config.settings.tokens.keys, _enabled(config)
    first: dict[str, int] = {}
    for index, key in enumerate(keys):
        path = (*_KEYS, index)
        if config.sound((*path, "kid")) and first.setdefault(key.kid, index) != index:
            text = f"is the kid of tokens.keys[{first[key.kid]}] too; each key needs its own"
            yield config.document.problem((*path, "kid"), text)
        if enabled and config.sound((*path, "alg"), (*path, "secret")) and _is_short(key.secret):
            text = f"{key.alg} needs a secret of at least {HS256_BYTES} bytes"
            yield config.document.problem((*path, "secret"), text)
    if enabled and config.sound(_KEYS) and not keys:
        yield config.document.problem(_KEYS, "tokens.enabled needs at least one key")


def _refresh_secret(config: Checked[FileSettings]) -> Found:
    path, secret = ("tokens", "refresh_secret"), config.settings.tokens.refresh_secret
    if _enabled(config) and config.sound(path) and secret is not None and _is_short(secret):
        text = f"must have at least {HS256_BYTES} bytes; leave it out to derive it from the first key"
        yield config.document.problem(path, text)


def _enabled(config: Checked[FileSettings]) -> bool:
    return config.sound(_ENABLED) and config.settings.tokens.enabled


def _is_short(secret: SecretStr) -> bool:
    return len(secret.get_secret_value().encode()) < HS256_BYTES


def _lifetimes(config: Checked[FileSettings]) -> Found:
    tokens = config.settings.tokens
    access, refresh, session = (("tokens", name) for name in ("access_ttl", "refresh_ttl", "session_ttl"))
    if config.sound(access, refresh) and tokens.access_ttl >= tokens.refresh_ttl:
        text = "must be shorter than tokens.refresh_ttl; a token that outlives its refresh token cannot be renewed"
        yield config.document.problem(access, text)
    if config.sound(refresh, session) and tokens.refresh_ttl > tokens.session_ttl:
        text = "must not be longer than tokens.session_ttl, the end of every session"
        yield config.document.problem(refresh, text)


def _cookie(config: Checked[FileSettings]) -> Found:
    tokens, cookie = config.settings.tokens, config.settings.tokens.cookie
    access, refresh, same_site, secure = ((*_COOKIE, name) for name in ("access", "refresh", "same_site", "secure"))
    if config.sound(access, refresh) and cookie.access == cookie.refresh:
        yield config.document.problem(refresh, "is the name of the access cookie too")
    if not config.sound(secure) or cookie.secure:
        return
    if config.sound(same_site) and cookie.same_site == "none":
        text = "none needs tokens.cookie.secure: true; browsers drop such a cookie"
        yield config.document.problem(same_site, text)
    if _enabled(config) and config.sound(("tokens", "carrier")) and tokens.carrier == "cookie":
        text = "the refresh cookie travels over plain http too; set it to true wherever clients use https"
        yield config.document.problem(secure, text, "warning")


def _prefixes(config: Checked[FileSettings]) -> Found:
    """Yield what a browser would refuse a cookie for (RFC 6265bis section 4.1.3; case does not matter)."""
    cookie = config.settings.tokens.cookie
    insecure = config.sound((*_COOKIE, "secure")) and not cookie.secure
    elsewhere = config.sound((*_COOKIE, "path")) and cookie.path != "/"
    shared = config.sound((*_COOKIE, "domain")) and cookie.domain is not None
    for key, name in (("access", cookie.access), ("refresh", cookie.refresh)):
        path = (*_COOKIE, key)
        if not config.sound(path):
            continue
        if name.lower().startswith("__host-") and (insecure or elsewhere or shared):
            yield config.document.problem(path, "the prefix __Host- needs secure: true, path: / and no domain")
        if name.lower().startswith("__secure-") and insecure:
            yield config.document.problem(path, "the prefix __Secure- needs secure: true")
