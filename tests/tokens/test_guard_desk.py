"""What requests present, and which of several counts."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import pytest

from gateway.errors import GatewayError
from gateway.exchange import Buffered, Exchange, Headers, read_all
from gateway.tokens.guard_content import only_cookie, readable
from gateway.tokens.guard_desk import GuardDesk
from gateway.tokens.keys import Keys
from tests.tokens.guard_support import guard_settings, jwt_like, memory_store
from tests.tokens.support import SetClock


class Streamed:
    """A body that comes in pieces."""

    length = None

    def __init__(self, *chunks: bytes) -> None:
        self.chunks = chunks
        self.closed = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for chunk in self.chunks:
            yield chunk

    async def aclose(self) -> None:
        self.closed = True


def desk(**changes: object) -> GuardDesk:
    settings = guard_settings(**changes)
    return GuardDesk(settings, Keys(settings), memory_store(SetClock())[0])


@pytest.mark.parametrize(
    "content",
    [b"", b"{}", b"[]", b"7", b"{", b'{"refreshToken":7}', b'{"refreshToken":["hush-a"]}', b'{"refreshToken":""}',
     b'{"refreshToken":"' + b"x" * 8193 + b'"}', b" " * 20_000, b'{"refreshToken":"hush-\\u0000"}',
     b'{"refreshToken":"hush-\\r\\nX: y"}', b'{"refreshToken":"hush-\\u007f"}', b'\xff\xfe\x00'],
)  # fmt: skip
async def test_what_is_no_token_is_refused(content: bytes) -> None:
    """Case 35: oversized, empty, or of another shape: 400 and no key is made of it."""
    with pytest.raises(GatewayError) as refused:
        await desk().shown(Exchange("POST", b"/refresh", body=Buffered(content)))
    assert refused.value.code == "invalid-request"


async def test_whatever_a_backend_mints_is_a_token() -> None:
    """Any text is taken, padded JWTs and odd letters included; only a hash of it becomes a key."""
    for text in ("hush-é ü", jwt_like(sub="42") + "=", "hush-a.b.c==", "hush-*'();:@&,/?#[]"):
        body = Buffered(json.dumps({"refreshToken": text}).encode())
        (shown,) = await desk().shown(Exchange("POST", b"/refresh", body=body))
        assert shown.text == text
        assert shown.name.isalnum()


@pytest.mark.parametrize("name", [b"refresh_token", b"refresh.token", b"refresh%5Ftoken", b"REFRESH-TOKEN[]"])
async def test_a_token_in_the_url_is_refused(name: bytes) -> None:
    """Case 36: it counts as not presented, whatever else the request brings."""
    exchange = Exchange("POST", b"/refresh?a=1&" + name + b"=hush-x", body=Buffered(b'{"refreshToken":"hush-a"}'))
    for presented in (desk().shown, desk().shown_at_logout):
        with pytest.raises(GatewayError) as refused:
            await presented(exchange)
        assert refused.value.code == "invalid-request"


async def test_what_was_read_can_still_be_forwarded() -> None:
    """The content is put back, also one that is too large to hold a token, and its end is reached."""
    exchange = Exchange("POST", b"/logout", body=Streamed(b'{"refreshToken":', b'"hush-a"}'))
    (shown,) = await desk().shown_at_logout(exchange)
    assert shown.text == "hush-a"
    assert await read_all(exchange.body, 100) == b'{"refreshToken":"hush-a"}'
    large = Streamed(b"x" * 16_000, b"y" * 16_000, b"z")
    exchange = Exchange("POST", b"/logout", body=large)
    assert await desk().shown_at_logout(exchange) == []
    assert await read_all(exchange.body, 100_000) == b"x" * 16_000 + b"y" * 16_000 + b"z"
    assert large.closed


async def test_a_large_logout_with_a_cookie_is_understood() -> None:
    """A cookie counts whatever the content is."""
    exchange = Exchange("POST", b"/logout", [(b"Cookie", b"refresh_token=hush-a")], Streamed(b"x" * 20_000, b"y"))
    (shown,) = await desk(carrier="cookie").shown_at_logout(exchange)
    assert shown.text == "hush-a"
    assert len(await read_all(exchange.body, 100_000)) == 20_001


async def test_a_jwt_that_can_be_read_in_two_ways_is_refused() -> None:
    """given padding inside of a part, where some decoders end and others go on: it could dodge its record."""
    body = Buffered(json.dumps({"refreshToken": jwt_like(sub="42") + "=AAAA"}).encode())
    with pytest.raises(GatewayError) as refused:
        await desk().shown(Exchange("POST", b"/refresh", body=body))
    assert refused.value.code == "invalid-request"


async def test_spellings_of_one_cookie_are_one_token() -> None:
    """given duplicates that a backend would take for the same token, then they are presented once."""
    headers: Headers = [(b"Cookie", b"refresh_token=hush-a/b=; refresh_token=%68ush-a%2Fb%3D; refresh_token=hush-c")]
    shown = await desk(carrier="cookie").shown(Exchange("POST", b"/refresh", headers))
    assert len(shown) == 2


def test_fields_that_are_forwarded() -> None:
    """The answer is asked for in a form that can be read; everything else passes."""
    headers: Headers = [(b"accept-Encoding", b"br"), (b"X-A", b"\xff"), (b"Cookie", b"a=1")]
    assert readable(headers) == [(b"X-A", b"\xff"), (b"Cookie", b"a=1"), (b"Accept-Encoding", b"identity")]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ([b"a=1; r=x; b=2"], [b"a=1; r=x; b=2"]),
        ([b"r=x; r=x"], [b"r=x; r=x"]),
        ([b"r=y; a=1; r=x", b"r=z"], [b"a=1; r=x"]),
        ([b"r=y", b"r=x"], [b"r=x"]),
        ([b"r=y; a=1; r=z"], [b"a=1"]),
        ([b"r =y; r=x; a=1"], [b"a=1; r=x"]),
        ([b'a=1; r="x"'], [b'a=1; r="x"']),
        ([b"%72=y; r=x; r[]=z; a=1"], [b"a=1; r=x"]),
        ([b"a=1; r[0]=y"], [b"a=1"]),
    ],
)
def test_the_backend_sees_the_cookie_that_counts(before: list[bytes], after: list[bytes]) -> None:
    """given duplicates, then only the one that was claimed is left, and none if it came in the content."""
    headers: Headers = [(b"Cookie", line) for line in before]
    assert [value for _, value in only_cookie(headers, b"r", "x")] == after
