"""Whose page sent a request: what browsers say of it, against where the request went.

The one idea: only browsers attach cookies that their user did not mean to send, and browsers say whose page they did it
for. A request without a word on it comes from no browser, and passes.

Sources: RFC 6454 section 6.2 and the Fetch standard (`Origin`), W3C Fetch Metadata section 2.3 (`Sec-Fetch-Site`).
Pages can set neither field.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Final

from gateway.exchange import Headers, header, header_values
from gateway.settings import Unsuitable

_ORIGIN: Final = re.compile(r"(https?)://(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::([0-9]{1,5}))?", re.ASCII)
_PORTS: Final = {"http": "80", "https": "443"}
_OURS: Final = frozenset((b"same-origin", b"none"))


def parse_origin(text: str) -> str:
    """Return an origin in the one form that browsers send: lower case, no default port.

    Raises:
        Unsuitable: when it is not scheme, host and perhaps port.
    """
    match = _ORIGIN.fullmatch(text.strip().lower())
    if match is None:
        raise Unsuitable("an origin is http(s)://HOST[:PORT] without a path, such as https://app.example.com")
    scheme, host, port = match.groups()
    return f"{scheme}://{host}" + (f":{port}" if port and port != _PORTS[scheme] else "")


def is_foreign(headers: Headers, own: str, allowed: Collection[str]) -> bool:
    """Tell whether another origin's page sent a request.

    Args:
        headers: the request's.
        own: the origin that the request went to, as `parse_origin` returns it; empty when that is not known.
        allowed: other origins that may, in the same form.

    `Origin` decides where it is there: own and allowed ones may, all others and `null` are foreign. A page whose TLS
    ends at a proxy that does not say so names another scheme or port than ours; it is not foreign when the browser
    itself calls the request `same-origin`. Without `Origin`, `Sec-Fetch-Site` decides: a sibling host (`same-site`)
    is another origin, and so is a word that nobody knows.
    """
    site = header(headers, b"sec-fetch-site")
    origins = header_values(headers, b"origin")
    if not origins:
        return site is not None and site not in _OURS
    return not all(_may(origin, own, allowed, site) for origin in origins)


def _may(value: bytes, own: str, allowed: Collection[str], site: bytes | None) -> bool:
    try:
        origin = parse_origin(value.decode("latin-1"))
    except ValueError:
        return False
    if origin == own or origin in allowed:
        return True
    return site == b"same-origin" and _host(origin) == _host(own)


def _host(origin: str) -> str:
    match = _ORIGIN.fullmatch(origin)
    return match[2] if match else ""
