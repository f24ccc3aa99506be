"""Where Salesforce's own answers may send calls and credentials, and for whom an assertion is meant.

The one idea: an answer of the token endpoint names the address of every further call (`instance_url`), so it is trusted
only as far as it names Salesforce, or a host that the operator has named.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final
from urllib.parse import urlsplit

DOMAINS: Final = ("salesforce.com", "cloudforce.com", "salesforce.mil", "crmforce.mil", "sfcrmproducts.cn")
"""Salesforce's own domains of instances and My Domains; none of them holds customers' pages, as force.com does."""

_PRODUCTION: Final = "https://login.salesforce.com"
_SANDBOX: Final = "https://test.salesforce.com"
_PORTS: Final = {"http": 80, "https": 443}


def origin(url: str) -> str:
    """Return `scheme://host[:port]` of a URL, in lower case and without the scheme's own port; empty for another text.

    Whatever else a URL may hold (a user, a path) is left out.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return ""
    host = parts.hostname or ""
    if parts.scheme not in _PORTS or not host or not host.isascii() or any(c <= " " or c in '"<>\\^`{|}' for c in host):
        return ""
    host = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{host}" if port in (None, _PORTS[parts.scheme]) else f"{parts.scheme}://{host}:{port}"


def trust(*configured: str) -> Callable[[str], str]:
    """Return the function that gives the origin of an `instance_url`, empty when it is not to be trusted.

    Trusted are https hosts of Salesforce at the usual port, and the origins of the `configured` URLs.
    """
    known = {origin(url) for url in configured} - {""}

    def trusted(instance_url: str) -> str:
        found = origin(instance_url)
        return found if found in known or _is_salesforce(found) else ""

    return trusted


def audience(token_url: str) -> str:
    """Return `aud` of an assertion: Salesforce asks for that of its login hosts, also at a My Domain.

    Source: Salesforce Help, "OAuth 2.0 JWT Bearer Flow for Server-to-Server Integration".
    """
    found = origin(token_url)
    if not _is_salesforce(found) or found in (_PRODUCTION, _SANDBOX):
        return found
    return _SANDBOX if ".sandbox." in found or "--" in found else _PRODUCTION


def _is_salesforce(found: str) -> bool:
    scheme, _, host = found.partition("://")
    return scheme == "https" and any(host.endswith(f".{domain}") for domain in DOMAINS)
