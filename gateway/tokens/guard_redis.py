"""The backend's tokens in Redis, shared by every replica: one key a token, one script a step.

The one idea: a token's record (`{prefix}:g:{name}`) is found by the token's name alone, which is a keyed hash; its
family is in the user's hash (`{prefix}:t:{user}`), where the ledger's scripts see it too, so listing, the cap and
revoking are the same in both modes. The last answer of a family (`{prefix}:g:{family}:answer`) is the only one that is
ever given again. Nothing that is held here can be presented to anybody: names are hashes, answers are sealed.

Every record expires: a claim with its time, a token `refresh_ttl` after it was given or traded, or when it says that it
ends (spent ones are remembered for as long as they could still be tried), an answer a day after its grace, which may
have stood still.
"""

from __future__ import annotations

from typing import Any, Final

from gateway.redis_client.client import RedisClient
from gateway.redis_client.scripts import load
from gateway.tokens import guard
from gateway.tokens.guard import KEY_ID, Busy, Claimed, Commit, Kept, Lineage, Overtaken, Spent, Standing, Turned
from gateway.tokens.guard_store import Seen, Terms, as_of, burial
from gateway.tokens.redis_ledger import RedisLedger
from gateway.tokens.rotation import Ended

_PACKAGE: Final = "gateway.tokens"


class RedisGuard:
    """See `GuardStore`. Families are those of `ledger`."""

    def __init__(self, client: RedisClient, ledger: RedisLedger, terms: Terms, prefix: str = "gw") -> None:
        self._client = client
        self._ledger = ledger
        self._terms = terms
        self._prefix = prefix
        self._claim = load(_PACKAGE, "guard_claim", prelude="guard_record")
        self._release = load(_PACKAGE, "guard_release", prelude="guard_record")
        self._learn = load(_PACKAGE, "guard_learn", prelude="guard_record")
        self._trade = load(_PACKAGE, "guard_trade", prelude="guard_record")
        self._promise = load(_PACKAGE, "guard_promise", prelude="guard_record")
        self._standing = load(_PACKAGE, "guard_standing", prelude="families")
        self._turn = load(_PACKAGE, "guard_turn", prelude="families")
        self._keep = load(_PACKAGE, "guard_keep")

    def key(self, name: str) -> str:
        """Return the key of a token's record."""
        return f"{self._prefix}:g:{{{name}}}"

    async def present(self, name: str, owner: str, *, again: bool = False, claim: bool = True, ago: int = 0) -> Seen:
        """Decide, see `GuardStore`."""
        terms = self._terms
        arguments = (owner, terms.claim_ms, terms.policy.grace_ms, self._pauses(ago), int(again), int(claim))
        verdict, now, spent, *rest = await self._client.run(self._claim, [self.key(name)], arguments)
        return Seen(_presented(verdict, *rest), now, spent == 1)

    async def release(self, name: str, owner: str) -> None:
        """Take a claim back, see `GuardStore`."""
        await self._client.run(self._release, [self.key(name)], [owner])

    async def learn(self, name: str, lineage: Lineage, *, fresh: bool, end: int = 0) -> None:
        """Remember a token, see `GuardStore`."""
        arguments = (*_told(lineage), *self._lasting(end), int(fresh))
        await self._client.run(self._learn, [self.key(name)], arguments)

    async def trade(self, name: str, owner: str, lineage: Lineage, *, spent: bool, kept: bool, end: int = 0) -> None:
        """Note a trade, see `GuardStore`."""
        arguments = (owner, int(spent), int(kept), *_told(lineage), *self._lasting(end))
        await self._client.run(self._trade, [self.key(name)], arguments)

    async def promise(self, name: str, ago: int) -> None:
        """Keep a promise, see `GuardStore`."""
        await self._client.run(self._promise, [self.key(name)], [self._terms.policy.grace_ms, self._pauses(ago)])

    async def keep(self, family: str, sealed: bytes) -> None:
        """Put an answer away, see `GuardStore`."""
        await self._client.run(self._keep, [self._answer(family)], [sealed, self._terms.answer_ms])

    async def recall(self, family: str) -> bytes | None:
        """Return an answer, see `GuardStore`."""
        sealed: bytes | None = await self._client.call("GET", self._answer(family))
        return sealed

    async def standing(self, lineage: Lineage) -> Standing:
        """Tell how a token stands in its family, see `GuardStore`."""
        arguments = (lineage.family, lineage.auth_time, lineage.generation)
        word, _, *rest = await self._client.run(self._standing, [self._ledger.key(lineage.user)], arguments)
        if word == b"ended":
            return Ended(rest[0].decode())
        return Overtaken() if word == b"overtaken" else None

    async def turn(self, lineage: Lineage, device: str, end: int = 0) -> Commit:
        """Note a turn, see `GuardStore`."""
        policy = self._terms.policy
        family = (lineage.family, lineage.generation, lineage.auth_time, KEY_ID, device)
        arguments = (*family, policy.refresh_ttl, policy.max_families, end, policy.session_ttl)
        word, _, *rest = await self._client.run(self._turn, [self._ledger.key(lineage.user)], arguments)
        if word == b"ended":
            return Ended(rest[0].decode())
        auth_time, count, *evicted = rest
        return Turned(auth_time, count, tuple(name.decode() for name in evicted))

    async def end(self, lineage: Lineage, reason: str, now: int) -> bool:
        """End a family, see `GuardStore`."""
        return await self._ledger.end(lineage.user, burial(lineage, now, self._terms.policy), reason)

    def _answer(self, family: str) -> str:
        return f"{self.key(family)}:answer"

    def _pauses(self, ago: int) -> str:
        return ",".join(f"{ended}:{length}" for ended, length in as_of(ago, self._terms.pauses()))

    def _lasting(self, end: int) -> tuple[int, int, int]:
        return self._terms.policy.refresh_ttl, end, self._terms.policy.session_ttl


def _told(lineage: Lineage) -> tuple[int, int, str, str]:
    return lineage.generation, lineage.auth_time, lineage.family, lineage.user


def _presented(
    verdict: bytes, generation: int, auth_time: int, family: bytes, user: bytes, until: Any
) -> guard.Presented:
    lineage = Lineage(user.decode(), family.decode(), auth_time, generation) if family else None
    match verdict:
        case b"kept" if lineage is not None:
            return Kept(lineage)
        case b"spent" if lineage is not None:
            return Spent(lineage)
        case b"busy":
            return Busy(lineage, until)
        case _:
            return Claimed(lineage)
