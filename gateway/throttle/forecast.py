"""How long calls will have to wait: the least that is certain, and what is to be expected.

The one idea: a call that cannot be served in time is told so when it comes, but only when nothing could change that.
"""

from __future__ import annotations

from collections.abc import Iterable

from gateway.throttle.call import Lane
from gateway.throttle.pace import Pace
from gateway.throttle.window import Slots


def earliest(now: float, window: Slots, pace: Pace | None, lane: Lane, ahead: int) -> float:
    """Return the time before which a call of `lane` with `ahead` others before it has no slot."""
    slot = max(window.slot_after(now, ahead), lane.paused_until)
    if pace is None:
        return slot
    return max(slot, now + max(0.0, ahead + 1 - pace.burst) * pace.interval)


def expected_wait(
    now: float, lane: Lane, before: int, lanes: Iterable[Lane], window: Slots, pace: Pace | None
) -> float:
    """Return the seconds that a call arriving in `lane` would wait, as things stand, with `before` in line before it.

    Lanes take slots in turn, so of another lane only as many calls count as stand in this one; permits come back as
    often as calls have ended lately.
    """
    own = before + lane.pending
    others = sum(min(own, other.waiting.size + other.pending) for other in lanes if other is not lane)
    slot = earliest(now, window, pace, lane, own + others) - now
    if lane.in_flight < lane.concurrency:
        return slot
    return max(slot, (before + 1) * lane.mean / max(1, lane.concurrency))
