"""`gateway tokens migrate`: takes the sessions of the old scheme over, all of them, while the gateway serves.

The one idea: nothing is remembered between two runs, because each step may be done twice. A run that was killed is
simply run again; what it had done is found done. Old keys are only read.

First the tokens are listed, and grouped by user. Then, user by user, token and family are read once more, directly
before the user's families are written in one script, the most recently used first: so a cap is judged over all of a
user's families, and a dry run says exactly what a run would do.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from gateway.events import Emit, ignore
from gateway.tokens.bulk import Progress, each, no_progress, read_many, scanned
from gateway.tokens.events import audit_of
from gateway.tokens.legacy_store import LegacyStore
from gateway.tokens.migration import (
    FAMILY,
    SPENT,
    TOKEN,
    OldFamily,
    OldToken,
    Skipped,
    TakeOver,
    name_of,
    read_family,
    read_token,
    take_over,
)
from gateway.tokens.rotation import Evicted, Policy

BATCH: Final = 1000
MOST: Final = 1000
"""Families of one user that are looked at; more than any cap. Older ones count as over it."""
LISTING: Final = "listing"
TAKING: Final = "taking over"

_User = tuple[str, list[tuple[str, str]]]
"""A user, and digest and family of each of its tokens."""


class _Told(NamedTuple):
    """What an audit line says of a session: as much as is known of it."""

    user: str
    family: str
    digest: str = ""
    note: str = ""


_Wanted = tuple[str, list[tuple[TakeOver, _Told]]]
"""A user, and what is to be taken over, the most recently used first."""


@dataclass(slots=True)
class Report:
    """What a migration did, or would do."""

    dry_run: bool
    tokens: int = 0
    users: int = 0
    taken_over: int = 0
    renewed: int = 0
    """Taken over before, and traded by the old backend since: they wait for the newer token now."""
    unchanged: int = 0
    """Taken over before, and not used here yet."""
    evicted: int = 0
    """Taken over before, and ended for newer ones, because of the cap."""
    skipped: Counter[str] = field(default_factory=Counter)

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return {
            "dry_run": self.dry_run,
            "tokens": self.tokens,
            "users": self.users,
            "taken_over": self.taken_over,
            "renewed": self.renewed,
            "unchanged": self.unchanged,
            "evicted": self.evicted,
            "skipped": dict(sorted(self.skipped.items())),
        }


_COUNTED: Final = {"taken": "taken_over", "renewed": "renewed", "same": "unchanged"}


class Migration:
    """One run.

    Args:
        store: where old and new are.
        policy: lifetimes and limits of the new scheme.
        emit: told an audit line a step; a dry run takes none.
        progress: told how far it is.
    """

    def __init__(
        self, store: LegacyStore, policy: Policy, emit: Emit = ignore, progress: Progress = no_progress
    ) -> None:
        self._store = store
        self._policy = policy
        self._emit = emit
        self._progress = progress

    async def run(self, *, dry_run: bool = False, batch: int = BATCH) -> Report:
        """Take over what there is; with `dry_run` nothing is written.

        Raises:
            StoreUnavailable: when Redis did not answer. What was done stays done; run it again.
        """
        report = Report(dry_run)
        by_user = await self._list(report, batch)
        report.users = len(by_user)
        done, total = 0, sum(len(tokens) for tokens in by_user.values())
        for users in _portions(by_user, batch):
            await self._take(users, report)
            done += sum(len(tokens) for _, tokens in users)
            self._progress(TAKING, done, total)
        return report

    async def _list(self, report: Report, batch: int) -> dict[str, list[tuple[str, str]]]:
        by_user: defaultdict[str, list[tuple[str, str]]] = defaultdict(list)
        async for keys in scanned(self._store, TOKEN, batch):
            _, values = await read_many(self._store, keys)
            for key, (value, _) in zip(keys, values, strict=True):
                digest = key.removeprefix(TOKEN)
                token = read_token(digest, value)
                if isinstance(token, OldToken) and token.valid:
                    by_user[token.user].append((digest, token.family))
                elif isinstance(token, OldToken):
                    self._skip(report, SPENT.reason, _Told(token.user, name_of(token.family), digest))
                else:
                    self._skip(report, token.reason, _Told("", "", digest))
            report.tokens += len(keys)
            self._progress(LISTING, report.tokens, 0)
        return dict(by_user)

    async def _take(self, users: Sequence[_User], report: Report) -> None:
        """Read the tokens of some users and their families again, and write what they become."""
        named = [pair for _, tokens in users for pair in tokens]
        keys = [f"{FAMILY}{family}" for _, family in named] + [f"{TOKEN}{digest}" for digest, _ in named]
        now, values = await read_many(self._store, keys)
        families, tokens = iter(values[: len(named)]), iter(values[len(named) :])
        wanted: list[_Wanted] = []
        for user, pairs in users:
            verdicts: list[tuple[TakeOver, _Told]] = []
            for digest, name in pairs:
                (value, _), (token, ttl) = next(families), next(tokens)
                family = read_family(value)
                verdict = take_over(read_token(digest, token), family, ttl, now, self._policy)
                device = family.device if isinstance(family, OldFamily) else ""
                told = _Told(user, name_of(name), digest, f" {device}")
                if isinstance(verdict, Skipped):
                    self._skip(report, verdict.reason, told)
                else:
                    verdicts.append((verdict, told))
            if verdicts:
                wanted.append((user, sorted(verdicts, key=lambda v: (-v[0].rotated_ms, v[0].name))))
        for (user, verdicts), (states, evicted) in zip(wanted, await each(wanted, self._write(report)), strict=True):
            self._count(report, user, [told for _, told in verdicts], states, evicted)

    def _write(self, report: Report) -> Any:
        mode = "dry" if report.dry_run else "bulk"

        async def write(item: _Wanted) -> tuple[list[str], tuple[Evicted, ...]]:
            user, verdicts = item
            states, evicted = await self._store.take_over(user, [verdict for verdict, _ in verdicts[:MOST]], mode)
            return [*states, *["over_cap"] * (len(verdicts) - len(states))], evicted

        return write

    def _count(
        self, report: Report, user: str, every: list[_Told], states: list[str], evicted: tuple[Evicted, ...]
    ) -> None:
        for told, state in zip(every, states, strict=True):
            if state not in _COUNTED:
                self._skip(report, state, told)
                continue
            setattr(report, _COUNTED[state], getattr(report, _COUNTED[state]) + 1)
            if state != "same":
                self._audit(report, "taken-over" if state == "taken" else state, told)
        report.evicted += len(evicted)
        for name, device in evicted:
            self._audit(report, "evicted", _Told(user, name, "", device))

    def _skip(self, report: Report, reason: str, told: _Told) -> None:
        report.skipped[reason] += 1
        self._audit(report, f"skipped: {reason}", told)

    def _audit(self, report: Report, outcome: str, told: _Told) -> None:
        if not report.dry_run:
            token = self._store.token_name(told.digest)
            self._emit(audit_of("migrate", outcome, told.user, told.family, told.note, token))


def _portions(by_user: dict[str, list[tuple[str, str]]], size: int) -> Iterator[list[_User]]:
    """Cut the users into portions of about `size` tokens."""
    portion: list[_User] = []
    count = 0
    for user in by_user.items():
        portion.append(user)
        count += len(user[1])
        if count >= size:
            yield portion
            portion, count = [], 0
    if portion:
        yield portion
