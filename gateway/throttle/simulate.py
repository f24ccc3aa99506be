"""The throttle on a virtual clock: the same core that runs in production, under a loop that jumps from event to event.

The one idea: what is simulated is the world around the schedule, and nothing of the schedule. Calls arrive, the vendor
answers after a while, the leaky bucket drips, time passes; who waits, goes or is refused is decided by the very objects
that decide it in the gateway. The world is ideal: a connection is ready at once, and so is whoever is woken.

A replica is anything that takes arrivals and says when it wants to be woken, so that another form of it (with limits
shared through Redis) runs under the same loop.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from heapq import heappop, heappush
from math import inf
from typing import Protocol

from gateway.throttle.arrivals import Arrival
from gateway.throttle.call import Call, State
from gateway.throttle.pace import Pace
from gateway.throttle.schedule import Rejected, Schedule
from gateway.throttle.settings import PaceSettings, PolicySettings
from gateway.throttle.tally import Tally
from gateway.throttle.window import Window


class Replica(Protocol):
    """One gateway process with its share of the calls."""

    due: float
    """When `wake` has to be called next; infinite while only an arrival can change anything."""

    @property
    def busy(self) -> bool:
        """Whether any call is in it, waiting or running."""

    def arrive(self, now: float, arrival: Arrival) -> None:
        """Take a call in, or refuse it."""

    def wake(self, now: float) -> None:
        """Do what is due at `now`."""


def simulate(arrivals: Iterable[Arrival], replicas: Sequence[Replica]) -> None:
    """Run until the last call has ended; `arrivals` come in the order of time and go to the replicas in turn."""
    turn = 0
    for arrival in arrivals:
        now = arrival.time
        while (replica := _next(replicas)).due <= now:
            replica.wake(replica.due)
        replicas[turn].arrive(now, arrival)
        turn = (turn + 1) % len(replicas)
    while any(replica.busy for replica in replicas):
        replica = _next(replicas)
        replica.wake(replica.due)


def _next(replicas: Sequence[Replica]) -> Replica:
    first = replicas[0]
    for replica in replicas:
        if replica.due < first.due:
            first = replica
    return first


class PodReplica:
    """A replica that keeps the policy's limits by itself (`scope: pod`)."""

    def __init__(self, policy: PolicySettings, tally: Tally) -> None:
        self.due = inf
        self._schedule = _schedule(policy)
        self._timeouts = {lane.name: lane.timeout for lane in policy.lanes}
        self._bucket = Bucket(policy.pace) if policy.pace else None
        self._tally = tally
        self._running: list[tuple[float, int, Call]] = []
        """A heap of the ends of the calls that were sent."""
        self._sent = 0
        """Breaks ties in the heap."""

    @property
    def busy(self) -> bool:
        return bool(self._running) or self._schedule.anybody

    def arrive(self, now: float, arrival: Arrival) -> None:
        call = self._schedule.arrive(now, arrival.lane)
        if isinstance(call, Rejected):
            self._tally.refused(arrival, call.reason)
            return
        call.waiter = arrival
        if call.state is State.ADMITTED and self._schedule.ask(now, call):
            self._send(now, call)
        self._settle(now)

    def wake(self, now: float) -> None:
        running = self._running
        while running and running[0][0] <= now:
            self._schedule.leave(now, heappop(running)[2])
        if self._bucket is not None and self._bucket.drips_at <= now:
            self._bucket.drip()
            self._schedule.drop()
        self._settle(now)

    def _settle(self, now: float) -> None:
        """Perform what the schedule owes at `now`, and work out when it owes something next."""
        schedule = self._schedule
        due = inf
        if schedule.anybody:
            self._pump(now)
            due = schedule.next_event(now) or inf
            if self._bucket is not None and schedule.thirsty:
                self._bucket.draw(now)
        if self._bucket is not None and self._bucket.drips_at < due:
            due = self._bucket.drips_at
        if self._running and self._running[0][0] < due:
            due = self._running[0][0]
        self.due = due

    def _pump(self, now: float) -> None:
        """Do as `Throttle` does, where whoever is woken goes on at once: an admitted call is ready, and asks."""
        schedule = self._schedule
        admitted: list[Call] | None = None
        while admitted is None or admitted:
            for call in schedule.dispatch(now):
                schedule.confirm(now, call)
                self._send(now, call)
            for call in schedule.expire(now):
                self._tally.refused(call.waiter, "queue-timeout")
            admitted = schedule.admit(now)
            for call in admitted:
                if schedule.ask(now, call):
                    self._send(now, call)

    def _send(self, now: float, call: Call) -> None:
        """Write the call; it ends when the vendor has answered or the lane's timeout has passed."""
        arrival: Arrival = call.waiter
        self._sent += 1
        timeout = self._timeouts[arrival.lane]
        heappush(self._running, (now + min(arrival.duration, timeout), self._sent, call))
        self._tally.sent(now, arrival, timed_out=arrival.duration > timeout)


class Bucket:
    """The leaky bucket of `pace` as aiolimiter keeps it, on the virtual clock; its one customer draws one drop a time.

    Source: aiolimiter 1.3, `AsyncLimiter.acquire`: a drop fits when the level, which falls by `cap / per` a second, is
    at least one below the brim.
    """

    def __init__(self, pace: PaceSettings) -> None:
        self.drips_at = inf
        """When the drop that was asked for comes; infinite when none is."""
        self._brim = max(1.0, pace.cap)
        self._rate = pace.cap / pace.per
        self._level = 0.0
        self._looked = 0.0

    def draw(self, now: float) -> None:
        """Ask for a drop, unless one is on its way."""
        if self.drips_at == inf:
            level = max(0.0, self._level - (now - self._looked) * self._rate)
            self.drips_at = now + max(0.0, level + 1.0 - self._brim) / self._rate

    def drip(self) -> None:
        """Let the drop through."""
        self._level = max(0.0, self._level - (self.drips_at - self._looked) * self._rate) + 1.0
        self._looked = self.drips_at
        self.drips_at = inf


def _schedule(policy: PolicySettings) -> Schedule:
    return Schedule(
        {lane.name: lane.concurrency for lane in policy.lanes},
        Window(policy.rate.cap, policy.rate.per, policy.rate.guard),
        max_depth=policy.queue.max_depth,
        max_wait=policy.queue.max_wait,
        pace=Pace(policy.pace.cap, policy.pace.per) if policy.pace else None,
        guesses={lane.name: lane.timeout * 0.1 for lane in policy.lanes},
    )
