"""Who asks, as far as the records and the audit trail may know: a device's own words, and a network.

The one idea: both are bounded and printable before they are stored or logged, and an address is never kept whole.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from gateway.exchange import Exchange, header

MAX_DEVICE: Final = 80
_NOT_PRINTABLE: Final = re.compile(rb"[^\x20-\x7e]+")


@dataclass(frozen=True, slots=True)
class Client:
    """What is remembered of whoever asks."""

    device: str
    network: str

    @property
    def note(self) -> str:
        """What a family's record keeps: network and device in one text, see `records.split_note`."""
        return f"{self.network} {self.device}"


def client_of(exchange: Exchange) -> Client:
    """Return the client of a request: its User-Agent cut to `MAX_DEVICE` characters, and its network."""
    return Client(printable(header(exchange.headers, b"user-agent") or b""), _network(exchange.client))


def printable(text: bytes) -> str:
    """Return at most `MAX_DEVICE` characters of a device's own words, with a space for what is not printable ASCII."""
    return _NOT_PRINTABLE.sub(b" ", text)[:MAX_DEVICE].decode("ascii").strip()


@lru_cache(maxsize=4096)
def _network(address: str) -> str:
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return ""
    if isinstance(ip, ipaddress.IPv6Address) and ip.ipv4_mapped is not None:
        ip = ip.ipv4_mapped
    return str(ipaddress.ip_network((ip, 24 if ip.version == 4 else 48), strict=False))
