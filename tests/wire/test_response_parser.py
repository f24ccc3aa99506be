"""Responses in any pieces: what is read does not depend on where the bytes were cut."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.exchange import Headers
from gateway.wire.response_parser import HEAD_LIMIT, ProtocolError, ResponseParser


class Nowhere:
    """A source that expects nothing."""

    def resume(self) -> None: ...

    def abandon(self) -> None: ...

    def watch(self) -> None: ...

    def write(self, data: bytes) -> None: ...

    async def drain(self) -> None: ...


def parser(*, head: bool = False, upgrade: bool = False, told: list[object] | None = None) -> ResponseParser:
    made = ResponseParser(Nowhere())
    seen = [] if told is None else told
    made.begin(head_request=head, upgrade=upgrade, informational=lambda *interim: seen.append(interim))
    return made


def cut(data: bytes, places: list[int]) -> list[bytes]:
    """`data` in pieces, cut at the given places."""
    edges = sorted({0, len(data), *(place % (len(data) + 1) for place in places)})
    return [data[a:b] for a, b in pairwise(edges)]


WHOLE = [
    (
        b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nX-A: 1\r\nEmpty:\r\nx-a: \xff  \r\n"
        b"Transfer-Encoding: chunked\r\n\r\n5;e=1\r\nhello\r\n6\r\n world\r\n0\r\nX-T: 1\r\nX-U: 2\r\n\r\n"
    ),
    b"HTTP/1.1 200 OK\r\nX-A: 1\r\nEmpty:\r\nx-a: \xff  \r\nContent-Length: 11\r\n\r\nhello world",
]


@given(st.sampled_from(WHOLE), st.lists(st.integers(0, 1000), max_size=12))
def test_cuts_change_nothing(answer: bytes, places: list[int]) -> None:
    """Wherever a response is cut, status, fields, content and the end are the same."""
    made = parser()
    for number, piece in enumerate(pieces := cut(answer, places), 1):
        made.feed(piece)
        assert made.complete == (number == len(pieces))
    response = made.response
    assert response is not None
    assert (response.status, response.reason) == (200, b"OK")
    assert response.headers[:3] == [(b"X-A", b"1"), (b"Empty", b""), (b"x-a", b"\xff")]
    assert len(response.headers) == 4
    assert response.drain() == b"hello world"
    assert made.keep_alive


@given(st.lists(st.integers(0, 1000), max_size=12))
def test_cuts_change_nothing_of_an_upgrade(places: list[int]) -> None:
    """Wherever a 101 is cut, the bytes behind its header section belong to the tunnel."""
    made = parser(upgrade=True)
    rest = b""
    answer = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\nHTTP/1.1 200 OK"
    for piece in cut(answer, places):
        if made.response is not None and made.response.tunnel is not None:
            rest += piece
        else:
            made.feed(piece)
    assert made.response is not None
    assert made.response.tunnel is not None
    assert made.response.tunnel.drain() + rest == b"HTTP/1.1 200 OK"


@given(st.binary(max_size=200), st.lists(st.integers(0, 300), max_size=5))
def test_garbage_is_never_anything_else(garbage: bytes, places: list[int]) -> None:
    """Any bytes at all are read or refused; nothing but `ProtocolError` comes out, and no answer out of nowhere."""
    made = parser()
    try:
        for piece in cut(b"HTTP/1.1 200 OK\r\n" + garbage, places):
            made.feed(piece)
    except ProtocolError:
        return
    assert made.response is None or b"\r\n\r\n" in b"\r\n" + garbage


def test_one_parser_reads_one_response_after_the_other() -> None:
    """`begin` forgets the last response, also that of a HEAD."""
    made = parser(head=True)
    made.feed(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n")
    assert made.complete
    assert made.keep_alive
    made.begin(head_request=False, upgrade=False, informational=None)
    made.feed(b"HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nno")
    assert made.response is not None
    assert (made.response.status, made.response.drain(), made.complete) == (404, b"no", True)


def test_interim_answers_are_told_in_turn() -> None:
    """Each 1xx is told once, with its own fields, and is no answer."""
    told: list[object] = []
    made = parser(told=told)
    made.feed(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nLink: a\r\n\r\n")
    fields: Headers = [(b"Link", b"a")]
    assert told == [(100, b"Continue", []), (103, b"Early", fields)]
    assert made.response is None


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 099 Low\r\n\r\n",
        b"HTTP/1.1 199 Odd\r\nContent-Length: 3\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nContent-Length: +5\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5, 5\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551621\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: xchunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length : 5\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: a\rb\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: a\0b\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\n",
        b"HTTP/0.9 200 OK\r\n\r\n",
    ],
    ids=range(12),
)
def test_what_is_refused(answer: bytes) -> None:
    """What another reader might frame or read otherwise is an error that quotes nothing of it."""
    with pytest.raises(ProtocolError) as caught:
        parser().feed(answer)
    assert "5" not in str(caught.value)


@pytest.mark.parametrize("step", [100, 10_000, 200_000])
def test_a_header_section_has_a_limit(step: int) -> None:
    """More than the limit is refused, in one piece as in many, and what is less is not."""
    for size, fine in ((HEAD_LIMIT - 200, True), (HEAD_LIMIT + 200, False)):
        data = b"HTTP/1.1 200 OK\r\nX: " + b"x" * size + b"\r\nContent-Length: 100000\r\n\r\n" + b"y" * 100_000
        made = parser()
        try:
            for start in range(0, len(data), step):
                made.feed(data[start : start + step])
        except ProtocolError:
            assert not fine
        else:
            assert fine


@pytest.mark.parametrize(
    "junk", [b"0\r\nX: " + b"x" * 100_000, b"5;" + b"x" * 100_000, b"0\r\n" + b"A: b\r\n" * 20_000]
)
def test_trailers_and_extensions_have_a_limit(junk: bytes) -> None:
    """Endless trailer fields and chunk extensions are refused before they fill the memory."""
    made = parser()
    made.feed(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")

    def feed() -> None:
        for start in range(0, len(junk), 1000):
            made.feed(junk[start : start + 1000])

    with pytest.raises(ProtocolError):
        feed()
