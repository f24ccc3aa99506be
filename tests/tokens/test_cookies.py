"""The Cookie field of requests, read and shortened."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.exchange import Exchange, Reply
from gateway.tokens.cookies import RefreshCookieLayer, values_of, without_cookie

NAME = b"refresh_token"


@pytest.mark.parametrize(
    ("value", "rest"),
    [
        (b"refresh_token=a", None),
        (b"refresh_token=a; refresh_token=b", None),
        (b"refresh_token=a; ", None),
        (b"x=1; refresh_token=a", b"x=1"),
        (b"refresh_token=a; x=1", b"x=1"),
        (b"x=1; refresh_token=a; y=2", b"x=1; y=2"),
        (b"x=1;refresh_token=a;y=2", b"x=1;y=2"),
        (b"x=1;  refresh_token=a;   y=2", b"x=1;   y=2"),
        (b"refresh_token=a; x=1; refresh_token=b; y", b"x=1; y"),
        (b" refresh_token = a; x=1", b"x=1"),
        (b"refresh_token=a;;x=\xff", b";x=\xff"),
        (b'x=1; refresh_token="a=b"; y="2"', b'x=1; y="2"'),
    ],
)
def test_a_cookie_is_cut_out(value: bytes, rest: bytes | None) -> None:
    """Just that pair goes, with one separator; the other bytes stay; a field with nothing left goes."""
    kept = without_cookie([(b"A", b"1"), (b"cOOkie", value), (b"B", b"2")], NAME)
    assert kept == [(b"A", b"1"), *([] if rest is None else [(b"cOOkie", rest)]), (b"B", b"2")]


@pytest.mark.parametrize(
    "value",
    [b"", b"x=1", b"xrefresh_token=1", b"refresh_tokenx=1", b"REFRESH_TOKEN=1", b"x=refresh_token=1", b"refresh_token",
     b"access_token=a; theme=dark ;"],
)  # fmt: skip
def test_other_cookies_keep_every_byte(value: bytes) -> None:
    """A name that only looks alike, an empty field or odd blanks: nothing changes."""
    headers = [(b"Cookie", value), (b"X", b"refresh_token=1"), (b"Cookie", b"")]
    assert without_cookie(headers, NAME) == headers


def test_without_the_cookie_nothing_is_copied() -> None:
    """Most requests have none: the very same list goes on."""
    headers = [(b"Host", b"x"), (b"Cookie", b"theme=dark")]
    assert without_cookie(headers, NAME) is headers


def test_every_field_is_looked_at() -> None:
    """HTTP/2 clients may split cookies over several fields (RFC 9113 section 8.2.3)."""
    headers = [(b"Cookie", b"a=1"), (b"Cookie", b"refresh_token=x"), (b"cookie", b"refresh_token=y; b=2")]
    assert values_of(headers, NAME) == ["x", "y"]
    assert without_cookie(headers, NAME) == [(b"Cookie", b"a=1"), (b"cookie", b"b=2")]


@given(st.lists(st.sampled_from([b"refresh_token=t", b" refresh_token=t", b"a=1", b" b=2", b"", b" ", b" c"])))
def test_what_is_left_is_what_was_besides(pairs: list[bytes]) -> None:
    """Whatever the order: no such cookie is left, and all others are, in their order."""
    (*_, (_, rest)) = [(b"", b""), *without_cookie([(b"Cookie", b";".join(pairs))], NAME)]
    assert values_of([(b"cookie", rest)], NAME) == []
    left = [pair.strip() for pair in rest.split(b";") if pair.strip()]
    assert left == [pair.strip() for pair in pairs if pair.strip() and not pair.strip().startswith(NAME)]


async def test_the_layer_forwards_without_it() -> None:
    """The backend sees the access cookie and not the refresh cookie."""
    seen: list[Exchange] = []

    async def forward(exchange: Exchange) -> Reply:
        seen.append(exchange)
        return Reply(200)

    headers = [(b"Cookie", b"access_token=hush-a; refresh_token=hush-r")]
    await RefreshCookieLayer("refresh_token").handle(Exchange("GET", b"/", headers), forward)
    assert seen[0].headers == [(b"Cookie", b"access_token=hush-a")]
