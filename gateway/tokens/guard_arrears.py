"""What the backend has answered and Redis does not know of yet.

The one idea: a refresh or a login that the backend granted is a fact, whether Redis could be told or not. What could
not be written down is owed: it is written before this gateway decides anything about one of its tokens, and by itself
as soon as Redis answers. Until then a retry is answered from here, because the backend may take a token that it has
traded for stolen.

What is written late looks its token up first: the family goes on, and what ended it meanwhile wins. A token that nobody
knows begins a family at the time at which it was presented, so a revoke-all that came afterwards ends that too. One
that had been spent, and whose grace was over when it was presented, is reuse as at any other time: its family ends.

What is owed is lost with the process; and what other replicas met of it before it was written stays as they found it.
Then the successor is a token from before the gateway there, and begins a family of its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from gateway.clock import SYSTEM, Clock
from gateway.errors import StoreUnavailable
from gateway.tokens.client import Client
from gateway.tokens.guard import Commit, Lineage
from gateway.tokens.guard_steps import Deal, GuardSteps, Met

MAX_OWED: Final = 10_000
MAX_BYTES: Final = 64 * 1024 * 1024
"""Of answers; who is beyond that has them no more, and is owed all the same."""
RETRY: Final = 1.0
"""Seconds between two attempts to reach Redis."""


@dataclass(frozen=True, slots=True, eq=False)
class Owed:
    """A deal whose name and answer are found when it is written, and for a token that nobody knows the time as well."""

    names: tuple[str, ...]
    """That the presented token may be known by; none for a login."""
    deal: Deal
    asked: float
    """When the token was presented (monotonic s)."""
    client: Client
    fingerprint: str = ""
    answers: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    """The sealed answer, by the name that it is sealed under."""
    number: int = 0
    """In the order of the trades."""

    @property
    def key(self) -> str:
        """What it is found by: the presented token; a login by what it brought, which may be presented itself."""
        return self.names[0] if self.names else f"login {self.deal.successors[0]}"

    @property
    def size(self) -> int:
        """Bytes of its answers."""
        return sum(map(len, self.answers.values()))


Told = Callable[[Owed, Lineage, Commit], None]
Alarm = Callable[[Lineage], None]
Look = Callable[[tuple[str, ...]], Awaitable[tuple[Met, str]]]


class Arrears:
    """What is owed; at most `MAX_OWED` trades, the oldest go first. `run` is the lifecycle's.

    Args:
        steps: writes deals.
        look: tells what a token would meet, and under which of its names.
        told: hears of each deal that was written late.
        alarm: hears of each family that ended for reuse.
        clock: measures how long ago a token was presented.
    """

    def __init__(self, steps: GuardSteps, look: Look, told: Told, alarm: Alarm, clock: Clock = SYSTEM) -> None:
        self._steps, self._look, self._told, self._alarm, self._clock = steps, look, told, alarm, clock
        self._open: dict[str, Owed] = {}
        self._bringing: dict[str, Owed] = {}
        self._bytes = 0
        self._number = 0
        self._lock = asyncio.Lock()
        self._news = asyncio.Event()

    def __len__(self) -> int:
        return len(self._open)

    def owe(self, owed: Owed) -> None:
        """Note what could not be written. Of one token traded again all successors count, and the last answer."""
        self._number += 1
        owed = replace(owed, number=self._number)
        known = self._open.get(owed.key)
        if known is not None:
            self._forget(known)
            successors = tuple(dict.fromkeys((*known.deal.successors, *owed.deal.successors)))
            deal = replace(owed.deal, successors=successors, lineage=known.deal.lineage)
            owed = replace(owed, deal=deal, asked=known.asked, number=known.number)
        if self._bytes + owed.size > MAX_BYTES:
            owed = replace(owed, answers={})
        self._open[owed.key] = owed
        self._bringing.update(dict.fromkeys(owed.deal.successors, owed))
        self._bytes += owed.size
        if len(self._open) > MAX_OWED:
            self._forget(next(iter(self._open.values())))
        self._news.set()

    def answer(self, name: str) -> bytes | None:
        """Return the sealed answer to a token whose trade is owed, unless its successor was traded too."""
        owed = self._open.get(name)
        if owed is None or any(successor in self._open for successor in owed.deal.successors):
            return None
        return owed.answers.get(name)

    async def settle(self, names: tuple[str, ...]) -> None:
        """Write down all that leads to a token, and what it led to itself, the oldest first.

        Raises:
            StoreUnavailable: when Redis is still away.
        """
        if self._open:
            async with self._lock:
                await self._write(self._leading_to(names))

    async def run(self) -> None:
        """Write down what is owed as soon as Redis answers, for ever."""
        while True:
            await self._news.wait()
            self._news.clear()
            while self._open:
                first = next(iter(self._open.values()))
                try:
                    async with self._lock:
                        await self._write([*self._leading_to(first.names), first])
                except StoreUnavailable:
                    if self._open.get(first.key) is first:  # another one may be easier to write
                        self._open[first.key] = self._open.pop(first.key)
                    await asyncio.sleep(RETRY)

    def _leading_to(self, names: tuple[str, ...]) -> list[Owed]:
        found: dict[int, Owed] = {}
        waiting = list(names)
        while waiting:
            name = waiting.pop()
            for owed in (self._open.get(name), self._bringing.get(name)):
                if owed is not None and owed.number not in found:
                    found[owed.number] = owed
                    waiting += owed.names
        return [found[number] for number in sorted(found)]

    async def _write(self, every: list[Owed]) -> None:
        for owed in every:
            if self._open.get(owed.key) is owed:  # else it was written, or traded again, meanwhile
                await self._write_one(owed)

    async def _write_one(self, owed: Owed) -> None:
        deal = owed.deal
        met, name = await self._look(owed.names or deal.successors[:1])
        lineage = met.lineage
        if lineage is not None and not owed.names:
            self._forget(owed)  # a login whose token another replica has met by now
            return
        named = name if owed.names else ""
        ago = round(1000 * (self._clock.monotonic() - owed.asked))
        if lineage is None:
            lineage = replace(deal.lineage, auth_time=deal.lineage.auth_time or (met.now - ago) // 1000)
        elif await self._steps.was_reuse(named, ago) and await self._steps.end(lineage, "reused", met.now):
            self._alarm(lineage)
        turned = await self._steps.commit(replace(deal, name=named, lineage=lineage, answer=owed.answers.get(named)))
        if self._open.get(owed.key) is owed:
            self._forget(owed)
        self._told(owed, lineage, turned)

    def _forget(self, owed: Owed) -> None:
        del self._open[owed.key]
        self._bytes -= owed.size
        for successor in owed.deal.successors:
            if self._bringing.get(successor) is owed:
                del self._bringing[successor]
