"""Who the client is, and what the next hop is told of it."""

from __future__ import annotations

import ipaddress

import pytest

from gateway.exchange import Exchange, Headers, header
from gateway.wire.forwarded import Forwarding
from gateway.wire.settings import PRIVATE

FORWARDING = Forwarding(PRIVATE)
STRANGER = "203.0.113.9"


def sent(peer: str, headers: Headers) -> Headers:
    return FORWARDING.outgoing(Exchange("GET", b"/", headers, peer=peer))


@pytest.mark.parametrize(
    ("peer", "told", "client"),
    [
        (STRANGER, [b"1.2.3.4"], STRANGER),
        ("10.0.0.1", [], "10.0.0.1"),
        ("10.0.0.1", [b"1.2.3.4"], "1.2.3.4"),
        ("10.0.0.1", [b"6.6.6.6, 1.2.3.4, 192.168.1.1"], "1.2.3.4"),
        ("10.0.0.1", [b"6.6.6.6", b"1.2.3.4 ,10.9.9.9"], "1.2.3.4"),
        ("10.0.0.1", [b"10.0.0.7, 10.0.0.8"], "10.0.0.7"),
        ("10.0.0.1", [b"1.2.3.4, unknown, 10.0.0.8"], "10.0.0.8"),
        ("10.0.0.1", [b"1.2.3.4, <script>"], "10.0.0.1"),
        ("10.0.0.1", [b"1.2.3.4:5678"], "1.2.3.4"),
        ("10.0.0.1", [b"[2001:db8::1]:443"], "2001:db8::1"),
        ("::1", [b"2001:db8::1"], "2001:db8::1"),
        ("", [b"1.2.3.4"], "1.2.3.4"),
        ("not-an-address", [b"1.2.3.4"], "not-an-address"),
    ],
)
def test_the_client_is_the_right_most_untrusted_address(peer: str, told: list[bytes], client: str) -> None:
    """The chain is walked back from the peer as long as the hop that speaks is trusted."""
    assert FORWARDING.origin(peer, "http", [(b"X-Forwarded-For", value) for value in told])[0] == client


@pytest.mark.parametrize(
    ("peer", "told", "scheme"),
    [
        ("10.0.0.1", [b"https"], "https"),
        ("10.0.0.1", [b"http, HTTPS"], "https"),
        ("10.0.0.1", [b"https", b"http"], "http"),
        ("10.0.0.1", [b"gopher"], "http"),
        (STRANGER, [b"https"], "http"),
        ("", [b"https"], "https"),
    ],
)
def test_the_scheme_is_what_the_nearest_trusted_proxy_says(peer: str, told: list[bytes], scheme: str) -> None:
    """Only a trusted peer may say that the client spoke TLS."""
    assert FORWARDING.origin(peer, "http", [(b"X-Forwarded-Proto", value) for value in told])[1] == scheme


@pytest.mark.parametrize(
    ("peer", "headers", "authority"),
    [
        ("10.0.0.1", [(b"Host", b"pod:8080"), (b"X-Forwarded-Host", b"portal.example.com")], b"portal.example.com"),
        ("10.0.0.1", [(b"X-Forwarded-Host", b"portal.example.com, inner"), (b"Host", b"pod")], b"portal.example.com"),
        ("", [(b"Host", b"pod"), (b"x-forwarded-host", b"portal.example.com:8443")], b"portal.example.com:8443"),
        ("10.0.0.1", [(b"Host", b"pod:8080"), (b"X-Forwarded-Host", b" ,x")], b"pod:8080"),
        (STRANGER, [(b"Host", b"pod:8080"), (b"X-Forwarded-Host", b"portal.example.com")], b"pod:8080"),
        (STRANGER, [], b""),
    ],
)
def test_the_authority_is_what_the_client_asked_for(peer: str, headers: Headers, authority: bytes) -> None:
    """Only a trusted peer may say that the client saw another host than it asks us for."""
    assert FORWARDING.authority(Exchange("POST", b"/", headers, peer=peer)) == authority


