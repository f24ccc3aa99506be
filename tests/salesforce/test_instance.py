"""Which addresses an answer may name, and for whom an assertion is meant."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.salesforce.instance import DOMAINS, audience, origin, trust


@pytest.mark.parametrize(
    ("url", "found"),
    [
        ("https://acme.my.salesforce.com", "https://acme.my.salesforce.com"),
        ("https://ACME.my.salesforce.com:443/path?x", "https://acme.my.salesforce.com"),
        ("https://acme--dev.sandbox.my.salesforce.com/", "https://acme--dev.sandbox.my.salesforce.com"),
        ("https://na1.salesforce.com", "https://na1.salesforce.com"),
        ("http://127.0.0.1:8001", "http://127.0.0.1:8001"),
        ("http://127.0.0.1:8002", ""),
        ("http://acme.my.salesforce.com", ""),
        ("https://acme.my.salesforce.com:8443", ""),
        ("https://salesforce.com.evil.example", ""),
        ("https://evilsalesforce.com", ""),
        ("https://acme.my.salesforce.com@evil.example", ""),
        ("https://evil.example/.salesforce.com", ""),
        ("https://evil.example#.salesforce.com", ""),
        ("https://evil.example\\.salesforce.com", ""),
        ("https://customer.force.com", ""),
        ("https://", ""),
        ("", ""),
        ("https://[::1", ""),
        ("https://a.salesforce.com:x", ""),
        ("//acme.my.salesforce.com", ""),
    ],
)
def test_trust(url: str, found: str) -> None:
    """Salesforce's own hosts by https are trusted, and the host that the operator configured; nothing else is."""
    assert trust("http://127.0.0.1:8001/base", "")(url) == found


@given(st.text())
def test_any_text(url: str) -> None:
    """Whatever an answer names, what is trusted is https and ends with a domain of Salesforce."""
    found = trust("")(url)
    assert not found or (found.startswith("https://") and found.endswith(tuple(f".{d}" for d in DOMAINS)))


def test_origin_of_an_address() -> None:
    """An IPv6 address keeps its brackets."""
    assert origin("http://[::1]:80/x") == "http://[::1]"


@pytest.mark.parametrize(
    ("url", "aud"),
    [
        ("https://login.salesforce.com/services/oauth2/token", "https://login.salesforce.com"),
        ("https://test.salesforce.com/services/oauth2/token", "https://test.salesforce.com"),
        ("https://acme.my.salesforce.com/services/oauth2/token", "https://login.salesforce.com"),
        ("https://acme--dev.sandbox.my.salesforce.com/services/oauth2/token", "https://test.salesforce.com"),
        ("http://127.0.0.1:8001/services/oauth2/token", "http://127.0.0.1:8001"),
    ],
)
def test_audience(url: str, aud: str) -> None:
    """An assertion names the login host, also when it is sent to a My Domain."""
    assert audience(url) == aud
