"""The ledger in Redis, shared by every replica: one hash a user, one script a decision.

The one idea: a decision reads and writes a single key, the user's hash, by Redis's clock; nothing that is held in this
process takes part in it. The user is the key's hash tag, percent-encoded, so no name can leave its braces or its slot.

**The birth mark.** A family that Redis does not know is adopted when its token is older than the dataset: Redis was
restarted empty, and the client is not to blame. When the dataset began stands in a key of its own, which a script on
the user's key does not read (one key a script), and a copy held here would be wrong just when it matters, after a
restart. So it is read around the decision:

1. Every login sets the mark, unless it is there, *before* its family is written. Hence every family of this dataset
   that was not adopted began after the mark.
2. A refresh decides without the mark. Only when the family is unknown (which is rare) the mark is read, and the script
   runs again with it.
3. Before an unknown token is refused for good, the mark is read once more. If it changed, Redis lost its data between
   the two, and the decision is taken again: a refusal always speaks of the dataset that it was taken on.

On a cluster masters lose their data one by one, and slots move between them: there each slot has a mark of its own,
which is set, lost and moved like the users' hashes beside it.

**Late decisions.** A server that stood still carries out, when it wakes, what was asked before, although the callers
have long been told otherwise. So every refresh says when it was sent, by Redis's clock as it was last seen from here,
and the script decides nothing that comes later than `PATIENCE`. Should only the clock have stepped (a failover), the
answer shows the right time, and it is asked again.

Tombstones fit to this: those of families that began in this dataset may go early (their tokens are younger than the
mark), those of adopted ones stay as long as any of their tokens could be presented.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Any, Final

from gateway.clock import SYSTEM, Clock
from gateway.errors import StoreUnavailable
from gateway.redis_client.client import RedisClient
from gateway.redis_client.scripts import load
from gateway.tokens.ledger import Opened, Remembered, Verdict
from gateway.tokens.records import Held, held, parse_hash, user_key
from gateway.tokens.rotation import (
    Adopted,
    Ended,
    Evicted,
    Expired,
    Family,
    Healed,
    Policy,
    Presented,
    Replayed,
    Result,
    Reused,
    Rotated,
    Tombstone,
    Unknown,
)
from gateway.tokens.standstill import Pauses

_PACKAGE: Final = "gateway.tokens"
_ATTEMPTS: Final = 3


class RedisLedger:
    """Families in the hashes `{prefix}:t:{user}`, see `Ledger`."""

    def __init__(self, client: RedisClient, policy: Policy, prefix: str = "gw", clock: Clock = SYSTEM) -> None:
        self._client = client
        self._policy = policy
        self._prefix = prefix
        self._clock = clock
        self._ahead: int | None = None
        """Redis's clock less this process's monotonic one, ms, when it was last seen."""
        self._issue = load(_PACKAGE, "issue", prelude="families")
        self._rotate = load(_PACKAGE, "rotate", prelude="families")
        self._revoke = load(_PACKAGE, "revoke", prelude="families")
        self._birth = load(_PACKAGE, "birth")
        self._list = load(_PACKAGE, "list", prelude="families")
        self._close = load(_PACKAGE, "close", prelude="families")
        self._keep = load(_PACKAGE, "keep", prelude="families")
        self._claims = load(_PACKAGE, "claims", prelude="families")

    def key(self, user: str) -> str:
        """Return the key of a user's hash."""
        return user_key(self._prefix, user)

    async def issue(self, user: str, family: str, key_id: str, device: str) -> Opened:
        """Start a family, see `Ledger`."""
        await self._mark(user)
        policy = self._policy
        arguments = (family, key_id, device, policy.refresh_ttl, policy.session_ttl, policy.max_families)
        reply = await self._client.run(self._issue, [self.key(user)], arguments)
        rotated_ms, auth_time, expires, count, *evicted = reply
        return Opened(rotated_ms, auth_time, expires, count, evicted_of(evicted))

    async def refresh(self, user: str, presented: Presented, key_id: str) -> Verdict:
        """Decide what a token meets, see `Ledger`."""
        verdict = await self._decide(user, presented, key_id, 0)
        if not isinstance(verdict.result, Unknown) or not self._policy.adopt_lost:
            return verdict
        mark = await self._mark(user)
        for _ in range(_ATTEMPTS):
            verdict = await self._decide(user, presented, key_id, int(mark.partition(b":")[0]))
            if not isinstance(verdict.result, Unknown):
                return verdict
            mark, before = await self._mark(user), mark
            if mark == before:
                return verdict
        raise StoreUnavailable("other", "the dataset was replaced again and again")

    async def end(self, user: str, presented: Presented, reason: str) -> bool:
        """End a family, see `Ledger`."""
        arguments = (presented.family, reason, presented.auth_time, presented.expires)
        ended, _ = await self._client.run(self._revoke, [self.key(user)], arguments)
        return bool(ended)

    async def families(self, user: str) -> Held:
        """Return what is held of a user, see `Ledger`."""
        now, *fields = await self._client.run(self._list, [self.key(user)], [])
        return held(now, *parse_hash(dict(zip(fields[::2], fields[1::2], strict=True))))

    async def close(self, user: str, family: str, reason: str) -> bool:
        """End a family by its name, see `Ledger`."""
        if not family:
            return False  # the script reads an empty name as all of them
        known, *_ = await self._client.run(self._close, [self.key(user)], [family, reason, 0])
        return bool(known)

    async def close_all(self, user: str, reason: str) -> tuple[str, ...]:
        """End all families, see `Ledger`."""
        _, *closed = await self._client.run(self._close, [self.key(user)], ["", reason, self._policy.presentable])
        return tuple(family.decode() for family in closed)

    async def keep(self, user: str, presented: Presented) -> bool:
        """Keep a promise, see `Ledger`."""
        grace, pauses = self._policy.grace_ms, _told(presented.pauses)
        arguments = (presented.family, presented.generation, presented.ago, grace, pauses)
        kept, _ = await self._client.run(self._keep, [self.key(user)], arguments)
        return bool(kept)

    async def remember(self, user: str, claims: str) -> None:
        """Keep what the backend says, see `Ledger`."""
        await self._client.run(self._claims, [self.key(user)], [claims])

    async def recall(self, user: str) -> Remembered | None:
        """Return what the backend said, see `Ledger`."""
        kept = await self._client.run(self._claims, [self.key(user)], [""])
        return Remembered(kept[0], kept[1].decode()) if kept else None

    async def _mark(self, user: str) -> bytes:
        key = self._client.sibling(self.key(user), f"{self._prefix}:t:birth")
        mark: bytes = await self._client.run(self._birth, [key], [secrets.token_hex(8)])
        return mark

    async def _decide(self, user: str, presented: Presented, key_id: str, birth: int) -> Verdict:
        policy = self._policy
        token = (presented.family, presented.generation, presented.auth_time, presented.issued_at, presented.expires)
        limits = (policy.refresh_ttl, policy.session_ttl, policy.grace_ms, policy.max_families)
        passed = (birth, _told(presented.pauses), presented.ago)
        arguments = (*token, int(presented.degraded), presented.device, key_id, *limits, *passed)
        for _ in range(_ATTEMPTS):
            sent = 0 if self._ahead is None else self._monotonic() + self._ahead
            name, now, *rest = await self._client.run(self._rotate, [self.key(user)], (*arguments, sent))
            self._ahead = now - self._monotonic()
            if name != b"late":
                return Verdict(_result(name, rest), now)
        raise StoreUnavailable("timeout", "every decision came late")

    def _monotonic(self) -> int:
        return int(1000 * self._clock.monotonic())


def evicted_of(told: Sequence[bytes]) -> tuple[Evicted, ...]:
    """Return the families that a script ended to make room, as it tells of them."""
    return tuple(Evicted(*(text.decode() for text in pair)) for pair in zip(told[::2], told[1::2], strict=True))


def _result(name: bytes, rest: list[Any]) -> Result:
    match name:
        case b"rotated":
            return Rotated(_family(rest))
        case b"replayed":
            return Replayed(_family(rest))
        case b"healed":
            return Healed(_family(rest))
        case b"adopted":
            return Adopted(_family(rest), evicted_of(rest[8:]))
        case b"reused":
            return Reused(Tombstone("reused", *rest))
        case b"ended":
            return Ended(rest[0].decode())
        case b"expired":
            return Expired()
        case _:
            return Unknown()


def _family(fields: list[Any]) -> Family:
    generation, key_id, rotated_ms, auth_time, expires, adopted, kept, device = fields[:8]
    times = (rotated_ms, auth_time, expires)
    return Family(generation, key_id.decode(), *times, bool(adopted), device.decode(), bool(kept))


def _told(pauses: Pauses) -> str:
    return ",".join(f"{ago}:{length}" for ago, length in pauses)
