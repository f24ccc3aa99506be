"""From a policy to the limits of a schedule, for the event loop and for the simulation."""

from __future__ import annotations

from typing import Final

from gateway.throttle.long_calls import LongCalls
from gateway.throttle.pace import Pace
from gateway.throttle.schedule import Schedule
from gateway.throttle.settings import PolicySettings

_GUESS: Final = 0.1
"""Until a call has ended, it is taken to run for this share of its lane's timeout."""


def put_in_force(schedule: Schedule, policy: PolicySettings, pace: Pace | None) -> None:
    """Put the policy's lanes and queue in force at once; the window is resized by its owner."""
    schedule.adapt(
        {lane.name: lane.concurrency for lane in policy.lanes},
        max_depth=policy.queue.max_depth,
        max_wait=policy.queue.max_wait,
        pace=pace,
        guesses={lane.name: lane.timeout * _GUESS for lane in policy.lanes},
        long_calls=long_calls_of(policy),
    )


def long_calls_of(policy: PolicySettings) -> LongCalls | None:
    """Return the budget of long calls, if the policy has one."""
    long = policy.long_calls
    return LongCalls(policy.long_lane, long.limit, long.after) if long else None
