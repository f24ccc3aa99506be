"""What a throttle needs to share its limits with the fleet: its slots, its replica and the line to the books.

The one idea: a throttle that shares and one that does not differ in this object alone.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from gateway.clock import SYSTEM, Clock
from gateway.events import Emit, ignore
from gateway.throttle.call import Lane
from gateway.throttle.events import SharingChanged
from gateway.throttle.fleet import Fleet
from gateway.throttle.fleet_slots import FleetSlots
from gateway.throttle.link import Link, Listen
from gateway.throttle.long_calls import LongCalls
from gateway.throttle.replica import Replica
from gateway.throttle.schedule import Schedule
from gateway.throttle.settings import PolicySettings


class Sharing:
    """The part of one replica, for the life of its process.

    Args:
        policy: whose limits are shared.
        fleet: the books.
        listen: hears of their news, see `gateway.throttle.link.Listen`.
        clock: the replica's own.
    """

    def __init__(self, policy: PolicySettings, fleet: Fleet, listen: Listen, clock: Clock = SYSTEM) -> None:
        rate = policy.rate
        self.name = secrets.token_hex(6)
        self.slots = FleetSlots(self.name, rate.cap, rate.per, rate.guard)
        self._fleet, self._listen, self._clock = fleet, listen, clock
        self._upstream = policy.upstream
        self._told = False
        self._emit: Emit = ignore
        self._replica: Replica
        self._link: Link

    def join(self, schedule: Schedule, changed: Callable[[], None], emit: Emit) -> None:
        """Share the limits of a schedule that takes its slots here; `changed` may then let calls go."""
        self._emit = emit
        self._replica = Replica(self.name, schedule, self.slots)
        self._link = Link(self._fleet, self._listen, self._replica, changed, self._clock)

    def adapt(self, policy: PolicySettings, held: Mapping[str, int]) -> None:
        """Follow a change of the policy; `held` are the permits that each lane had before."""
        replica, long = self._replica, policy.long_calls
        replica.replicas = policy.replicas
        replica.timeouts = {lane.name: lane.timeout for lane in policy.lanes}
        replica.long_calls = LongCalls(policy.long_lane, long.limit, long.after) if long else None
        for lane in replica.schedule.lanes.values():
            lane.concurrency = min(held.get(lane.name, 0), lane.limit)

    @property
    def degraded(self) -> bool:
        """Whether the replica lives on its share."""
        return self._replica.degraded

    def left(self, lane: Lane) -> None:
        """Say that a call has left a lane, before anybody is admitted in its place."""
        self._replica.left(lane)

    def awake(self, now: float) -> None:
        """Say that calls may be let go now, before they are."""
        self._replica.grow(now)
        if self._told != self._replica.degraded:
            self._told = self._replica.degraded
            self._emit(SharingChanged(self._upstream, self._told))

    def poke(self) -> None:
        """Say that something has changed that the books may have to be told of."""
        self._link.poke()

    def run(self) -> Coroutine[Any, Any, None]:
        """Tell the books and hear of their news, until cancelled."""
        return self._link.run()

    async def leave(self) -> None:
        """Take leave of the books; the last thing."""
        await self._link.leave()
