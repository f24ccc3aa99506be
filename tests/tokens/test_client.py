"""What is remembered of whoever asks."""

from __future__ import annotations

import pytest

from gateway.exchange import Exchange
from gateway.tokens.client import MAX_DEVICE, client_of


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.77", "192.0.2.0/24"),
        ("2001:db8:1:2::3", "2001:db8:1::/48"),
        ("::ffff:192.0.2.77", "192.0.2.0/24"),
        ("fe80::1%eth0", "fe80::/48"),
        ("", ""),
        ("unknown", ""),
    ],
)
def test_an_address_is_cut_to_its_network(address: str, network: str) -> None:
    """/24 for IPv4, also when mapped into IPv6, /48 for IPv6, nothing for what is no address."""
    assert client_of(Exchange("POST", b"/", client=address)).network == network


def test_a_device_is_bounded_and_printable() -> None:
    """Control characters, 8-bit bytes and any length of User-Agent end as a short printable text."""
    agent = b"\x1b[31mevil\r\n\xff" + b"x" * 1000
    device = client_of(Exchange("POST", b"/", [(b"user-agent", agent)])).device
    assert device.isprintable()
    assert device.isascii()
    assert len(device) <= MAX_DEVICE
    assert client_of(Exchange("POST", b"/")).device == ""
