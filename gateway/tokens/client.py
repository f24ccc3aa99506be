"""Who asks, as far as the records and the audit trail may know: a device's own words, and a network.

The one idea: both are bounded and printable before they are stored or logged, and an address is never kept whole.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import Final

from gateway.exchange import Exchange, header

MAX_DEVICE: Final = 80
_NOT_PRINTABLE: Final = re.compile(rb"[^\x20-\x7e]+")


@dataclass(frozen=True, slots=True)
class Client:
    """What is remembered of whoever asks."""

    device: str
    network: str


def client_of(exchange: Exchange) -> Client:
    """Return the client of a request: its User-Agent cut to `MAX_DEVICE` characters, and its network."""
    agent = _NOT_PRINTABLE.sub(b" ", header(exchange.headers, b"user-agent") or b"")[:MAX_DEVICE]
    return Client(agent.decode("ascii").strip(), _network(exchange.client))


def _network(address: str) -> str:
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return ""
    if isinstance(ip, ipaddress.IPv6Address) and ip.ipv4_mapped is not None:
        ip = ip.ipv4_mapped
    return str(ipaddress.ip_network((ip, 24 if ip.version == 4 else 48), strict=False))
