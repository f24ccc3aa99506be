"""What the guard asks of whoever keeps the backend's tokens, and the form in memory.

The one idea: each step touches one key, the token's or the user's, and may be repeated when its answer was lost. What
the order of several steps leaves behind when it is broken off is `guard_steps`' matter.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

from gateway.clock import SYSTEM, Clock
from gateway.tokens import families, guard
from gateway.tokens.guard import Claimed, Commit, Lineage, Standing, Token
from gateway.tokens.memory import MemoryLedger
from gateway.tokens.rotation import Policy, Presented
from gateway.tokens.standstill import Pauses

FORWARD_SECONDS: Final = 10.0
"""A backend that takes longer for a refresh is not waited for; the outcome is then open, and a retry is forwarded."""
COMMIT_SECONDS: Final = 5.0
"""A claim outlives the forward by so much: time to commit. After a crash, nobody is held up for longer than both."""
CLAIM_MS: Final = round(1000 * (FORWARD_SECONDS + COMMIT_SECONDS))
"""Life of a claim, for `Terms`."""
ANSWER_SLACK_MS = 86_400_000
"""An answer lies longer than its grace, which may stand still while the store's own expiry runs on: without the answer
a retry in grace would be forwarded, and the backend may take a token that it has traded for stolen. A day is longer
than most outages; beyond it the backend decides. A family has room for one answer, so that is all it costs."""

Tell = Callable[[], Pauses]


def never() -> Pauses:
    """Tell of no pause."""
    return ()


@dataclass(frozen=True, slots=True)
class Terms:
    """How long things last. `pauses` tells when time stood still, as this gateway saw it."""

    policy: Policy
    claim_ms: int
    """Life of a claim: longer than a forward may take, and the commit after it."""
    pauses: Tell = never

    @property
    def answer_ms(self) -> int:
        """How long a sealed answer lies."""
        return self.policy.grace_ms + ANSWER_SLACK_MS


def as_of(ago: int, pauses: Pauses) -> Pauses:
    """Return the pauses by which a token is judged as it was `ago` ms before now: since then, time stood still."""
    if ago <= 0:
        return pauses
    before = [(max(ended, ago), ended + length - max(ended, ago)) for ended, length in pauses if ended + length > ago]
    return (0, ago), *before


@dataclass(frozen=True, slots=True)
class Seen:
    """What a presented token met, and when (the store's clock, ms)."""

    result: guard.Presented
    now: int
    spent: bool
    """The backend has given another one for it."""


class GuardStore(Protocol):
    """Tokens by name (a keyed hash), families by user.

    Raises:
        StoreUnavailable: by every step, when the store did not answer; what it did is then not known.
    """

    async def present(self, name: str, owner: str, *, again: bool = False, claim: bool = True, ago: int = 0) -> Seen:
        """Decide what a token meets, and claim it; with `claim` false only tell.

        `again`: the answer that was kept for it is not there. `ago`: grace is judged as it was so many ms before.
        """
        ...

    async def release(self, name: str, owner: str) -> None:
        """Take a claim back."""
        ...

    async def learn(self, name: str, lineage: Lineage, *, fresh: bool, end: int = 0) -> None:
        """Remember a token that the backend has just given, `fresh` from a login or by a refresh.

        It says that it ends at `end` (s, 0 when it does not say), and is remembered at least until then.
        """
        ...

    async def trade(self, name: str, owner: str, lineage: Lineage, *, spent: bool, kept: bool, end: int = 0) -> None:
        """Note that the backend has answered a token well, and take the claim back; `end` as in `learn`."""
        ...

    async def promise(self, name: str, ago: int) -> None:
        """Keep the promise that a token, presented `ago` ms before, is still good, see `guard.promise`."""
        ...

    async def keep(self, family: str, sealed: bytes) -> None:
        """Put the answer to a token away, in the place of the family's last one: that is not given again."""
        ...

    async def recall(self, family: str) -> bytes | None:
        """Return the answer that was put away."""
        ...

    async def standing(self, lineage: Lineage) -> Standing:
        """Tell whether a token's family has ended, or left the token behind."""
        ...

    async def turn(self, lineage: Lineage, device: str, end: int = 0) -> Commit:
        """Note a login or a refresh of a family, unless it has ended; the last of its tokens ends at `end`."""
        ...

    async def end(self, lineage: Lineage, reason: str, now: int) -> bool:
        """End a family; False when it had ended before. `now` (ms) is the store's, as it was last told."""
        ...


def burial(lineage: Lineage, now: int, policy: Policy) -> Presented:
    """Return how a ledger is told which family to end: one it does not know stays buried as long as tokens may live."""
    seconds = now // 1000
    until = seconds + max(policy.refresh_ttl, policy.session_ttl)
    return Presented(lineage.family, lineage.generation, lineage.auth_time, seconds, until)


class MemoryGuard:
    """Tokens of one process; their families are the ledger's."""

    def __init__(self, ledger: MemoryLedger, terms: Terms, clock: Clock = SYSTEM) -> None:
        self._ledger = ledger
        self._terms = terms
        self._clock = clock
        self._tokens: dict[str, tuple[Token, int]] = {}
        self._answers: dict[str, tuple[bytes, int]] = {}

    def token(self, name: str) -> Token | None:
        """Return the record of a token that is not forgotten."""
        token, until = self._tokens.get(name, (None, 0))
        return token if self._now() < until else None

    async def present(self, name: str, owner: str, *, again: bool = False, claim: bool = True, ago: int = 0) -> Seen:
        """Decide, see `GuardStore`."""
        now, token, terms = self._now(), self.token(name), self._terms
        pauses = as_of(ago, terms.pauses())
        result = guard.present(token, owner, now, terms.policy.grace_ms, pauses=pauses, again=again)
        if claim and isinstance(result, Claimed):
            claimed = guard.claim(token, owner, now, terms.claim_ms)
            until = claimed.claimed_until if claimed.lineage is None else self._tokens[name][1]
            self._tokens[name] = (claimed, until)
        return Seen(result, now, token is not None and token.spent)

    async def release(self, name: str, owner: str) -> None:
        """Take a claim back, see `GuardStore`."""
        released = guard.release(self.token(name), owner)
        if released is None:
            self._tokens.pop(name, None)
        else:
            self._tokens[name] = (released, self._tokens[name][1])

    async def learn(self, name: str, lineage: Lineage, *, fresh: bool, end: int = 0) -> None:
        """Remember a token, see `GuardStore`."""
        known = self.token(name)
        learned = guard.learn(known, lineage, fresh=fresh)
        if fresh or known is None or known.lineage is None:
            self._tokens[name] = (learned, self._memory(end))

    async def trade(self, name: str, owner: str, lineage: Lineage, *, spent: bool, kept: bool, end: int = 0) -> None:
        """Note a trade, see `GuardStore`."""
        traded = guard.trade(self.token(name), owner, lineage, self._now(), spent=spent, kept=kept)
        self._tokens[name] = (traded, self._memory(end))

    async def promise(self, name: str, ago: int) -> None:
        """Keep a promise, see `GuardStore`."""
        pauses = as_of(ago, self._terms.pauses())
        promised = guard.promise(self.token(name), self._now(), self._terms.policy.grace_ms, pauses)
        if promised is not None:
            self._tokens[name] = (promised, self._tokens[name][1])

    async def keep(self, family: str, sealed: bytes) -> None:
        """Put an answer away, see `GuardStore`."""
        self._answers[family] = (sealed, self._now() + self._terms.answer_ms)

    async def recall(self, family: str) -> bytes | None:
        """Return an answer, see `GuardStore`."""
        sealed, until = self._answers.get(family, (None, 0))
        return sealed if self._now() < until else None

    async def standing(self, lineage: Lineage) -> Standing:
        """Tell how a token stands in its family, see `GuardStore`."""
        return guard.standing(self._ledger.users[lineage.user], lineage)

    async def turn(self, lineage: Lineage, device: str, end: int = 0) -> Commit:
        """Note a turn, see `GuardStore`."""
        user = self._ledger.users[lineage.user]
        return guard.turn(user, lineage, device, self._now(), self._terms.policy, end=end)

    async def end(self, lineage: Lineage, reason: str, now: int) -> bool:
        """End a family, see `GuardStore`."""
        buried = burial(lineage, now, self._terms.policy)
        return families.end(self._ledger.users[lineage.user], buried, reason, self._now())

    def _memory(self, end: int) -> int:
        return self._now() + 1000 * guard.lasting(self._now(), end, self._terms.policy)

    def _now(self) -> int:
        return int(self._clock.wall() * 1000)
