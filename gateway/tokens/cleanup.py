"""`gateway tokens cleanup`: removes what is left of the old scheme, and nothing that a session still needs.

The one idea: no single look is believed. What may go is looked at again after a while, longer than any login takes to
write its keys, and is removed only if it still holds, byte for byte, what was judged. So a login or a refresh that goes
on at the same moment loses nothing. Keys of the new scheme are only read.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from gateway.events import Emit, ignore
from gateway.tokens.bulk import Progress, each, no_progress, read_many, scanned
from gateway.tokens.events import Audit
from gateway.tokens.legacy_store import LegacyStore
from gateway.tokens.migration import (
    FAMILY,
    TOKEN,
    USER,
    OldFamily,
    OldToken,
    Skipped,
    name_of,
    read_family,
    read_token,
)
from gateway.tokens.orphans import FOREIGN, TAKEN_OVER, Finding, Records, judge_family, judge_member, judge_token
from gateway.tokens.rotation import Policy

Kind = Literal["token", "family", "member"]

SETTLE: Final = 10.0
"""Seconds between the two looks."""
BATCH: Final = 1000
LOOKING: Final = "looking"
REMOVING: Final = "removing"


@dataclass(frozen=True, slots=True)
class Place:
    """A key, or one member of the set that it holds."""

    kind: Kind
    key: str
    member: str = ""


@dataclass(frozen=True, slots=True)
class Found:
    """What is at a place, and what is said of it."""

    place: Place
    finding: Finding
    value: bytes = field(repr=False)
    user: str
    family: str
    digest: str = ""
    device: str = ""


@dataclass(slots=True)
class Report:
    """What a clean-up did, or would do, by kind and reason."""

    dry_run: bool
    found: dict[str, Counter[str]] = field(
        default_factory=lambda: {k: Counter() for k in ("token", "family", "member")}
    )
    """What may go."""
    kept: dict[str, Counter[str]] = field(default_factory=lambda: {k: Counter() for k in ("token", "family", "member")})
    """What stays."""
    removed: int = 0
    spared: int = 0
    """Found, and then in use after all, or changed meanwhile."""

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return {
            "dry_run": self.dry_run,
            "found": {kind: dict(sorted(counts.items())) for kind, counts in self.found.items()},
            "kept": {kind: dict(sorted(counts.items())) for kind, counts in self.kept.items()},
            "removed": self.removed,
            "spared": self.spared,
        }


class Cleanup:
    """One run.

    Args:
        store: where old and new are.
        policy: lifetimes of the new scheme.
        emit: told an audit line for each removal.
        progress: told how far it is.
        settle: waits between the two looks.
    """

    def __init__(
        self,
        store: LegacyStore,
        policy: Policy,
        emit: Emit = ignore,
        progress: Progress = no_progress,
        settle: Callable[[], Awaitable[object]] = lambda: asyncio.sleep(SETTLE),
    ) -> None:
        self._store = store
        self._policy = policy
        self._emit = emit
        self._progress = progress
        self._settle = settle

    async def run(self, *, dry_run: bool = False, batch: int = BATCH) -> Report:
        """Remove what may go; with `dry_run` nothing is written.

        Raises:
            StoreUnavailable: when Redis did not answer. What was removed stays removed; run it again.
        """
        report = Report(dry_run)
        candidates: list[Found] = []
        looked_at = 0
        async for found in self._everything(batch):
            looked_at += len(found)
            for each_found in found:
                counts = report.found if each_found.finding.goes else report.kept
                counts[each_found.place.kind][each_found.finding.reason] += 1
            candidates += [f for f in found if f.finding.goes]
            self._progress(LOOKING, looked_at, 0)
        if dry_run or not candidates:
            return report
        if any(candidate.finding != TAKEN_OVER for candidate in candidates):
            await self._settle()
        for start in range(0, len(candidates), batch):
            await self._remove(candidates[start : start + batch], report)
            self._progress(REMOVING, min(start + batch, len(candidates)), len(candidates))
        return report

    async def _everything(self, batch: int) -> AsyncIterator[list[Found]]:
        kinds: tuple[tuple[Kind, str], ...] = (("token", TOKEN), ("family", FAMILY))
        for kind, prefix in kinds:
            async for keys in scanned(self._store, prefix, batch):
                yield await self._look([Place(kind, key) for key in keys])
        async for keys in scanned(self._store, USER, batch):
            sets = list(zip(keys, await each(keys, self._store.members), strict=True))
            foreign = await self._foreign([key for key, members in sets if not members])
            members = await self._look([Place("member", key, member) for key, members in sets for member in members])
            yield [*members, *foreign]

    async def _look(self, places: Sequence[Place]) -> list[Found]:
        """Return what is at each place; one where nothing is any more is left out."""
        tokens = await self._look_at_tokens([p for p in places if p.kind == "token"])
        families = await self._look_at_families([p for p in places if p.kind == "family"])
        return [*tokens, *families, *await self._look_at_members([p for p in places if p.kind == "member"])]

    async def _look_at_tokens(self, places: list[Place]) -> list[Found]:
        now, values = await read_many(self._store, [place.key for place in places])
        tokens = [
            read_token(place.key.removeprefix(TOKEN), value) for place, (value, _) in zip(places, values, strict=True)
        ]
        names = [token.family if isinstance(token, OldToken) else "" for token in tokens]
        families = await self._families(names)
        users = [token.user if isinstance(token, OldToken) else "" for token in tokens]
        records = await self._records(users)
        found = []
        for place, (value, ttl), token, name, user in zip(places, values, tokens, names, users, strict=True):
            if value is not None:
                family = families[name]
                finding = judge_token(token, family, ttl, records[user], now, self._policy)
                told = (user, name, place.key.removeprefix(TOKEN), _device(family))
                found.append(Found(place, finding, value, *told))
        return found

    async def _look_at_families(self, places: list[Place]) -> list[Found]:
        _, values = await read_many(self._store, [place.key for place in places])
        families = [read_family(value) for value, _ in values]
        digests = [family.digest if isinstance(family, OldFamily) else "" for family in families]
        _, held = await read_many(self._store, [f"{TOKEN}{digest}" for digest in digests])
        users = [family.user if isinstance(family, OldFamily) else "" for family in families]
        records = await self._records(users)
        found = []
        rows = zip(places, values, families, digests, held, users, strict=True)
        for place, (value, _), family, digest, (token, _), user in rows:
            if value is not None:
                name = place.key.removeprefix(FAMILY)
                finding = judge_family(name, family, read_token(digest, token), records[user])
                found.append(Found(place, finding, value, user, name, digest, _device(family)))
        return found

    async def _look_at_members(self, places: list[Place]) -> list[Found]:
        families = await self._families([place.member for place in places])
        users = [place.key.removeprefix(USER) for place in places]
        records = await self._records(users)
        found = []
        for place, user in zip(places, users, strict=True):
            family = families[place.member]
            finding = judge_member(user, place.member, family, records[user])
            digest = family.digest if isinstance(family, OldFamily) else ""
            found.append(Found(place, finding, b"", user, place.member, digest, _device(family)))
        return found

    async def _foreign(self, keys: list[str]) -> list[Found]:
        """Return those of the keys that are there, although no member of a set could be read from them."""
        _, values = await read_many(self._store, keys)
        held = [key for key, (value, _) in zip(keys, values, strict=True) if value is not None]
        return [Found(Place("member", key), FOREIGN, b"", key.removeprefix(USER), "") for key in held]

    async def _families(self, names: Iterable[str]) -> dict[str, Any]:
        wanted = list(dict.fromkeys(names))
        _, values = await read_many(self._store, [f"{FAMILY}{name}" for name in wanted])
        return {name: read_family(value) for name, (value, _) in zip(wanted, values, strict=True)}

    async def _records(self, users: Iterable[str]) -> dict[str, Records]:
        wanted = list(dict.fromkeys(users))
        return dict(zip(wanted, await each(wanted, self._store.records), strict=True))

    async def _remove(self, candidates: Sequence[Found], report: Report) -> None:
        again = [found for found in await self._look([c.place for c in candidates]) if found.finding.goes]
        removed = await each(again, self._remove_one)
        first = {candidate.place: candidate for candidate in candidates}
        for found, gone in zip(again, removed, strict=True):
            if gone:
                report.removed += 1
                self._emit(self._line(found, first[found.place]))
        report.spared += len(candidates) - sum(removed)

    def _line(self, found: Found, first: Found) -> Audit:
        """Return the line of a removal; what the second look did not find any more, the first one saw."""
        outcome = f"{found.place.kind}: {first.finding.reason}"
        family = name_of(found.family) if found.family else ""
        token = self._store.token_name(found.digest or first.digest)
        return Audit("cleanup", outcome, found.user, family, token, found.device or first.device)

    async def _remove_one(self, found: Found) -> bool:
        if found.place.kind == "member":
            return await self._store.leave(found.place.key, found.place.member)
        return await self._store.drop(found.place.key, found.value)


def _device(family: OldFamily | Skipped) -> str:
    return family.device if isinstance(family, OldFamily) else ""
