"""Hop-by-hop fields, and the upgrade that a client asks for."""

from __future__ import annotations

import pytest

from gateway.exchange import Headers
from gateway.wire.headers import end_to_end, wants_upgrade


def test_what_passes_keeps_its_order_case_duplicates_and_bytes() -> None:
    """A header section without hop-by-hop fields comes out as it went in, as a list of its own."""
    fields: Headers = [
        (b"hOsT", b"a"),
        (b"X-B", b"1"),
        (b"x-a", b"\xff\xc3"),
        (b"X-B", b""),
        (b"Set-Cookie", b"a"),
        (b"Expect", b"100-continue"),
    ]
    passed = end_to_end(fields)
    assert passed == fields
    assert passed is not fields


@pytest.mark.parametrize(
    "name",
    [b"Connection", b"keep-alive", b"Proxy-Connection", b"TE", b"Trailer", b"TRANSFER-ENCODING", b"Upgrade"],
)
def test_fixed_fields_are_dropped(name: bytes) -> None:
    """A field that concerns one connection is dropped in every spelling."""
    assert end_to_end([(b"A", b"1"), (name, b"x"), (b"B", b"2")]) == [(b"A", b"1"), (b"B", b"2")]


def test_what_connection_names_is_dropped() -> None:
    """Fields named by any Connection field are dropped, whatever the case and white space."""
    fields: Headers = [
        (b"X-Secret", b"1"),
        (b"Connection", b"close ,\tx-secret,"),
        (b"connection", b"X-Other"),
        (b"x-other", b"2"),
        (b"X-Kept", b"3"),
    ]
    assert end_to_end(fields) == [(b"X-Kept", b"3")]


@pytest.mark.parametrize(
    "name", [b"Host", b"Content-Length", b"Authorization", b"Cookie", b"Set-Cookie", b"X-Forwarded-For", b"Date"]
)
def test_connection_cannot_take_away_what_the_other_end_needs(name: bytes) -> None:
    """A Connection field that names framing, Host or credentials does not remove them."""
    fields: Headers = [(name, b"1"), (b"Connection", name + b", close")]
    assert end_to_end(fields) == [(name, b"1")]


@pytest.mark.parametrize(
    ("fields", "protocol"),
    [
        ([(b"Connection", b"Upgrade"), (b"Upgrade", b"websocket")], b"websocket"),
        ([(b"connection", b"keep-alive, upgrade"), (b"upgrade", b"WebSocket")], b"WebSocket"),
        ([(b"Upgrade", b"websocket")], None),
        ([(b"Connection", b"Upgrade")], None),
        ([(b"Connection", b"close"), (b"Upgrade", b"websocket")], None),
        ([(b"Connection", b"Upgrade, HTTP2-Settings"), (b"Upgrade", b"h2c")], None),
        ([(b"Connection", b"Upgrade"), (b"Upgrade", b"h2c, websocket")], None),
    ],
)
def test_only_websocket_is_an_upgrade(fields: Headers, protocol: bytes | None) -> None:
    """An upgrade is asked for by Connection and Upgrade together, and only websocket counts."""
    assert wants_upgrade(fields) == protocol
