"""An upstream that follows a script, exchanges and bodies, for the tests of the retry room."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

from gateway.errors import GatewayError
from gateway.events import Event
from gateway.exchange import Body, Buffered, Exchange, Headers, Reply


class Answer:
    """The body of an answer, which knows whether it was closed."""

    length = None

    def __init__(self, *pieces: bytes | Exception) -> None:
        self._pieces = pieces or (b"answer",)
        self.given = 0
        self.closed = 0

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self._pieces:
            if isinstance(piece, Exception):
                raise piece
            self.given += 1
            yield piece

    async def aclose(self) -> None:
        self.closed += 1


class Upstream:
    """Does one step of its script a call: a status is answered, `unsent` and `broken` are failures before and after
    the first byte, an error is raised as it is. When the script is over it answers 200."""

    def __init__(self, *script: int | str | BaseException, headers: Headers | None = None) -> None:
        self.script = list(script)
        self.headers = headers or []
        self.contents: list[bytes] = []
        self.bodies: list[Answer] = []

    async def __call__(self, exchange: Exchange) -> Reply:
        step = self.script.pop(0) if self.script else 200
        exchange.sent = False
        if exchange.before_send is not None and step != "unsent":
            await exchange.before_send()
        self.contents.append(b"".join([piece async for piece in exchange.body]))
        exchange.sent = step != "unsent"
        if isinstance(step, str):
            raise GatewayError("upstream-unreachable", private=step)
        if isinstance(step, BaseException):
            raise step
        self.bodies.append(Answer())
        return Reply(step, list(self.headers), self.bodies[-1])


class Pieces:
    """A request's content that arrives piece by piece; `before` is awaited before each, an exception is raised."""

    def __init__(
        self, *pieces: bytes | Exception, length: int | None = None, before: Callable[[], Any] | None = None
    ) -> None:
        self._pieces = pieces
        self._before = before
        self.length = length
        self.taken = 0

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self._pieces:
            if self._before is not None:
                await self._before()
            if isinstance(piece, Exception):
                raise piece
            self.taken += 1
            yield piece

    async def aclose(self) -> None:
        return None


class Events:
    """Keeps what is reported."""

    def __init__(self) -> None:
        self.seen: list[Event] = []

    def __call__(self, event: Event) -> None:
        self.seen.append(event)

    def of(self, kind: type[Event]) -> list[Any]:
        return [event for event in self.seen if isinstance(event, kind)]


def exchange(method: str = "GET", body: Body | None = None) -> Exchange:
    return Exchange(method, b"/", [], body or Buffered())


class Hand:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now

    def wall(self) -> float:
        return self.now
