"""The vocabulary."""

from __future__ import annotations

import pytest

from gateway.errors import GatewayError
from gateway.exchange import (
    Buffered,
    Exchange,
    Handler,
    Released,
    Reply,
    chain,
    header,
    header_values,
    read_all,
    without,
)


def test_headers_are_found_whatever_their_case_and_kept_in_order() -> None:
    """Look-ups ignore case, return the first or all, and dropping a name leaves the rest alone."""
    headers = [(b"X-A", b"1"), (b"x-a", b"2"), (b"B", b"3")]
    assert header(headers, b"x-a") == b"1"
    assert header(headers, b"c") is None
    assert header_values(headers, b"x-a") == [b"1", b"2"]
    assert without(headers, frozenset({b"x-a"})) == [(b"B", b"3")]


async def test_the_first_layer_is_outermost() -> None:
    """A chain is entered in the order of its list and left in the reverse order."""
    trail: list[str] = []

    class Frame:
        def __init__(self, name: str) -> None:
            self.name = name

        async def handle(self, exchange: Exchange, forward: Handler) -> Reply:
            trail.append(f"in {self.name}")
            reply = await forward(exchange)
            trail.append(f"out {self.name}")
            return reply

    async def end(exchange: Exchange) -> Reply:
        trail.append("end")
        return Reply(200)

    await chain([Frame("a"), Frame("b")], end)(Exchange("GET", b"/"))
    assert trail == ["in a", "in b", "end", "out b", "out a"]


async def test_a_body_is_read_whole_up_to_its_limit() -> None:
    """One byte more than the limit is a 413; the body is closed either way."""
    closed: list[bool] = []

    def body() -> Released:
        return Released(Buffered(b"12345"), lambda: closed.append(True))

    assert await read_all(body(), 5) == b"12345"
    with pytest.raises(GatewayError) as error:
        await read_all(body(), 4)
    assert error.value.status == 413
    assert closed == [True, True]


async def test_what_a_body_holds_is_released_once() -> None:
    """Closing twice releases once."""
    count: list[int] = []
    body = Released(Buffered(b"x"), lambda: count.append(1))
    assert body.length == 1
    await body.aclose()
    await body.aclose()
    assert count == [1]
