"""What a replica may send by itself while the fleet's log cannot be asked.

The one idea: a limit of `cap` sends in a span is `cap` tokens, each good for one send a span. When the log is lost, the
replicas divide the tokens without speaking to each other: they all know roughly the same log, so each takes every n-th
token to come back (n replicas), and takes it to be as late as it can possibly be:

- a token that was free, or came back before the loss was noticed, may have been taken by another replica a moment ago:
  it counts as sent at the loss;
- each other replica may have a slot reserved in each of its lanes that this log does not show, or shows at another
  time: as many tokens, those that come back first, count as used once more.

So the sum of what all replicas send is, at every moment, at most what the log would have given. With no other replica
there is nothing to divide: the log is its own.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import floor
from typing import Final

from gateway.throttle.store_clock import StoreClock
from gateway.throttle.window import Taken, Wait, Window

_TURN: Final = 1.25
"""A turn in spans; calls go in its first fifth, so those of two turns are a span apart."""


def share_of(log: Iterable[float], *, cap: int, span: float, lost: float, replicas: int, lanes: int) -> list[float]:
    """Return the send times that a replica's own window begins with, one for each of its `cap // replicas` tokens.

    Args:
        log: the times of the last view (monotonic s, the latest they may be), with slots that are reserved for a time
            to come, and with what this replica sent since.
        cap: sends in a span that the fleet is allowed.
        span: seconds that a send counts.
        lost: when the loss was noticed (monotonic s).
        replicas: how many divide the limit, this one included.
        lanes: slots that each of them may have reserved.
    """
    entries = sorted(log)[-cap:]
    others = replicas - 1
    if not others:
        return entries
    tokens = [lost if at + span <= lost else at for at in entries] + [lost] * (cap - len(entries))
    tokens.sort()
    hidden = min(cap, others * lanes)
    tokens = sorted([at + span for at in tokens[:hidden]] + tokens[hidden:])
    return tokens[replicas - 1 :: replicas]


class Turns:
    """A share of less than one call: the replicas take turns by the store's clock, `cap` of them in each.

    In the form of a window, see `gateway.throttle.window.Slots`. Without a rank (the store was never reached) there is
    no turn, since nobody could know whose it is.
    """

    __slots__ = ("_clock", "_from", "_rank", "_replicas", "_taken", "cap", "guard", "span")

    def __init__(
        self, cap: int, span: float, guard: float, *, clock: StoreClock, rank: int | None, replicas: int, begin: float
    ) -> None:
        """`begin` is when the first turn may be taken (monotonic s)."""
        self.cap = cap
        self.span = span
        self.guard = guard
        self._clock = clock
        self._rank = rank
        self._replicas = replicas
        self._from = begin
        self._taken = -1
        """The turn in which a call went last."""

    def used(self, now: float) -> int:
        """Return `cap` when this turn's call went, or the turn is another's."""
        return 0 if self._mine(now) is not None else self.cap

    def free(self, now: float) -> int:
        """Return 1 when a call may go."""
        return 1 if self._mine(now) is not None else 0

    def take(self, now: float) -> Taken | Wait:
        """Take the turn, if it is this replica's."""
        turn = self._mine(now)
        if turn is None:
            when = self.next_free(now)
            return Wait(self.span if when is None else when - now)
        self._taken = turn
        return Taken(now)

    def refund(self, granted: float) -> None:
        """Give the turn back: nothing was sent in it."""
        self._taken = -1

    def next_free(self, now: float) -> float | None:
        """Return when this replica's next turn begins."""
        if self._rank is None or not self._clock.known:
            return None
        length = _TURN * self.span
        turn = floor(self._clock.earliest(max(now, self._from)) / length)
        while True:
            turn += 1
            if self._is_mine(turn):
                return self._clock.surely_at(turn * length)

    def slot_after(self, now: float, ahead: int) -> float:
        """Return the earliest time at which a call with `ahead` others before it may go."""
        when = now if self._mine(now) is not None else self.next_free(now)
        every = _TURN * self.span * max(1.0, self._replicas / self.cap)
        return (now + every if when is None else when) + ahead * every

    def _mine(self, now: float) -> int | None:
        """Return the turn in which a call may go now, both bounds of the store's time lying in it."""
        if self._rank is None or not self._clock.known or now < self._from:
            return None
        length = _TURN * self.span
        turn = floor(self._clock.earliest(now) / length)
        late = self._clock.latest(now) - turn * length
        return turn if turn != self._taken and self._is_mine(turn) and late < length - self.span else None

    def _is_mine(self, turn: int) -> bool:
        assert self._rank is not None
        return (self._rank - turn * self.cap) % self._replicas < self.cap


def window_of(times: list[float], cap: int, per: float, guard: float) -> Window:
    """Return an exact window that begins with these send times."""
    window = Window(cap, per, guard)
    window.load(times)
    return window
