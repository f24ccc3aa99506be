"""Who the client is behind a chain of proxies, and how the next hop is told.

The one idea: a hop is believed only as far as the chain from here back to it is trusted. The client is the right-most
address in `X-Forwarded-For` that no trusted proxy has, and what an untrusted peer says of itself is replaced.
"""

from __future__ import annotations

import ipaddress
from functools import lru_cache
from typing import Final, Literal

from gateway.exchange import Exchange, Headers, header
from gateway.wire.headers import end_to_end
from gateway.wire.settings import Network

Scheme = Literal["http", "https"]

_FOR: Final = b"x-forwarded-for"
_PROTO: Final = b"x-forwarded-proto"
_HOST: Final = b"x-forwarded-host"
_CACHED: Final = 4096


class Forwarding:
    """The trusted networks, and what follows from them for `X-Forwarded-*` and `Forwarded` (RFC 7239).

    A peer on a unix socket (the empty address) is on this machine, and trusted.
    """

    def __init__(self, trusted: tuple[Network, ...]) -> None:
        self._networks = trusted
        self.trusts = lru_cache(maxsize=_CACHED)(self._trusts)

    def origin(self, peer: str, scheme: Scheme, headers: Headers) -> tuple[str, Scheme]:
        """Return the client's address and scheme, as far as trusted proxies tell them."""
        if not self.trusts(peer):
            return peer, scheme
        hops, proto = [], b""
        for key, value in headers:
            if len(key) == 15 and key.lower() == _FOR:
                hops.append(value)
            elif len(key) == 17 and key.lower() == _PROTO:
                proto = value.rpartition(b",")[2].strip(b" \t").lower()
        if proto == b"https":
            scheme = "https"
        elif proto == b"http":
            scheme = "http"
        return (self._client(peer, hops) if hops else peer), scheme

    def authority(self, exchange: Exchange) -> bytes:
        """Return the host and port that the client asked for, as far as trusted proxies tell; else `Host`, or nothing.

        Of several members of `X-Forwarded-Host` the first is the client's own.
        """
        if self.trusts(exchange.peer):
            told = header(exchange.headers, _HOST)
            if told is not None and (first := told.partition(b",")[0].strip(b" \t")):
                return first
        return header(exchange.headers, b"host") or b""

    def outgoing(self, exchange: Exchange) -> Headers:
        """Return the end-to-end fields of a request, with the next hop told about this one.

        From a trusted peer, `X-Forwarded-*` and `Forwarded` are kept and the peer is appended; from another they are
        dropped and set anew.
        """
        headers = end_to_end(exchange.headers)
        told = [i for i, (key, _) in enumerate(headers) if key[:1] in b"xXfF" and _about_forwarding(key)]
        if told and self.trusts(exchange.peer):
            return _appended(headers, exchange)
        for index in reversed(told):
            del headers[index]
        if exchange.peer:
            headers.append((b"X-Forwarded-For", exchange.peer.encode()))
        headers.append((b"X-Forwarded-Proto", exchange.scheme.encode()))
        host = header(headers, b"host")
        if host:
            headers.append((b"X-Forwarded-Host", host))
        return headers

    def _client(self, peer: str, fields: list[bytes]) -> str:
        """Walk back from the peer, as long as the hop that speaks is trusted."""
        client = peer
        for hop in reversed(b",".join(fields).split(b",")):
            address = _address(hop)
            if address is None:
                break
            client = address
            if not self.trusts(address):
                break
        return client

    def _trusts(self, address: str) -> bool:
        """Tell whether an address is one of the trusted proxies'."""
        if not address:
            return True
        try:
            ip = ipaddress.ip_address(address)
        except ValueError:
            return False
        if isinstance(ip, ipaddress.IPv6Address) and ip.ipv4_mapped is not None:
            ip = ip.ipv4_mapped
        return any(ip in network for network in self._networks)


def _about_forwarding(name: bytes) -> bool:
    """Tell whether a field speaks of forwarding, also where a server would read `_` as `-` (CGI, WSGI)."""
    normal = name.lower().replace(b"_", b"-")
    return normal == b"forwarded" or normal.startswith(b"x-forwarded-")


def _appended(headers: Headers, exchange: Exchange) -> Headers:
    """Append this hop to the fields of a trusted peer; the last field of a name is the one that grows."""
    last: dict[bytes, int] = {}
    for index, (key, _) in enumerate(headers):
        last[key.lower()] = index
    host = header(headers, b"host")
    if exchange.peer:
        _grow(headers, last.get(_FOR), b"X-Forwarded-For", exchange.peer.encode())
    if _PROTO not in last:
        headers.append((b"X-Forwarded-Proto", exchange.scheme.encode()))
    if _HOST not in last and host:
        headers.append((b"X-Forwarded-Host", host))
    if b"forwarded" in last:
        _grow(headers, last[b"forwarded"], b"Forwarded", _element(exchange.peer))
    return headers


def _grow(headers: Headers, index: int | None, name: bytes, value: bytes) -> None:
    if index is None:
        headers.append((name, value))
        return
    key, old = headers[index]
    headers[index] = (key, old + b", " + value if old else value)


def _element(peer: str) -> bytes:
    """Return the `forwarded-element` of this hop (RFC 7239 section 4): only who sent, the rest was said before."""
    if not peer:
        return b"for=unknown"
    return f'for="[{peer}]"'.encode() if ":" in peer else f"for={peer}".encode()


@lru_cache(maxsize=_CACHED)
def _address(hop: bytes) -> str | None:
    """Return the address in a member of `X-Forwarded-For`, without the port that some proxies add, or None."""
    text = hop.strip(b" \t").decode("latin-1")
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        return None
