"""The ledger in Redis, shared by every replica: one hash a user, one script a decision.

The one idea: a decision reads and writes a single key, the user's hash, by Redis's clock; nothing that is held in this
process takes part in it. The user is the key's hash tag, percent-encoded, so no name can leave its braces or its slot.

**The birth mark.** A family that Redis does not know is adopted when its token is older than the dataset: Redis was
restarted empty, and the client is not to blame. When the dataset began stands in a key of its own, which a script on
the user's key cannot read on Cluster (another slot), and a copy held here would be wrong just when it matters, after a
restart. So it is read around the decision:

1. Every login sets the mark, unless it is there, *before* its family is written. Hence every family of this dataset
   that was not adopted began after the mark.
2. A refresh decides without the mark. Only when the family is unknown (which is rare) the mark is read, and the script
   runs again with it.
3. Before an unknown token is refused for good, the mark is read once more. If it changed, Redis lost its data between
   the two, and the decision is taken again: a refusal always speaks of the dataset that it was taken on.

Tombstones fit to this: those of families that began in this dataset may go early (their tokens are younger than the
mark), those of adopted ones stay as long as any of their tokens could be presented.
"""

from __future__ import annotations

import secrets
from typing import Any, Final
from urllib.parse import quote

from gateway.errors import StoreUnavailable
from gateway.redis_client.client import RedisClient
from gateway.redis_client.scripts import load
from gateway.tokens.ledger import Opened, Verdict
from gateway.tokens.rotation import (
    Adopted,
    Ended,
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

_PACKAGE: Final = "gateway.tokens"
_ATTEMPTS: Final = 3


class RedisLedger:
    """Families in the hashes `{prefix}:t:{user}`, see `Ledger`."""

    def __init__(self, client: RedisClient, policy: Policy, prefix: str = "gw") -> None:
        self._client = client
        self._policy = policy
        self._prefix = prefix
        self._issue = load(_PACKAGE, "issue", prelude="families")
        self._rotate = load(_PACKAGE, "rotate", prelude="families")
        self._revoke = load(_PACKAGE, "revoke", prelude="families")
        self._birth = load(_PACKAGE, "birth")

    def key(self, user: str) -> str:
        """Return the key of a user's hash."""
        return f"{self._prefix}:t:{{{quote(user, safe='')}}}"

    async def issue(self, user: str, family: str, key_id: str, device: str) -> Opened:
        """Start a family, see `Ledger`."""
        await self._mark()
        policy = self._policy
        arguments = (family, key_id, device, policy.refresh_ttl, policy.session_ttl, policy.max_families)
        reply = await self._client.run(self._issue, [self.key(user)], arguments)
        rotated_ms, auth_time, expires, count, *evicted = reply
        return Opened(rotated_ms, auth_time, expires, count, tuple(name.decode() for name in evicted))

    async def refresh(self, user: str, presented: Presented, key_id: str) -> Verdict:
        """Decide what a token meets, see `Ledger`."""
        verdict = await self._decide(user, presented, key_id, 0)
        if not isinstance(verdict.result, Unknown):
            return verdict
        mark = await self._mark()
        for _ in range(_ATTEMPTS):
            verdict = await self._decide(user, presented, key_id, int(mark.partition(b":")[0]))
            if not isinstance(verdict.result, Unknown):
                return verdict
            mark, before = await self._mark(), mark
            if mark == before:
                return verdict
        raise StoreUnavailable("other", "the dataset was replaced again and again")

    async def end(self, user: str, presented: Presented, reason: str) -> bool:
        """End a family, see `Ledger`."""
        arguments = (presented.family, reason, presented.auth_time, presented.expires)
        ended, _ = await self._client.run(self._revoke, [self.key(user)], arguments)
        return bool(ended)

    async def _mark(self) -> bytes:
        mark: bytes = await self._client.run(self._birth, [f"{self._prefix}:t:birth"], [secrets.token_hex(8)])
        return mark

    async def _decide(self, user: str, presented: Presented, key_id: str, birth: int) -> Verdict:
        policy = self._policy
        token = (presented.family, presented.generation, presented.auth_time, presented.issued_at, presented.expires)
        limits = (policy.refresh_ttl, policy.session_ttl, policy.grace_ms, policy.max_families)
        arguments = (*token, int(presented.degraded), presented.device, key_id, *limits, birth)
        name, now, *rest = await self._client.run(self._rotate, [self.key(user)], arguments)
        return Verdict(_result(name, rest), now)


def _result(name: bytes, rest: list[Any]) -> Result:
    match name:
        case b"rotated":
            return Rotated(_family(rest))
        case b"replayed":
            return Replayed(_family(rest))
        case b"healed":
            return Healed(_family(rest))
        case b"adopted":
            return Adopted(_family(rest), tuple(evicted.decode() for evicted in rest[7:]))
        case b"reused":
            return Reused(Tombstone("reused", *rest))
        case b"ended":
            return Ended(rest[0].decode())
        case b"expired":
            return Expired()
        case _:
            return Unknown()


def _family(fields: list[Any]) -> Family:
    generation, key_id, rotated_ms, auth_time, expires, adopted, device = fields[:7]
    return Family(generation, key_id.decode(), rotated_ms, auth_time, expires, bool(adopted), device.decode())
