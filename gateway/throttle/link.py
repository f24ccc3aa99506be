"""The line between a throttle and the fleet's books: when they are asked, and what happens when they do not answer.

The one idea: there is one statement under way at a time, and it tells everything that has gathered meanwhile. Whoever
changes something pokes the link; it asks when the replica says that something is due, so an idle replica costs a
heartbeat a second. A message on the books' channel means only that asking again may be worth it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, Final

from gateway.clock import SYSTEM, Clock
from gateway.errors import StoreUnavailable
from gateway.throttle.fleet import Fleet
from gateway.throttle.replica import Replica

FAREWELL: Final = 0.5
"""Seconds that the last statement of a gateway that ends may take."""


Listen = Callable[[Callable[[bytes], None], Callable[[], None]], Coroutine[Any, Any, None]]
"""Calls the first with each message of the books (the name of the replica that caused the news; empty when listening
has begun), the second when the line to them breaks; until cancelled."""


class Link:
    """Tells the books of one replica; `changed` is called whenever an answer or its absence may let calls go.

    `run` is the lifecycle's, `leave` comes last.
    """

    def __init__(
        self, fleet: Fleet, listen: Listen, replica: Replica, changed: Callable[[], None], clock: Clock = SYSTEM
    ) -> None:
        self._fleet = fleet
        self._listen = listen
        self._replica = replica
        self._changed = changed
        self._now = clock.monotonic
        self._poked = asyncio.Event()

    def poke(self) -> None:
        """Say that something has changed; costs nothing when nothing is due."""
        if not self._poked.is_set() and self._replica.due(now := self._now()) <= now:
            self._poked.set()

    async def run(self) -> None:
        """Tell whenever something is due, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._listen(self._heard, self._lost))
            while True:
                self._poked.clear()
                wait = self._replica.due(now := self._now()) - now
                if wait <= 0:
                    await self._tell()
                    continue
                with suppress(TimeoutError):
                    async with asyncio.timeout(wait):
                        await self._poked.wait()

    async def leave(self) -> None:
        """Tell the books that this replica goes, if they can be asked; what it holds is free at once."""
        with suppress(StoreUnavailable, TimeoutError):
            async with asyncio.timeout(FAREWELL):
                await self._fleet.tell(self._replica.statement(self._now(), leaving=True))

    async def _tell(self) -> None:
        sent = self._now()
        statement = self._replica.statement(sent)
        try:
            answer = await self._fleet.tell(statement)
        except StoreUnavailable:
            self._replica.failed(self._now())
        else:
            self._replica.answered(answer, sent, self._now())
        self._changed()

    def _heard(self, message: bytes) -> None:
        if message != self._replica.name.encode():
            self._replica.hurry()
            self._poked.set()

    def _lost(self) -> None:
        """The server has changed or gone: what it knew last may be lost, so it is told all before it is asked."""
        self._replica.failed(self._now())
        self._changed()
        self._poked.set()
