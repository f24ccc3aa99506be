"""How tokens travel."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.errors import GatewayError
from gateway.exchange import Buffered, Exchange, header_values
from gateway.tokens.carrier import (
    MAX_BODY,
    MAX_PRESENTED,
    BothCarrier,
    CookieCarrier,
    JsonCarrier,
    carrier_of,
    refuse_query,
)
from gateway.tokens.dialect import Camel, OAuth2, Pair
from gateway.tokens.settings import CookieSettings
from tests.tokens.support import token_settings

PAIR = Pair("hush-access", "hush-refresh", 900, 604_800)


def _body(content: bytes) -> Exchange:
    return Exchange("POST", b"/refresh", [], Buffered(content))


def _cookies(*lines: bytes) -> Exchange:
    return Exchange("POST", b"/refresh", [(b"Cookie", line) for line in lines])


@pytest.mark.parametrize(
    ("content", "tokens"),
    [(b'{"refreshToken":"a"}', ["a"]), (b"", []), (b"  ", []), (b"{}", []), (b'{"refreshToken":null}', [])],
)
async def test_a_json_body_brings_at_most_one(content: bytes, tokens: list[str]) -> None:
    """The member `refreshToken`; none in an empty body or an object without it."""
    assert await JsonCarrier().presented(_body(content)) == tokens


@pytest.mark.parametrize(
    "content",
    [b"{", b"[]", b'"x"', b"\xff", b'{"refreshToken":{}}', b'{"refreshToken":[]}', b'{"refreshToken":5}',
     b'{"refreshToken":"' + b"x" * MAX_BODY + b'"}', b"[" * 10_000],
    ids=range(9),
)  # fmt: skip
async def test_another_body_is_an_invalid_request(content: bytes) -> None:
    """Broken JSON, another type, too large, too deep: 400."""
    with pytest.raises(GatewayError, match="invalid-request"):
        await JsonCarrier().presented(_body(content))


@pytest.mark.parametrize(
    ("lines", "tokens"),
    [
        ([b"refresh_token=a"], ["a"]),
        ([b"x=1; refresh_token=a; y=2"], ["a"]),
        ([b"x=1;refresh_token=a;refresh_token=b", b"refresh_token=c;  refresh_token=a"], ["a", "b", "c"]),
        ([b'refresh_token="a"'], ["a"]),
        ([b"refresh_token=; refresh_token"], []),
        ([b"Refresh_Token=a; xrefresh_token=b; refresh_tokenx=c"], []),
        ([], []),
    ],
)
async def test_cookies_bring_all_of_one_name(lines: list[bytes], tokens: list[str]) -> None:
    """Every cookie of the name, over all Cookie fields, in their order, each once; names are case-sensitive."""
    assert await CookieCarrier(CookieSettings()).presented(_cookies(*lines)) == tokens


async def test_short_cookies_never_hide_a_long_one() -> None:
    """However many cookies of the name there are, the number is bounded, and the longest are among them."""
    good = ".".join(["g" * 100] * 3)
    junk = [f"a{number}.b.c" for number in range(1000)]
    line = "; ".join(f"refresh_token={value}" for value in [*junk, good]).encode()
    found = await CookieCarrier(CookieSettings()).presented(_cookies(line))
    assert (len(found), good in found) == (MAX_PRESENTED, True)


async def test_of_opaque_cookies_few_count() -> None:
    """Where nothing tells a good one, a store is asked about each: eight at most, those like a JWT first."""
    values = [*(f"opaque{number}" for number in range(9)), "a.b.c"]
    line = "; ".join(f"refresh_token={value}" for value in values).encode()
    guard = carrier_of(token_settings(carrier="cookie", mode="guard"))
    assert await guard.presented(_cookies(line)) == ["a.b.c", *values[:7]]


@pytest.mark.parametrize(
    "target",
    [
        b"/r?refreshToken=x",
        b"/r?a=1&refresh_token=x",
        b"/r?%72efreshToken=x",
        b"/r?REFRESHTOKEN=",
        b"/r?a=1&refreshToken",
    ],
)
def test_a_token_in_the_query_is_refused(target: bytes) -> None:
    """However it is spelled: URLs end up in logs."""
    with pytest.raises(GatewayError, match="invalid-request"):
        refuse_query(Exchange("POST", target))


@pytest.mark.parametrize("target", [b"/r", b"/r?", b"/r?next=/refreshToken", b"/refreshToken"])
def test_another_query_is_fine(target: bytes) -> None:
    """Only a parameter of the name counts."""
    refuse_query(Exchange("POST", target))


@pytest.mark.parametrize(
    ("settings", "attributes"),
    [
        ({}, "Path=/; HttpOnly; SameSite=Lax; Secure"),
        ({"secure": False, "same_site": "strict"}, "Path=/; HttpOnly; SameSite=Strict"),
        (
            {"path": "/api", "same_site": "none", "domain": "example.com"},
            "Path=/api; HttpOnly; SameSite=None; Secure; Domain=example.com",
        ),
    ],
)
def test_cookies_carry_the_configured_attributes(settings: dict[str, Any], attributes: str) -> None:
    """HttpOnly always; the rest as configured; each cookie lives as long as its token; clearing ends both at once."""
    carrier = CookieCarrier(CookieSettings(**settings))
    names = [value.decode() for value in header_values(carrier.set_headers(PAIR), b"set-cookie")]
    assert (names == [
        f"access_token=hush-access; Max-Age=900; {attributes}",
        f"refresh_token=hush-refresh; Max-Age=604800; {attributes}",
    ]) is True  # fmt: skip
    cleared = [value.decode() for value in header_values(carrier.clear_headers(), b"set-cookie")]
    assert cleared == [f"access_token=; Max-Age=0; {attributes}", f"refresh_token=; Max-Age=0; {attributes}"]


def test_a_pair_does_not_show_its_tokens() -> None:
    """Printing a pair tells times only."""
    assert "hush-" not in repr(PAIR)


@pytest.mark.parametrize(
    ("settings", "kind"), [("json", JsonCarrier), ("cookie", CookieCarrier), ("both", BothCarrier)]
)
def test_the_configured_carrier(settings: str, kind: type) -> None:
    """One for each value of the key."""
    assert type(carrier_of(token_settings(carrier=settings))) is kind


@pytest.mark.parametrize(
    ("content", "tokens"),
    [
        (b'{"refreshToken":"body"}', ["body"]),
        (b'{"refreshToken":""}', [""]),
        (b"{}", ["cookie", "other"]),
        (b"", ["cookie", "other"]),
    ],
)
async def test_both_reads_the_body_before_the_cookies(content: bytes, tokens: list[str]) -> None:
    """A token in the content is the one that is meant; cookies count only without it."""
    cookie = (b"Cookie", b"refresh_token=cookie; refresh_token=other")
    exchange = Exchange("POST", b"/refresh", [cookie], Buffered(content))
    assert await carrier_of(token_settings(carrier="both")).presented(exchange) == tokens


async def test_both_does_not_guess_at_a_broken_body() -> None:
    """Content that cannot be read is a 400, not a reason to spend the cookie's token."""
    exchange = Exchange("POST", b"/refresh", [(b"Cookie", b"refresh_token=a")], Buffered(b"{"))
    with pytest.raises(GatewayError, match="invalid-request"):
        await carrier_of(token_settings(carrier="both")).presented(exchange)


@pytest.mark.parametrize(
    ("dialect", "names"),
    [
        (Camel(), ["accessToken", "refreshToken", "expiresIn", "tokenType"]),
        (OAuth2(), ["access_token", "refresh_token", "expires_in", "token_type"]),
    ],
    ids=["camel", "oauth2"],
)
def test_both_answers_with_json_and_cookies(dialect: Camel | OAuth2, names: list[str]) -> None:
    """All four members in the dialect's names, and both cookies; cookies alone leave the tokens out of the JSON."""
    cookies = CookieCarrier(CookieSettings(), dialect)
    both = BothCarrier(JsonCarrier(dialect), cookies)
    assert list(both.members(PAIR)) == names
    assert both.adds_members
    reply = both.reply(PAIR)
    assert len(header_values(reply.headers, b"set-cookie")) == 2
    assert header_values(both.clear_headers(), b"set-cookie") == header_values(cookies.clear_headers(), b"set-cookie")
    assert both.replaces(b"Set-Cookie", b"refresh_token=x")
    assert [name for name, value in cookies.members(PAIR).items() if value is None] == names[:2]
