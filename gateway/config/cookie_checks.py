"""What must hold between the names and attributes of the token cookies, for browsers to keep and send them.

The one idea: a cookie that a browser would refuse is an error; one that it may send too widely, or not to a token
route, is a warning, because a proxy in front may know better.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from gateway.config.problems import Problem
from gateway.config.root import FileSettings
from gateway.config.validation import Checked

Found = Iterator[Problem]

_COOKIE: Final = ("tokens", "cookie")
_ACCESS: Final = (*_COOKIE, "access")
_REFRESH: Final = (*_COOKIE, "refresh")
_PATH: Final = (*_COOKIE, "path")
_SAME_SITE: Final = (*_COOKIE, "same_site")
_SECURE: Final = (*_COOKIE, "secure")
_DOMAIN: Final = (*_COOKIE, "domain")
_CARRIER: Final = ("tokens", "carrier")
_ROUTES: Final = ("tokens", "routes")


def check_cookies(config: Checked[FileSettings], *, enabled: bool) -> Found:
    """Yield every error of the cookies; where tokens are `enabled` and travel in cookies, warnings too."""
    yield from _attributes(config)
    yield from _prefixes(config)
    if enabled and config.sound(_CARRIER) and config.settings.tokens.carrier != "json":
        yield from _secure(config)
        yield from _path(config)


def _attributes(config: Checked[FileSettings]) -> Found:
    cookie = config.settings.tokens.cookie
    if config.sound(_ACCESS, _REFRESH) and cookie.access == cookie.refresh:
        yield config.document.problem(_REFRESH, "is the name of the access cookie too")
    if config.sound(_SAME_SITE, _SECURE) and cookie.same_site == "none" and not cookie.secure:
        text = "none needs tokens.cookie.secure: true; browsers drop such a cookie"
        yield config.document.problem(_SAME_SITE, text)


def _prefixes(config: Checked[FileSettings]) -> Found:
    """Yield what a browser would refuse a cookie for (RFC 6265bis section 4.1.3; case does not matter)."""
    cookie = config.settings.tokens.cookie
    insecure = config.sound(_SECURE) and not cookie.secure
    elsewhere = config.sound(_PATH) and cookie.path != "/"
    shared = config.sound(_DOMAIN) and cookie.domain is not None
    for path, name in ((_ACCESS, cookie.access), (_REFRESH, cookie.refresh)):
        if not config.sound(path):
            continue
        if name.lower().startswith("__host-") and (insecure or elsewhere or shared):
            yield config.document.problem(path, "the prefix __Host- needs secure: true, path: / and no domain")
        for prefix in ("__Secure-", "__Http-"):
            if name.lower().startswith(prefix.lower()) and insecure:
                yield config.document.problem(path, f"the prefix {prefix} needs secure: true")


def _secure(config: Checked[FileSettings]) -> Found:
    if config.sound(_SECURE) and not config.settings.tokens.cookie.secure:
        text = "the refresh cookie travels over plain http too; set it to true wherever clients use https"
        yield config.document.problem(_SECURE, text, "warning")


def _path(config: Checked[FileSettings]) -> Found:
    """Warn of a path that browsers would not send the cookies to (RFC 6265 section 5.1.4); a proxy may rewrite it."""
    cookie, routes = config.settings.tokens.cookie, config.settings.tokens.routes
    for name in ("refresh", "logout"):
        if not config.sound(_PATH, (*_ROUTES, name)):
            continue
        if not f"{getattr(routes, name).path}/".startswith(f"{cookie.path.rstrip('/')}/"):
            text = f"does not cover tokens.routes.{name}: browsers that see the same paths send no cookie there"
            yield config.document.problem(_PATH, text, "warning")
