"""Which header fields end at this hop, and which upgrade a client asks for.

The one idea: fields are dropped, never rewritten. What is left keeps its order, case, duplicates and odd bytes.
"""

from __future__ import annotations

from typing import Final

from gateway.exchange import Headers, header

HOP_BY_HOP: Final = frozenset(
    (b"connection", b"keep-alive", b"proxy-connection", b"te", b"trailer", b"transfer-encoding", b"upgrade")
)
"""Fields that concern one connection (RFC 9110 section 7.6.1), and `Trailer`: trailer sections are not forwarded."""

_LENGTHS: Final = frozenset(map(len, HOP_BY_HOP))

_PROTECTED: Final = frozenset(
    (
        b"authorization", b"cache-control", b"content-encoding", b"content-length", b"content-type", b"cookie", b"date",
        b"expect", b"forwarded", b"host", b"location", b"origin", b"proxy-authenticate", b"proxy-authorization",
        b"set-cookie", b"vary", b"www-authenticate", b"x-forwarded-for", b"x-forwarded-host", b"x-forwarded-proto",
    )
)  # fmt: skip
"""Fields that are meant for the other end. A `Connection` field that names one is an attempt to take it away."""

_NAMES_NOTHING: Final = frozenset((b"keep-alive", b"close", b"Keep-Alive", b"Close", b"upgrade", b"Upgrade", b""))
_TUNNELLED: Final = b"websocket"


def end_to_end(headers: Headers) -> Headers:
    """Return a new list without the fields that end at this hop: the fixed ones and those that `Connection` names."""
    named = _named_by_connection(headers)
    if named:
        dropped = HOP_BY_HOP | named
        return [pair for pair in headers if pair[0].lower() not in dropped]
    # The length is asked first because it rules out most names without a new bytes object.
    return [pair for pair in headers if len(pair[0]) not in _LENGTHS or pair[0].lower() not in HOP_BY_HOP]


def wants_upgrade(headers: Headers) -> bytes | None:
    """Return `websocket` (as the client spelled it) when the request asks to change to it, else None.

    Other protocols, `h2c` first of all, are not tunnelled: a request that asks for them is forwarded as plain HTTP
    (RFC 9110 section 7.8 lets a server ignore the field), because behind a tunnel no layer would see a request.
    """
    protocol = header(headers, b"upgrade")
    if protocol is None or protocol.lower() != _TUNNELLED:
        return None
    asked = any(option.lower() == b"upgrade" for option in connection_options(headers))
    return protocol if asked else None


def connection_options(headers: Headers) -> list[bytes]:
    """Return the options of every `Connection` field, in order, without white space and empty members."""
    options: list[bytes] = []
    for key, value in headers:
        if len(key) == 10 and key.lower() == b"connection":
            options += [option for part in value.split(b",") if (option := part.strip(b" \t"))]
    return options


def _named_by_connection(headers: Headers) -> frozenset[bytes]:
    """Return the lower-case names that `Connection` takes away beyond the fixed ones."""
    for key, value in headers:
        if len(key) == 10 and value not in _NAMES_NOTHING and key.lower() == b"connection":
            names = frozenset(option.lower() for option in connection_options(headers))
            return names - _PROTECTED - HOP_BY_HOP
    return frozenset()
