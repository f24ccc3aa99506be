"""The `ingress:` section of the configuration, and addresses to listen on."""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field

from gateway.settings import Address, PositiveDuration, Settings, Size, Unsuitable

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

PRIVATE: tuple[Network, ...] = tuple(
    ipaddress.ip_network(n)
    for n in ("127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16",
              "100.64.0.0/10", "::1/128", "fc00::/7", "fe80::/10")
)  # fmt: skip
"""What `private` means: loopback, RFC 1918, RFC 4193, link-local and the shared space of RFC 6598."""


def _backend(value: str) -> str:
    if value.startswith("unix:/"):
        return value
    try:
        parts = urlsplit(value)
        usable = parts.scheme == "http" and bool(parts.hostname) and parts.port != 0 and parts.username is None
    except ValueError:  # the brackets or the port
        usable = False
    if not usable or parts.path not in ("", "/") or parts.query or parts.fragment:
        raise Unsuitable("the backend is http://HOST:PORT or unix:/path/to.sock")
    return value.rstrip("/")


def _networks(value: Any) -> Any:
    if value == "private":
        return PRIVATE
    values = [value] if isinstance(value, str) else value
    if not isinstance(values, list | tuple):
        raise Unsuitable("trusted proxies are a list of networks, or `private`")
    return values


def _network(value: Any) -> Any:
    try:
        return ipaddress.ip_network(value)
    except ValueError:
        raise Unsuitable("a network is ADDRESS/BITS without bits of a host, such as 10.0.0.0/8") from None


class TlsSettings(Settings):
    """The certificate that a listener shows, with its chain, and the key of it; both in PEM form."""

    cert_file: Path
    key_file: Path


class LimitSettings(Settings):
    """Bounds on what a client may send."""

    header_bytes: Annotated[Size, Field(ge=1024)] = 32 * 1024
    headers: Annotated[int, Field(ge=8)] = 256
    body_bytes: Size | None = None


class IngressSettings(Settings):
    """Where clients come in, and the backend behind."""

    listen: Address = "0.0.0.0:8080"
    backend: Annotated[str, AfterValidator(_backend)] = "http://127.0.0.1:3000"
    connect_timeout: PositiveDuration = 2.0
    response_timeout: PositiveDuration | None = None
    idle_timeout: PositiveDuration | None = 300.0
    trusted_proxies: Annotated[
        tuple[Annotated[Network, BeforeValidator(_network)], ...], BeforeValidator(_networks)
    ] = PRIVATE
    errors: Literal["problem", "nest"] = "problem"
    limits: LimitSettings = LimitSettings()
