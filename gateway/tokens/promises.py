"""Tokens that were given back as still good while Redis could not judge them.

The one idea: what the gateway says of a token, it stands by. When Redis does not answer, the client keeps the token it
presented and comes back with it when its access token ends, long after any grace. Should the token have been spent all
the same (the reply was lost after the commit, or an earlier answer never reached the client), that would look like
theft. So the ledger is told afterwards: this token was presented then, and if that was in its grace, its successor is
given again until it is used. A token that was spent for good before it was presented gains nothing by an outage.

A promise is told `PATIENCE` after it was made, when nothing that was asked before it can be carried out any more, and
is written into the family's record, so that every replica keeps it. It is lost with the process that made it: a client
whose reply was lost and whose gateway died during the same outage is then judged by grace alone.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from gateway.clock import SYSTEM, Clock
from gateway.tokens.ledger import PATIENCE, Ledger, Verdict
from gateway.tokens.outbox import Outbox
from gateway.tokens.rotation import Presented, Replayed
from gateway.tokens.standstill import Standstill, ran


@dataclass(frozen=True, slots=True, eq=False)
class _Promise:
    user: str
    presented: Presented
    asked: float

    @property
    def due(self) -> float:
        """When it is told (monotonic s)."""
        return self.asked + PATIENCE

    @property
    def expires(self) -> float:
        """When its token ends (s)."""
        return self.presented.expires


class Promises:
    """Makes promises and has the ledger keep them."""

    def __init__(self, ledger: Ledger, standstill: Standstill, clock: Clock = SYSTEM) -> None:
        self._ledger = ledger
        self._standstill = standstill
        self._clock = clock
        self._open: Outbox[tuple[str, str], _Promise] = Outbox(self._keep, clock)

    def make(self, user: str, presented: Presented, asked: float) -> None:
        """Note that a token of `asked` (monotonic s) is given back as good; of several times the first one counts."""
        key = (user, presented.family)
        known = self._open.get(key)
        if known is not None and known.presented.generation >= presented.generation:
            return
        self._open.put(key, _Promise(user, presented, asked))

    def now(self, user: str, presented: Presented) -> Presented:
        """Return what the ledger is to know of a token that is presented now: when time stood still, and a promise."""
        now = self._clock.monotonic()
        promise = self._open.get((user, presented.family))
        promised = promise is not None and promise.presented.generation == presented.generation
        ago = round(1000 * (now - promise.asked)) if promise is not None and promised else 0
        pauses = self._standstill.pauses(now)
        if (pauses, ago) == (presented.pauses, presented.ago):  # as a rule: nothing has happened
            return presented
        return replace(presented, pauses=pauses, ago=ago)

    def judged(self, user: str, presented: Presented, verdict: Verdict, grace_ms: int) -> None:
        """Forget a promise whose token the ledger has judged; but not when only the promise saved it.

        It then binds until the successor is used, in case that does not arrive either.
        """
        key, result = (user, presented.family), verdict.result
        promise = self._open.get(key)
        if promise is None or promise.presented.generation > presented.generation:
            return
        if isinstance(result, Replayed):
            ran_for = ran(result.family.rotated_ms, verdict.now, verdict.now, presented.pauses)
            if ran_for > grace_ms:
                return
        self._open.drop(key)

    async def run(self) -> None:
        """Tell the ledger of every promise, for ever."""
        await self._open.run()

    async def _keep(self, promise: _Promise) -> None:
        await self._ledger.keep(promise.user, self.now(promise.user, promise.presented))
