"""The ledger in memory: the table run in Python, for tests and for whoever wants to try it without Redis.

The one idea: nothing is decided here; `rotation` and `families` decide, and this only keeps what they say.
"""

from __future__ import annotations

from collections import defaultdict

from gateway.clock import SYSTEM, Clock
from gateway.tokens import families
from gateway.tokens.families import User
from gateway.tokens.ledger import Opened, Remembered, Verdict
from gateway.tokens.records import Held
from gateway.tokens.records import held as held_at
from gateway.tokens.rotation import Adopted, Evicted, Family, Healed, Policy, Presented, Reused, Rotated, decide, keep


class MemoryLedger:
    """Families of one process. Its dataset begins when it is made, by `clock`."""

    def __init__(self, policy: Policy, clock: Clock = SYSTEM) -> None:
        self._policy = policy
        self._clock = clock
        self.users: defaultdict[str, User] = defaultdict(User)
        self.birth = self._now()

    async def issue(self, user: str, family: str, key_id: str, device: str) -> Opened:
        """Start a family, see `Ledger`."""
        now, held = self._now(), self.users[user]
        record = Family(1, key_id, now, now // 1000, self._policy.expiry(now, now // 1000), device=device)
        evicted: tuple[Evicted, ...] = ()
        match held.records.get(family):
            case None:
                evicted = self._admit(held, family, record, now)
            case Family() as known:
                record = known
        families.drop_dead(held, now)
        return Opened(record.rotated_ms, record.auth_time, record.expires, len(held.live()), evicted)

    async def refresh(self, user: str, presented: Presented, key_id: str) -> Verdict:
        """Decide what a token meets, see `Ledger`."""
        now, held = self._now(), self.users[user]
        record = held.records.get(presented.family)
        result = decide(record, presented, now, self._policy, key_id, self.birth, held.floor)
        match result:
            case Adopted(family=family):
                result = Adopted(family, self._admit(held, presented.family, family, now))
            case Rotated(family=family) | Healed(family=family):
                held.records[presented.family] = family
            case Reused(tombstone=tombstone):
                held.records[presented.family] = tombstone
        return Verdict(result, now)

    async def end(self, user: str, presented: Presented, reason: str) -> bool:
        """End a family, see `Ledger`."""
        return families.end(self.users[user], presented, reason, self._now())

    async def families(self, user: str) -> Held:
        """Return what is held of a user, see `Ledger`."""
        found = self.users[user]
        return held_at(self._now(), found.records, found.floor)

    async def close(self, user: str, family: str, reason: str) -> bool:
        """End a family by its name, see `Ledger`."""
        now, held = self._now(), self.users[user]
        families.drop_dead(held, now)
        known = family in held.records
        families.close(held, family, reason, now)
        return known

    async def close_all(self, user: str, reason: str) -> tuple[str, ...]:
        """End all families, see `Ledger`."""
        return families.close(self.users[user], None, reason, self._now())

    async def keep(self, user: str, presented: Presented) -> bool:
        """Keep a promise, see `Ledger`."""
        now, held = self._now(), self.users[user]
        kept = keep(held.records.get(presented.family), presented, now, self._policy)
        if kept is not None:
            held.records[presented.family] = kept
        return kept is not None

    async def remember(self, user: str, claims: str) -> None:
        """Keep what the backend says, see `Ledger`."""
        held = self.users[user]
        if held.records or held.floor or held.claims:
            held.claims = (self._now() // 1000, claims)

    async def recall(self, user: str) -> Remembered | None:
        """Return what the backend said, see `Ledger`."""
        claims = self.users[user].claims
        return Remembered(*claims) if claims else None

    def _admit(self, held: User, name: str, family: Family, now: int) -> tuple[Evicted, ...]:
        before = held.live()
        return tuple(Evicted(out, before[out].device) for out in families.admit(held, name, family, now, self._policy))

    def _now(self) -> int:
        return int(self._clock.wall() * 1000)
