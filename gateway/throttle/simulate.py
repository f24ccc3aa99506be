"""The throttle on a virtual clock: the same core that runs in production, under a loop that jumps from event to event.

The one idea: what is simulated is the world around the core, and nothing of the core. Calls arrive, the vendor answers
after a while, the leaky bucket drips, Redis answers or does not; who waits, goes or is refused is decided by the very
objects that decide it in the gateway. The world is ideal: a connection is ready at once, and so is whoever is woken.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from heapq import heappop, heappush
from math import inf

from gateway.throttle.arrivals import Arrival
from gateway.throttle.call import Call, Rejected, State
from gateway.throttle.in_force import put_in_force
from gateway.throttle.pace import Pace
from gateway.throttle.schedule import Schedule
from gateway.throttle.settings import PaceSettings, PolicySettings
from gateway.throttle.simulated_fleet import Store, Tie
from gateway.throttle.tally import Tally
from gateway.throttle.window import Window


def simulate(
    policy: PolicySettings, arrivals: Iterable[Arrival], tally: Tally, away: tuple[float, float] | None = None
) -> None:
    """Serve the arrivals, until the last call has ended, by as many replicas as the policy has, which take turns.

    `arrivals` come in the order of time, from 0; Redis is `away` from the one time until the other. A fleet of one,
    whose Redis stays, shares with nobody.
    """
    shared = policy.scope == "fleet" and (policy.replicas > 1 or away is not None)
    store = Store(away) if shared else None
    gateways = [Gateway(policy, tally, store.tie(policy) if store else None) for _ in range(policy.replicas)]
    turn = 0
    for arrival in arrivals:
        now = arrival.time
        while (gateway := _next(gateways)).due <= now:
            gateway.wake(gateway.due)
        gateways[turn].arrive(now, arrival)
        turn = (turn + 1) % len(gateways)
    while any(gateway.busy for gateway in gateways):
        gateway = _next(gateways)
        gateway.wake(gateway.due)


def _next(gateways: Sequence[Gateway]) -> Gateway:
    first = gateways[0]
    for gateway in gateways:
        if gateway.due < first.due:
            first = gateway
    return first


class Gateway:
    """One replica: does on the virtual clock what `Throttle` and its callers do on the event loop.

    With a `tie` it shares the limits with the others, without one it keeps them by itself.
    """

    def __init__(self, policy: PolicySettings, tally: Tally, tie: Tie | None) -> None:
        rate = policy.rate
        slots = tie.slots if tie else Window(rate.cap, rate.per, rate.guard)
        self.due = inf
        """When `wake` has to be called next; infinite while only an arrival can change anything."""
        self._schedule = Schedule({}, slots, max_depth=0, max_wait=0.0)
        put_in_force(self._schedule, policy, Pace(policy.pace.cap, policy.pace.per) if policy.pace else None)
        self._timeouts = {lane.name: lane.timeout for lane in policy.lanes}
        self._fair = policy.queue.fair_by is not None
        self._bucket = Bucket(policy.pace) if policy.pace else None
        self._tally = tally
        self._tie = tie
        self._running: list[tuple[float, int, Call]] = []
        """A heap of the ends of the calls that were sent."""
        self._sent = 0
        """Breaks ties in the heap."""
        if tie is not None:
            tie.join(self._schedule, policy, self._heard)
            self.due = 0.0

    @property
    def busy(self) -> bool:
        """Whether any call is in it, waiting or running."""
        return bool(self._running) or self._schedule.anybody

    def arrive(self, now: float, arrival: Arrival) -> None:
        """Take a call in, or refuse it; the policy says whether tenants are told apart."""
        tenant = arrival.tenant if self._fair else ""
        call = self._schedule.arrive(now, arrival.lane, tenant=tenant, priority=arrival.priority)
        if isinstance(call, Rejected):
            self._tally.refused(arrival, call.reason)
            return
        call.waiter = arrival
        if call.state is State.WAITING and call.lane.waiting.size > 1 and call.deadline >= self.due:
            return  # at the end of a line nothing is owed, and nothing happens earlier
        if call.state is State.ADMITTED and self._schedule.ask(now, call):
            self._send(now, call)
        self._settle(now)

    def wake(self, now: float) -> None:
        """Do what is due at `now`."""
        if self._tie is not None:
            self._tie.tell(now)
        while self._running and self._running[0][0] <= now:
            call = heappop(self._running)[2]
            self._schedule.leave(now, call)
            if self._tie is not None:
                self._tie.left(call.lane)
        if self._bucket is not None and self._bucket.drips_at <= now:
            self._bucket.drip()
            self._schedule.drop()
        self._settle(now)

    def _heard(self, now: float) -> None:
        """Learn that the books have news."""
        assert self._tie is not None
        self.due = min(self.due, self._tie.due(now))

    def _settle(self, now: float) -> None:
        """Perform what the schedule owes at `now`, and work out when it owes something next."""
        schedule, due = self._schedule, inf
        if schedule.anybody:
            self._pump(now)
            due = schedule.next_event(now) or inf
        if self._bucket is not None:
            if schedule.thirsty(now):
                self._bucket.draw(now)
            due = min(due, self._bucket.drips_at)
        if self._tie is not None:
            due = min(due, self._tie.due(now))
        if self._running and self._running[0][0] < due:
            due = self._running[0][0]
        self.due = due

    def _pump(self, now: float) -> None:
        """Do as `Throttle` does, where whoever is woken goes on at once: an admitted call is ready, and asks."""
        schedule = self._schedule
        if self._tie is not None:
            self._tie.awake(now)
        for call in schedule.dispatch(now):
            schedule.confirm(now, call)
            self._send(now, call)
        for call in schedule.expire(now):
            self._tally.refused(call.waiter, "queue-timeout")
        while admitted := schedule.admit(now):
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
