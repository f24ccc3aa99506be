"""`gateway tokens stats`: how many sessions there are, and how they are spread over the users.

The one idea: it reads in batches and writes nothing, so it may run beside any load; its counts are of no single moment.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from gateway.tokens.bulk import Progress, each, no_progress, scanned
from gateway.tokens.legacy_store import LegacyStore
from gateway.tokens.migration import FAMILY, TOKEN, USER
from gateway.tokens.records import user_of
from gateway.tokens.redis_ledger import RedisLedger

COUNTING = "counting"


@dataclass(slots=True)
class Statistics:
    """What was counted."""

    users: int = 0
    """Users with a live family."""
    families: int = 0
    waiting: int = 0
    """Families that were taken over, and whose holders have not come yet."""
    ended: int = 0
    """Tombstones."""
    per_user: Counter[int] = field(default_factory=Counter)
    """Users by the number of their live families."""
    old: dict[str, int] = field(default_factory=dict)
    """Keys of the old scheme."""

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return {
            "users": self.users,
            "families": self.families,
            "waiting": self.waiting,
            "ended": self.ended,
            "families_per_user": {str(count): users for count, users in sorted(self.per_user.items())},
            "old_scheme": self.old,
        }


async def count(
    ledger: RedisLedger, store: LegacyStore, prefix: str, batch: int = 1000, progress: Progress = no_progress
) -> Statistics:
    """Count what there is.

    Raises:
        StoreUnavailable: when Redis did not answer.
    """
    statistics = Statistics()
    async for keys in scanned(store, f"{prefix}:t:{{", batch):
        users = [user for key in keys if (user := user_of(prefix, key)) is not None]
        for held in await each(users, ledger.families):
            live = list(held.live.values())
            statistics.users += bool(live)
            statistics.families += len(live)
            statistics.waiting += sum(family.generation == 0 for family in live)
            statistics.ended += len(held.ended)
            statistics.per_user[len(live)] += bool(live)
        progress(COUNTING, statistics.users, 0)
    statistics.per_user = +statistics.per_user
    for name, pattern in (("tokens", TOKEN), ("families", FAMILY), ("users", USER)):
        statistics.old[name] = 0
        async for keys in scanned(store, pattern, batch):
            statistics.old[name] += len(keys)
    return statistics
