"""The backend's answer to a login: untouched, or given the pair."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import AsyncIterator

import pytest

from gateway.exchange import Buffered, Headers, Reply, header, read_all
from gateway.tokens.answer import MAX_ANSWER, Answer, Delivered, look_into
from gateway.tokens.carrier import CookieCarrier, JsonCarrier
from gateway.tokens.dialect import Pair
from gateway.tokens.settings import CookieSettings

PAIR = Pair("A", "R", 900, 604_800)
JSON: Headers = [(b"Content-Type", b"application/json; charset=utf-8")]


class Streamed:
    """A body of chunks, of unknown length, that notes how far it was read and that it was closed."""

    def __init__(self, *chunks: bytes, length: int | None = None) -> None:
        self.chunks = list(chunks)
        self.length = length
        self.closed = False
        self.read = 0

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for chunk in self.chunks:
            self.read += 1
            yield chunk

    async def aclose(self) -> None:
        self.closed = True


async def _never() -> None:
    pytest.fail("the answer was delivered")


async def _answer(reply: Reply) -> Answer:
    answer = await look_into(reply)
    assert answer is not None
    return answer


async def test_a_json_answer_is_given_the_pair() -> None:
    """Members of the same names are replaced, others keep their place; what described the old bytes is gone."""
    headers: Headers = [
        (b"content-type", b"application/json"), (b"ETag", b'"x"'), (b"X-Twice", b"1"), (b"Content-Length", b"52"),
        (b"Cache-Control", b"public"), (b"Digest", b"sha-256=x"), (b"X-Twice", b"2"), (b"Set-Cookie", b"theme=dark"),
    ]  # fmt: skip
    reply = Reply(201, headers, Streamed(b'{"refreshToken":"old",', b'"user":{"id":1.50}}'), b"Made")
    given = (await _answer(reply)).with_pair(PAIR, JsonCarrier(), _never)
    content = await read_all(given.body, 1000)
    assert content == b'{"refreshToken":"R","user":{"id":1.50},"accessToken":"A","expiresIn":900,"tokenType":"Bearer"}'
    assert (given.status, given.reason) == (201, b"Made")
    assert given.headers == [
        (b"content-type", b"application/json"), (b"X-Twice", b"1"), (b"X-Twice", b"2"), (b"Set-Cookie", b"theme=dark"),
        (b"Content-Length", b"%d" % len(content)), (b"Cache-Control", b"no-store"), (b"Pragma", b"no-cache"),
    ]  # fmt: skip


async def test_a_cookie_answer_loses_its_tokens() -> None:
    """Tokens travel in cookies only; the backend's cookies and members of the same names give way."""
    headers: Headers = [*JSON, (b"Set-Cookie", b"refresh_token=theirs; Path=/"), (b"Set-Cookie", b"theme=dark")]
    body = Buffered(b'{"accessToken":"old","ok":true,"expiresIn":5}')
    given = (await _answer(Reply(200, headers, body))).with_pair(PAIR, CookieCarrier(CookieSettings()), _never)
    assert await read_all(given.body, 1000) == b'{"ok":true,"expiresIn":900}'
    cookies = [value.partition(b";")[0] for name, value in given.headers if name == b"Set-Cookie"]
    assert cookies == [b"theme=dark", b"access_token=A", b"refresh_token=R"]


@pytest.mark.parametrize(
    ("status", "kind", "content"),
    [
        (401, b"application/json", b"{}"),
        (302, b"application/json", b"{}"),
        (200, b"text/html", b"{}"),
        (200, b"application/jsonp", b"{}"),
        (200, b"text/x+json", b"{}"),
        (200, b"application/json", b"[]"),
        (200, b"application/json", b"not json"),
        (204, b"application/json", b""),
    ],
)
async def test_other_answers_are_not_looked_into(status: int, kind: bytes, content: bytes) -> None:
    """Not 2xx, not JSON, not an object: the reply is as it was, to the byte."""
    reply = Reply(status, [(b"Content-Type", kind)], Streamed(content))
    assert await look_into(reply) is None
    assert reply.headers == [(b"Content-Type", kind)]
    assert await read_all(reply.body, 1000) == content


@pytest.mark.parametrize("kind", [b"application/json", b"Application/JSON;charset=utf-8", b"application/vnd.api+json"])
async def test_json_has_several_names(kind: bytes) -> None:
    """Structured suffixes and parameters count as JSON (RFC 6839)."""
    assert await look_into(Reply(200, [(b"Content-Type", kind)], Buffered(b"{}"))) is not None


async def test_an_answer_too_large_is_put_back_whole() -> None:
    """What was read of it comes first, the rest streams behind, and the inner body is closed with it."""
    chunk = b"x" * (MAX_ANSWER // 2 + 1)
    inner = Streamed(chunk, chunk, chunk, chunk)
    reply = Reply(200, list(JSON), inner)
    assert await look_into(reply) is None
    assert inner.read == 2
    assert reply.body.length is None
    assert await read_all(reply.body, 10 * MAX_ANSWER) == chunk * 4
    assert inner.closed


async def test_an_answer_known_to_be_too_large_is_not_read() -> None:
    """A declared length above the bound leaves the stream alone."""
    inner = Streamed(b"{}", length=MAX_ANSWER + 1)
    assert await look_into(Reply(200, list(JSON), inner)) is None
    assert inner.read == 0


@pytest.mark.parametrize("encoding", [b"gzip", b"GZIP", b"x-gzip", b"deflate"])
async def test_an_answer_encoded_nevertheless_is_decoded(encoding: bytes) -> None:
    """The pair goes into the decoded content, and the encoding is no longer claimed."""
    encoded = zlib.compress(b'{"a":1}') if encoding == b"deflate" else gzip.compress(b'{"a":1}')
    reply = Reply(200, [*JSON, (b"Content-Encoding", encoding)], Buffered(encoded))
    given = (await _answer(reply)).with_pair(PAIR, CookieCarrier(CookieSettings()), _never)
    assert header(given.headers, b"content-encoding") is None
    assert await read_all(given.body, 1000) == b'{"a":1}'


@pytest.mark.parametrize(
    ("encoding", "content"),
    [(b"br", b"\x0b\x01"), (b"gzip", b"broken"), (b"gzip", gzip.compress(b"{}")[:-6]),
     (b"gzip", gzip.compress(b" " * (MAX_ANSWER + 1) + b"{}"))],
    ids=["unknown", "broken", "cut", "bomb"],
)  # fmt: skip
async def test_an_encoding_that_cannot_be_undone_passes(encoding: bytes, content: bytes) -> None:
    """An unknown encoding, broken bytes or a bomb: the answer goes on as it came."""
    reply = Reply(200, [*JSON, (b"Content-Encoding", encoding)], Buffered(content))
    assert await look_into(reply) is None
    assert await read_all(reply.body, 2 * MAX_ANSWER) == content


async def test_a_body_read_to_its_end_is_delivered() -> None:
    """Closed after its end, any number of times, nothing is taken back."""
    body = Delivered(b"content", _never)
    assert [chunk async for chunk in body] == [b"content"]
    await body.aclose()
    await body.aclose()


@pytest.mark.parametrize("chunks", [0, 1])
async def test_a_body_closed_early_is_lost_once(chunks: int) -> None:
    """Closed before anything or before its end was read, `lost` runs, and only once."""
    lost: list[bool] = []

    async def note() -> None:
        lost.append(True)

    body = Delivered(b"content", note)
    if chunks:
        assert await anext(aiter(body)) == b"content"
    await body.aclose()
    await body.aclose()
    assert lost == [True]
