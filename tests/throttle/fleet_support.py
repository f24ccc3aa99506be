"""A fleet in virtual time: several throttles, the books in memory behind a way that delays, loses and is cut."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Callable
from typing import Any

from gateway.errors import StoreUnavailable
from gateway.throttle.books import Books
from gateway.throttle.fleet import Answer, Statement
from gateway.throttle.layer import ThrottleLayer
from gateway.throttle.sharing import Sharing
from gateway.throttle.throttler import Throttle
from tests.support.virtual import LoopClock
from tests.throttle.samples import Recorder, Vendor, call, policy

MICROSECONDS = 1_000_000


class Store:
    """The books, as many replicas reach them; what a test does to it is what happens to a Redis."""

    def __init__(self, delay: float = 0.0005) -> None:
        self.delay = delay
        """Seconds each way."""
        self.books = Books()
        self.ahead = 1_700_000_000.0
        """Its clock less the loop's."""
        self.away = False
        self.asked = 0
        self._listeners: list[tuple[Callable[[bytes], None], Callable[[], None]]] = []
        self._saved: tuple[float, Books] | None = None

    async def tell(self, statement: Statement) -> Answer:
        """Ask the books, over the way."""
        self.asked += 1
        await asyncio.sleep(self.delay)
        if self.away:
            raise StoreUnavailable("connection", "throttle")
        told = self.books.told
        answer = self.books.tell(statement, self.now())
        news = self.books.told > told
        await asyncio.sleep(self.delay)
        if self.away:
            raise StoreUnavailable("connection", "throttle")
        for heard, _ in self._listeners if news else ():
            asyncio.get_running_loop().call_later(self.delay, heard, statement.replica.encode())
        return answer

    async def listen(self, heard: Callable[[bytes], None], lost: Callable[[], None]) -> None:
        """Hear of the news, until cancelled."""
        self._listeners.append((heard, lost))
        try:
            await asyncio.Event().wait()
        finally:
            self._listeners.remove((heard, lost))

    def now(self) -> int:
        """Its time in microseconds."""
        return int((asyncio.get_running_loop().time() + self.ahead) * MICROSECONDS)

    def save(self) -> None:
        """Remember everything, for `restore`."""
        self._saved = (asyncio.get_running_loop().time(), copy.deepcopy(self.books))

    def cut(self) -> None:
        """Go away: nobody is answered, and every line breaks."""
        self.away = True
        for _, lost in list(self._listeners):
            lost()

    def back(self, *, empty: bool = False, older: bool = False) -> None:
        """Come back: as it was, without data, or as it was when it was saved."""
        if empty:
            self.books = Books()
        elif older:
            assert self._saved is not None
            self.books = copy.deepcopy(self._saved[1])
        self.away = False


class PodClock(LoopClock):
    """The clock of a pod that is `ahead` seconds ahead of the loop's, in both of its readings."""

    def __init__(self, ahead: float) -> None:
        super().__init__()
        self.ahead = ahead

    def monotonic(self) -> float:
        return super().monotonic() + self.ahead

    def wall(self) -> float:
        return super().wall() + self.ahead


class Gateway:
    """One replica, with its throttle running; its pod's clock is `ahead` of the others'."""

    def __init__(self, store: Store, vendor: Vendor, *, ahead: float = 0.0, **changes: Any) -> None:
        clock = PodClock(ahead)
        self.recorder = Recorder()
        self.vendor = vendor
        settings = policy(**changes)
        names = {lane.name for lane in settings.lanes}

        def lane_of(exchange: Any) -> str:
            name = exchange.target.rpartition(b"/")[2].decode()
            return name if name in names else "default"

        self.through = ThrottleLayer(
            settings,
            lane_of=lane_of,
            emit=self.recorder,
            clock=clock,
            sharing=Sharing(settings, store, store.listen, clock),
        )
        self._running: asyncio.Task[None] | None = None

    @property
    def throttle(self) -> Throttle:
        return self.through.throttle

    def start(self) -> None:
        """Run the throttle until it is killed or stopped."""
        self._running = asyncio.get_running_loop().create_task(self.throttle.run())

    async def kill(self) -> None:
        """End without a word."""
        assert self._running is not None
        self._running.cancel()
        await asyncio.wait({self._running})

    async def stop(self) -> None:
        """End as a gateway ends that is told to."""
        self.throttle.close()
        await self.kill()
        await self.throttle.part()

    async def call(self, lane: str = "default") -> object:
        """Make a call; an error is its result."""
        try:
            return await call(self.through, self.vendor, b"/" + lane.encode())
        except Exception as error:
            return error
