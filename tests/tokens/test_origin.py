"""Whose page sent a request."""

from __future__ import annotations

import pytest

from gateway.exchange import Headers
from gateway.tokens.origin import is_foreign, parse_origin

OWN = "https://portal.example.com"
ALLOWED = ("https://app.example.com", "http://localhost:5173")


@pytest.mark.parametrize(
    ("text", "origin"),
    [
        ("https://App.Example.com", "https://app.example.com"),
        ("https://app.example.com:443", "https://app.example.com"),
        ("http://app.example.com:80", "http://app.example.com"),
        ("http://app.example.com:443", "http://app.example.com:443"),
        ("http://[2001:DB8::1]:8080", "http://[2001:db8::1]:8080"),
        ("http://127.0.0.1:3000", "http://127.0.0.1:3000"),
    ],
)
def test_origins_have_one_form(text: str, origin: str) -> None:
    """Lower case, no default port: as browsers send them."""
    assert parse_origin(text) == origin


@pytest.mark.parametrize(
    "text",
    ["", "null", "*", "app.example.com", "ftp://a", "https://", "https://a/", "https://a/b", "https://a?b", "https://u@a",
     "https://a:b", "https://a:123456", "https://a b", "https://a, https://b", "https://*.example.com"],
)  # fmt: skip
def test_what_is_no_origin(text: str) -> None:
    """A path, credentials, a pattern or another scheme is refused."""
    with pytest.raises(ValueError, match="an origin is"):
        parse_origin(text)


@pytest.mark.parametrize(
    ("origin", "site", "foreign"),
    [
        (None, None, False),
        (OWN, None, False),
        (OWN, "cross-site", False),
        ("https://portal.example.com:443", None, False),
        ("https://app.example.com", "same-site", False),
        ("http://localhost:5173", "cross-site", False),
        ("https://evil.example", None, True),
        ("https://evil.example", "cross-site", True),
        ("https://evil.example", "same-origin", True),
        ("https://other.example.com", "same-site", True),
        ("http://portal.example.com", None, True),
        ("http://portal.example.com", "same-origin", False),
        ("https://portal.example.com:8443", "cross-site", True),
        ("https://portal.example.com.evil.example", "same-origin", True),
        ("null", None, True),
        ("null", "same-origin", True),
        ("", None, True),
        ("junk", "none", True),
        (None, "same-origin", False),
        (None, "none", False),
        (None, "same-site", True),
        (None, "cross-site", True),
        (None, "whatever", True),
    ],
)
def test_whose_page_it_was(origin: str | None, site: str | None, foreign: bool) -> None:
    """Origin first, then Sec-Fetch-Site; who says neither is no browser."""
    headers: Headers = []
    if origin is not None:
        headers.append((b"Origin", origin.encode()))
    if site is not None:
        headers.append((b"Sec-Fetch-Site", site.encode()))
    assert is_foreign(headers, OWN, ALLOWED) is foreign


def test_one_foreign_origin_of_several_is_enough() -> None:
    """No browser sends two; whoever does may not choose which one counts."""
    headers = [(b"Origin", OWN.encode()), (b"origin", b"https://evil.example")]
    assert is_foreign(headers, OWN, ALLOWED)


@pytest.mark.parametrize("site", [None, b"same-origin"])
def test_an_unknown_place_has_no_own_origin(site: bytes | None) -> None:
    """Without a usable Host nobody's page is ours."""
    headers: Headers = [(b"Origin", OWN.encode())]
    if site is not None:
        headers.append((b"Sec-Fetch-Site", site))
    assert is_foreign(headers, "", ())
