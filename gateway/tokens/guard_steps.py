"""Claim, forward, commit as one recoverable step: in which order the keys are written, and what a crash leaves.

An opaque token says nothing of its user, so two keys speak of it: its own record, found by its name, and its family, in
the user's hash. No script reaches both (they are in different slots of a cluster), so the order of the writes is what
makes it one step.

**A new token** (a login, or a token from before the gateway): 1. the family in the user's hash, 2. the token's record.
A crash between them leaves a family that no token leads to. It can be listed and ended, counts towards the cap, and
goes `refresh_ttl` later; its token is one from before the gateway when it comes, is forwarded, and begins another
family. The other order would leave a token whose family nobody could list or end.

**A commit**: 1. the sealed answer, 2. the family's turn in the user's hash, 3. the successor's record, 4. the presented
token's record: spent, the claim gone. Only the last makes the token spent, so a crash

| after | leaves | the next try |
|---|---|---|
| the claim, or the forward | the claim, until it runs out | is forwarded again, and the backend's verdict passed on |
| 1 | the claim, and the answer | finds the answer, finishes the commit and gives it |
| 2 | a family that had its turn, too | the same |
| 3 | a successor that is known already, too | the same; the successor is good at once |
| 4 | all of it | gets the kept answer |

and in no row is a token taken for stolen that nobody was given an answer for. Whoever has the claim on a known token
therefore looks for the answer before it forwards. There is one a family, the last; that it is this token's its seal
proves, and that its commit broke off, that it brings a successor while the token is not spent.

**Ending a family** while a refresh of it is in flight: the tombstone is in the user's hash, and step 1 looks there. It
stays, and lasts as long as the successor, which joins the ended family and is refused when it comes. A token from
before the gateway joins a family that began when it was claimed, so the floor of a revoke-all that came meanwhile holds
for it too.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from gateway.clock import SYSTEM, Clock
from gateway.tokens import guard
from gateway.tokens.guard import Busy, Commit, Lineage, Spent, Turned, Verdict
from gateway.tokens.guard_promises import GuardPromises
from gateway.tokens.guard_store import GuardStore
from gateway.tokens.rotation import Ended


@dataclass(frozen=True, slots=True)
class Met:
    """What a presented token met, its family considered, and when (the store's clock, ms)."""

    verdict: Verdict
    lineage: Lineage | None
    now: int


@dataclass(frozen=True, slots=True)
class Deal:
    """A token that the backend has answered well; or a login that is written down later, which spent none."""

    name: str
    """Empty for a login."""
    owner: str
    lineage: Lineage
    """Whose the presented token is, or is from now on."""
    successors: tuple[str, ...]
    """Names of the tokens that came instead; none: the presented one stays good."""
    answer: bytes | None = field(repr=False)
    """Sealed; None when it is too large to be kept."""
    device: str = ""
    end: int = 0
    """When the last of the tokens says that it ends (s); 0 when none does."""


class GuardSteps:
    """The sequences of steps, and the promises they keep. Each raises `StoreUnavailable` where it was broken off."""

    def __init__(self, store: GuardStore, clock: Clock = SYSTEM) -> None:
        self._store = store
        self.promises = GuardPromises(store.promise, clock)

    async def look(self, name: str) -> Met:
        """Tell what a token would meet."""
        return await self._met(name, "", again=False, claim=False)

    async def was_reuse(self, name: str, ago: int) -> bool:
        """Tell whether a token had been spent, and its grace was over, when it was presented `ago` ms before."""
        return isinstance((await self._store.present(name, "", claim=False, ago=ago)).result, Spent)

    async def claim(self, name: str, owner: str, *, again: bool = False) -> Met:
        """Claim a token for `owner`, see `guard.present`; one that its family refuses is not claimed.

        Raises:
            StoreUnavailable: it may be claimed then.
        """
        met = await self._met(name, owner, again=again, claim=True)
        if isinstance(met.verdict, Ended | Spent):
            await self._store.release(name, owner)
        return met

    async def release(self, name: str, owner: str) -> None:
        """Take a claim back."""
        await self._store.release(name, owner)

    async def recall(self, lineage: Lineage) -> bytes | None:
        """Return the sealed answer to a token."""
        return await self._store.recall(lineage.family)

    async def open(self, user: str, family: str, names: tuple[str, ...], device: str, end: int = 0) -> Commit:
        """Start a family at a login, whose last token says that it ends at `end`."""
        turned = await self._store.turn(Lineage(user, family, 0), device, end)
        lineage = Lineage(user, family, turned.auth_time if isinstance(turned, Turned) else 0)
        await asyncio.gather(*(self._store.learn(name, lineage, fresh=True, end=end) for name in names))
        return turned

    async def commit(self, deal: Deal) -> Commit:
        """Write down that the backend has answered a token well; returns what became of its family."""
        lineage = deal.lineage
        grown = Lineage(lineage.user, lineage.family, lineage.auth_time, lineage.generation + 1)
        if deal.answer is not None:
            await self._store.keep(lineage.family, deal.answer)
        turned = await self._store.turn(grown if deal.successors else lineage, deal.device, deal.end)
        await asyncio.gather(*(self._store.learn(name, grown, fresh=False, end=deal.end) for name in deal.successors))
        if deal.name:
            spent, kept = bool(deal.successors), deal.answer is not None
            await self._store.trade(deal.name, deal.owner, lineage, spent=spent, kept=kept, end=deal.end)
        return turned

    async def end(self, lineage: Lineage, reason: str, now: int) -> bool:
        """End a family; False when it had ended before."""
        return await self._store.end(lineage, reason, now)

    async def _met(self, name: str, owner: str, *, again: bool, claim: bool) -> Met:
        seen = await self._store.present(name, owner, again=again, claim=claim)
        if isinstance(seen.result, Spent) and (ago := self.promises.ago(name)):
            seen = await self._store.present(name, owner, again=again, claim=claim, ago=ago)
        elif claim and not isinstance(seen.result, Busy):
            self.promises.judged(name)
        lineage = seen.result.lineage
        standing = await self._store.standing(lineage) if lineage is not None else None
        return Met(guard.judge(seen.result, seen.spent, standing), lineage, seen.now)
