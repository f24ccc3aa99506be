"""What is found in the backend's answers."""

from __future__ import annotations

import gzip
import json

import pytest

from gateway.exchange import Buffered, Headers, Reply
from gateway.tokens.guard_answer import Bringing, Reader, Verbatim, packed, unpacked, user_in
from tests.tokens.guard_support import guard_settings, jwt_like

JSON: Headers = [(b"Content-Type", b"application/json; charset=utf-8")]
COOKIE = (b"Set-Cookie", b'refresh_token="hush-c"; Path=/; HttpOnly')


def body(**members: object) -> Buffered:
    return Buffered(json.dumps(members).encode())


async def brought(reply: Reply, **changes: object) -> Bringing:
    return await Reader(guard_settings(**changes)).read(reply)


async def test_json_members_of_the_dialect() -> None:
    """`refreshToken` in camel, `refresh_token` in oauth2, and the subject where the configuration points."""
    content = {"refreshToken": "hush-a", "refresh_token": "hush-b", "user": {"id": 7}}
    assert await brought(Reply(200, JSON, body(**content))) == Bringing(("hush-a",), "7")
    assert await brought(Reply(201, JSON, body(**content)), dialect="oauth2") == Bringing(("hush-b",), "7")


@pytest.mark.parametrize("kind", [b"application/json", b"text/json;charset=utf-8", b"application/vnd.shop+json"])
async def test_what_backends_take_for_json(kind: bytes) -> None:
    """Its several media types, a byte order mark in front (RFC 8259 section 8.1 lets readers ignore one)."""
    reply = Reply(200, [(b"Content-Type", kind)], Buffered(b'\xef\xbb\xbf{"refreshToken":"hush-a","user":{"id":7}}'))
    assert await brought(reply) == Bringing(("hush-a",), "7")
    assert isinstance(reply.body, Buffered)
    assert reply.body.content.startswith(b"\xef\xbb\xbf")


async def test_cookies_after_the_carrier() -> None:
    """A cookie counts where tokens travel in cookies, JSON where they travel in JSON, one token once."""
    reply = Reply(200, [*JSON, COOKIE, (b"set-cookie", b"refresh_token=hush-a; Path=/x")], body(refreshToken="hush-a"))
    assert (await brought(reply)).tokens == ("hush-a",)
    assert (await brought(reply, carrier="cookie")).tokens == ("hush-c", "hush-a")
    assert (await brought(reply, carrier="both")).tokens == ("hush-a", "hush-c")


@pytest.mark.parametrize(
    "reply",
    [
        Reply(401, JSON, body(refreshToken="hush-a")),
        Reply(200, [], body(refreshToken="hush-a")),
        Reply(200, JSON, body(refreshToken=["hush-a"])),
        Reply(200, JSON, body(refreshToken="")),
        Reply(200, JSON, body(refreshToken="x" * 9000)),
        Reply(200, JSON, Buffered(b"[1]")),
        Reply(200, [(b"Set-Cookie", b"refresh_token=; Max-Age=0"), (b"Set-Cookie", b"Refresh_Token=hush-a")]),
        Reply(200, [(b"Set-Cookie", b"refresh_token=deleted; expires=Thu, 01-Jan-1970 00:00:01 GMT; Max-Age=0")]),
        Reply(200, [(b"Set-Cookie", b"refresh_token=hush-a;max-age = -1")]),
    ],
)
async def test_nothing_is_brought(reply: Reply) -> None:
    """Failures, other media types and other shapes bring no token; neither does a cookie that is cleared."""
    assert (await brought(reply, carrier="both")).tokens == ()


async def test_an_encoded_answer_is_read_and_stays_as_it_is() -> None:
    """A backend that encodes although it was asked not to is understood, and its bytes are left alone."""
    content = gzip.compress(b'{"refreshToken":"hush-a"}')
    reply = Reply(200, [*JSON, (b"Content-Encoding", b"gzip")], Buffered(content))
    assert (await brought(reply)).tokens == ("hush-a",)
    assert isinstance(reply.body, Buffered)
    assert reply.body.content == content


def test_packing_keeps_every_byte() -> None:
    """Status, reason, order, case, duplicates and odd bytes of the header section, and the content."""
    answer = Verbatim(207, b"Odd \xe9", ((b"X-a", b"\xff\x01"), (b"x-A", b""), (b"X-a", b"2")), b"\n\n\x00{}")
    assert unpacked(packed(answer)) == answer
    assert "\\n" not in repr(answer)


@pytest.mark.parametrize(
    ("token", "user"),
    [
        (jwt_like(sub="ann"), "ann"),
        (jwt_like(userId=7), "7"),
        (jwt_like(sub="ann", userId=7), "ann"),
        (jwt_like(sub=["ann"]), None),
        (jwt_like(name="ann"), None),
        ("hush-opaque", None),
        ("a.b.c", None),
        ("a.W10.c", None),
        ("ä.ö.ü", None),
    ],
)
def test_hints_of_a_jwt(token: str, user: str | None) -> None:
    """`sub`, else `userId`; whatever else a token is, nothing is read from it."""
    assert user_in(token) == user
