"""Tokens of the backend's that were given back as still good while Redis could not judge them.

The one idea: as in `promises`: what the gateway says of a token, it stands by. A token that had been spent, and whose
grace was not over when it came, has its answer given again until its successor is used, however late the client comes
back. Of a token that was not spent there is nothing to keep: it is as good as ever.

A promise is told when no forward can be under way any more that was when it was made, and is written into the token's
record, so that every replica keeps it. It is lost with the process that made it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Final

from gateway.clock import SYSTEM, Clock
from gateway.tokens.guard_store import ANSWER_SLACK_MS, CLAIM_MS
from gateway.tokens.outbox import Outbox

PATIENCE: Final = CLAIM_MS / 1000
"""Seconds after which whatever was asked before has been written down, or has run out."""


@dataclass(frozen=True, slots=True, eq=False)
class _Promise:
    name: str
    asked: float
    expires: float

    @property
    def due(self) -> float:
        """When it is told (monotonic s)."""
        return self.asked + PATIENCE


class GuardPromises:
    """Makes promises and has the store keep them, by `keep`, which is told a token's name and how many ms ago."""

    def __init__(self, keep: Callable[[str, int], Awaitable[None]], clock: Clock = SYSTEM) -> None:
        self._keep = keep
        self._clock = clock
        self._open: Outbox[str, _Promise] = Outbox(self._told, clock)

    def make(self, names: Iterable[str], asked: float) -> None:
        """Note that a token of `asked` (monotonic s) is given back as good; of several times the first one counts.

        It means nothing any more when the answer is surely gone.
        """
        expires = self._clock.wall() + ANSWER_SLACK_MS / 1000
        for name in names:
            if self._open.get(name) is None:
                self._open.put(name, _Promise(name, asked, expires))

    def ago(self, name: str) -> int:
        """Return how many ms ago a token was promised to be good; 0: it was not."""
        promise = self._open.get(name)
        return 0 if promise is None else max(1, self._since(promise))

    def judged(self, name: str) -> None:
        """Forget the promise of a token that the store has judged without its help."""
        self._open.drop(name)

    async def run(self) -> None:
        """Tell the store of every promise, for ever."""
        await self._open.run()

    async def _told(self, promise: _Promise) -> None:
        await self._keep(promise.name, self._since(promise))

    def _since(self, promise: _Promise) -> int:
        return round(1000 * (self._clock.monotonic() - promise.asked))
