"""The throttle on the event loop: callers wait here, and the schedule decides whom to wake.

The one idea: every event (a call arrives, is ready, leaves; a timer rings; the leaky bucket drips) changes the schedule
and then pumps it: whoever is owed something has a future set. One timer stands for the next moment at which time alone
changes anything, so 100,000 waiting calls cost one timer. A caller that is cancelled gives back all it holds, also what
it was granted a moment ago and has not yet woken up to.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from math import ceil
from typing import Final

from aiolimiter import AsyncLimiter

from gateway.clock import SYSTEM, Clock
from gateway.errors import GatewayError
from gateway.events import Emit, ignore
from gateway.throttle.call import Call, Rejected, State
from gateway.throttle.events import CallDispatched, CallFinished, Outcome
from gateway.throttle.in_force import put_in_force
from gateway.throttle.line import Priority
from gateway.throttle.pace import Pace
from gateway.throttle.schedule import Schedule
from gateway.throttle.settings import PaceSettings, PolicySettings
from gateway.throttle.sharing import Sharing
from gateway.throttle.snapshot import LaneSnapshot, Snapshot
from gateway.throttle.window import Slots, Window

_TICK: Final = 0.001
"""The shortest timer: loops that count milliseconds would ring a shorter one too early, again and again."""


class Throttle:
    """The limits of one upstream, kept by this process alone or, with `sharing`, together with the fleet.

    `run` must be running for a policy with `pace`, for `sharing` and for `own`.
    """

    def __init__(
        self, policy: PolicySettings, *, emit: Emit = ignore, clock: Clock = SYSTEM, sharing: Sharing | None = None
    ) -> None:
        self.upstream = policy.upstream
        self._sharing = sharing
        rate = policy.rate
        self._window: Slots = sharing.slots if sharing else Window(rate.cap, rate.per, rate.guard)
        self._schedule = Schedule({}, self._window, max_depth=0, max_wait=0.0)
        self._pace: PaceSettings | None = None
        self._limiter: AsyncLimiter | None = None
        self._put_in_force(policy)
        self._emit = emit
        self._now = clock.monotonic
        self._timer: asyncio.TimerHandle | None = None
        self._rings_at = 0.0
        self._thirsty = asyncio.Event()
        self._tasks: asyncio.TaskGroup | None = None
        self._closed = False
        if sharing is not None:
            sharing.join(self._schedule, lambda: self._pump(self._now()), emit)
            sharing.adapt(policy, {})

    async def enter(
        self, lane: str, *, tenant: str = "", priority: Priority = "normal", deadline: float | None = None
    ) -> Call:
        """Wait for a permit of `lane`; whoever gets a call has to `leave`.

        The wait, here and for a slot, ends at `deadline` on the clock: by default the policy's `max_wait` from now.

        Raises:
            GatewayError: `queue-full` or `queue-timeout` with the estimated wait, or `shutting-down`.
        """
        now = self._now()
        if self._closed:
            raise self._refuse(lane, "cancelled")
        call = self._schedule.arrive(now, lane, tenant=tenant, priority=priority, deadline=deadline)
        if isinstance(call, Rejected):
            raise self._refuse(lane, "queue_full" if call.reason == "queue-full" else "queue_timeout", call.retry_after)
        if call.state is State.WAITING:
            # At the end of a line nothing is owed, and nothing happens earlier unless the call gives up earlier.
            news = call.lane.waiting.size == 1 or self._timer is None or call.deadline < self._rings_at
            try:
                refusal = await self._line_up(now, call, news=news)
            except asyncio.CancelledError:
                self.leave(call, "cancelled")
                raise
            self._woken(now, call, refusal)
        return call

    async def dispatch(self, call: Call) -> None:
        """Wait for a slot of the window; on return the first byte is to be written, within the policy's guard.

        May be called again for the same call, when its request is written once more: that takes another slot.

        Raises:
            GatewayError: `queue-timeout` with the estimated wait, or `shutting-down`; the call has left by then.
        """
        now = self._now()
        if self._closed:
            self.leave(call, "cancelled")
            raise _error("cancelled")
        while not self._schedule.ask(now, call):
            try:
                refusal = await self._line_up(now, call, news=True)
            except asyncio.CancelledError:
                self.leave(call, "cancelled")
                raise
            now = self._woken(now, call, refusal)
            if self._schedule.confirm(now, call):
                break
        else:
            # A call that goes takes a slot with it, so it makes room for another only when its lane has none under way.
            if self._schedule.depth and not call.lane.pending:
                self._pump(now)
        if not call.told:
            call.told = True
            self._emit(CallDispatched(self.upstream, call.lane.name, call.waited))

    def unsent(self, call: Call) -> None:
        """Give the slot of a dispatched call back, because nothing was written; it has to be dispatched again."""
        self._schedule.unsent(call)

    def leave(self, call: Call, outcome: Outcome) -> None:
        """Give back all that `call` holds, and report its outcome; only the first time counts."""
        now = self._now()
        if self._schedule.leave(now, call):
            self._emit(CallFinished(self.upstream, call.lane.name, outcome))
            if self._sharing is not None:
                self._sharing.left(call.lane)
            if self._schedule.anybody or self._sharing is not None:
                self._pump(now)

    def pause(self, lane: str, seconds: float) -> None:
        """Let nothing of `lane` go for so long, because the upstream asked for it; what runs goes on."""
        self._schedule.pause(lane, self._now() + seconds)

    def paused_until(self, lane: str) -> float:
        """Return the time at which the last pause of `lane` ends, or ended."""
        return self._schedule.lanes[lane].paused_until

    def adapt(self, policy: PolicySettings) -> None:
        """Put other limits in force at once: calls keep their places, and what is in flight drains."""
        held = {lane.name: lane.concurrency for lane in self._schedule.lanes.values()}
        self._window.resize(policy.rate.cap, policy.rate.per, policy.rate.guard)
        self._put_in_force(policy)
        if self._sharing is not None:
            self._sharing.adapt(policy, held)
        self._pump(self._now())

    def snapshot(self) -> Snapshot:
        """Return the numbers of this moment."""
        schedule = self._schedule
        return Snapshot(
            upstream=self.upstream,
            lanes=tuple(
                LaneSnapshot(lane.name, lane.waiting.size, lane.in_flight, lane.limit)
                for lane in schedule.lanes.values()
            ),
            cap=schedule.window.cap,
            used_ratio=schedule.window.used(self._now()) / schedule.window.cap,
            degraded=self._sharing is not None and self._sharing.degraded,
        )

    def close(self) -> None:
        """Refuse all that wait, and all that come, with `shutting-down`; what was dispatched goes on."""
        self._closed = True
        for call in self._schedule.evict(self._now()):
            self._turn_away(call, "cancelled")
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    async def run(self) -> None:
        """Draw drops from the leaky bucket, keep in touch with the fleet, and look after what `own` is given.

        Runs until it is cancelled. Being the bucket's only customer, it cannot be overtaken, and which call goes is
        decided when a drop is there.
        """
        async with asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            if self._sharing is not None:
                tasks.create_task(self._sharing.run())
            try:
                while True:
                    await self._thirsty.wait()
                    self._thirsty.clear()
                    limiter = self._limiter
                    if limiter is not None and self._schedule.thirsty(self._now()):
                        await limiter.acquire()
                        if limiter is self._limiter:
                            self._schedule.drop()
                        self._pump(self._now())
            finally:
                self._tasks = None

    async def part(self) -> None:
        """Take leave of the fleet, after `run` has ended; what this process held is free at once."""
        if self._sharing is not None:
            await self._sharing.leave()

    def own(self, close: Callable[[], Awaitable[None]]) -> None:
        """Have `close` done by the task that runs the throttle, for a caller that cannot wait for it."""
        if self._tasks is not None:
            self._tasks.create_task(_quietly(close))

    def _put_in_force(self, policy: PolicySettings) -> None:
        pace = self._schedule.pace
        if policy.pace != self._pace:  # a bucket that stays the same stays as full as it is
            self._pace = policy.pace
            self._limiter = _limiter(policy.pace) if policy.pace else None
            pace = Pace(policy.pace.cap, policy.pace.per) if policy.pace else None
        put_in_force(self._schedule, policy, pace)

    # One coroutine fewer a waiting call than with a coroutine that waits: a tenth of what a call costs in a long line.

    def _line_up(self, now: float, call: Call, *, news: bool) -> asyncio.Future[GatewayError | None]:
        """Return what is done when the schedule owes `call` something, with what it is refused with, if it is."""
        call.waiter = waiter = asyncio.get_running_loop().create_future()
        if news:
            self._pump(now)
        return waiter

    def _woken(self, since: float, call: Call, refusal: GatewayError | None) -> float:
        """Note how long `call` waited, and raise its refusal; return the time."""
        now = self._now()
        call.waited += now - since
        if refusal is not None:
            raise refusal
        return now

    def _pump(self, now: float) -> None:
        """Perform what the schedule owes at `now`, and set the timer for when it owes something next."""
        schedule = self._schedule
        if self._sharing is not None:
            self._sharing.awake(now)
        for call in schedule.dispatch(now):
            _wake(call, None)
        for call in schedule.expire(now):
            self._turn_away(call, "queue_timeout", schedule.estimate(now, call.lane, call.tenant, call.priority))
        for call in schedule.admit(now):
            _wake(call, None)
        if schedule.thirsty(now):
            self._thirsty.set()
        if self._sharing is not None:
            self._sharing.poke()
        when = schedule.next_event(now)
        if when is None or (self._timer is not None and self._rings_at <= when):
            return
        if self._timer is not None:
            self._timer.cancel()
        loop = asyncio.get_running_loop()
        self._rings_at = when
        self._timer = loop.call_at(loop.time() + max(when - now, _TICK), self._ring)

    def _ring(self) -> None:
        self._timer = None
        self._pump(self._now())

    def _refuse(self, lane: str, outcome: Outcome, wait: float | None = None) -> GatewayError:
        """Report a call that was not let in, and return its error."""
        self._emit(CallFinished(self.upstream, lane, outcome))
        return _error(outcome, wait)

    def _turn_away(self, call: Call, outcome: Outcome, wait: float | None = None) -> None:
        """Refuse a call that the schedule took out."""
        _wake(call, self._refuse(call.lane.name, outcome, wait))


def _wake(call: Call, refusal: GatewayError | None) -> None:
    if not call.waiter.done():  # a cancelled one wakes up by itself, and then gives back what it was just given
        call.waiter.set_result(refusal)


def _error(outcome: Outcome, wait: float | None = None) -> GatewayError:
    retry_after = None if wait is None else float(max(1, ceil(wait)))
    if outcome == "queue_full":
        return GatewayError(
            "queue-full", detail="Too many calls are waiting for this service.", retry_after=retry_after
        )
    if outcome == "queue_timeout":
        return GatewayError("queue-timeout", detail="The wait for this service is too long.", retry_after=retry_after)
    return GatewayError("shutting-down", detail="The gateway is shutting down.")


def _limiter(pace: PaceSettings) -> AsyncLimiter:
    """Return the bucket of `pace`; one that holds less than a call at the same rate, but with room for one."""
    return AsyncLimiter(pace.cap, pace.per) if pace.cap >= 1 else AsyncLimiter(1, pace.per / pace.cap)


async def _quietly(close: Callable[[], Awaitable[None]]) -> None:
    with suppress(Exception):  # nobody waits for the outcome, and it must not end the others
        await close()