def test_an_untrusted_peers_word_is_replaced() -> None:
    """What a stranger says of forwarding is dropped in every spelling, and the truth put in its place."""
    headers: Headers = [
        (b"Host", b"shop"),
        (b"x-forwarded-for", b"1.1.1.1"),
        (b"X-Forwarded-User", b"admin"),
        (b"X_Forwarded_Proto", b"https"),
        (b"X-Forwarded-Host", b"evil"),
        (b"Forwarded", b"for=1.1.1.1"),
        (b"X-Kept", b"1"),
        (b"From", b"a@b"),
    ]
    assert sent(STRANGER, headers) == [
        (b"Host", b"shop"),
        (b"X-Kept", b"1"),
        (b"From", b"a@b"),
        (b"X-Forwarded-For", STRANGER.encode()),
        (b"X-Forwarded-Proto", b"http"),
        (b"X-Forwarded-Host", b"shop"),
    ]


def test_a_trusted_peers_word_is_kept_and_appended_to() -> None:
    """What a trusted proxy says stays in its place, and the proxy itself is appended."""
    headers: Headers = [
        (b"x-forwarded-for", b"1.1.1.1"),
        (b"Host", b"shop"),
        (b"X-Forwarded-For", b"2.2.2.2"),
        (b"X-Forwarded-Proto", b"https"),
        (b"X-Forwarded-Host", b"outside"),
        (b"X-Forwarded-Port", b"443"),
        (b"Forwarded", b"for=2.2.2.2;proto=https"),
    ]
    assert sent("10.0.0.1", headers) == [
        (b"x-forwarded-for", b"1.1.1.1"),
        (b"Host", b"shop"),
        (b"X-Forwarded-For", b"2.2.2.2, 10.0.0.1"),
        (b"X-Forwarded-Proto", b"https"),
        (b"X-Forwarded-Host", b"outside"),
        (b"X-Forwarded-Port", b"443"),
        (b"Forwarded", b"for=2.2.2.2;proto=https, for=10.0.0.1"),
    ]


def test_what_a_trusted_peer_leaves_out_is_added() -> None:
    """A trusted proxy that tells only the protocol gets the other fields added."""
    out = sent("::1", [(b"Host", b"shop"), (b"X-Forwarded-Proto", b"https"), (b"Forwarded", b"")])
    assert header(out, b"x-forwarded-for") == b"::1"
    assert header(out, b"x-forwarded-proto") == b"https"
    assert header(out, b"x-forwarded-host") == b"shop"
    assert header(out, b"forwarded") == b'for="[::1]"'


def test_a_unix_socket_peer_is_trusted_and_has_no_address() -> None:
    """Behind a unix socket the fields are kept and no empty address is appended."""
    assert header(sent("", [(b"X-Forwarded-For", b"1.1.1.1")]), b"x-forwarded-for") == b"1.1.1.1"
    assert header(sent("", [(b"Forwarded", b"for=1.1.1.1")]), b"forwarded") == b"for=1.1.1.1, for=unknown"
    assert header(sent("", []), b"x-forwarded-for") is None


def test_connection_cannot_remove_what_is_told() -> None:
    """A hostile Connection field does not remove what the gateway tells, and hop-by-hop fields end here."""
    out = sent(STRANGER, [(b"Connection", b"X-Forwarded-For, X-Gone"), (b"X-Gone", b"1"), (b"Host", b"a")])
    assert [key for key, _ in out] == [b"Host", b"X-Forwarded-For", b"X-Forwarded-Proto", b"X-Forwarded-Host"]


def test_mapped_addresses_are_judged_as_what_they_map() -> None:
    """An IPv4 address in IPv6 clothes is as trusted as the address itself."""
    forwarding = Forwarding((ipaddress.ip_network("10.0.0.0/8"),))
    assert forwarding.trusts("::ffff:10.0.0.1")
    assert not forwarding.trusts("::ffff:11.0.0.1")
