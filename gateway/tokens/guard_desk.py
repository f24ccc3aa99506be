"""What login, refresh and logout share in `mode: guard`: what a request presents, refusing, and the audit trail.

The one idea: as in `desk`, a client hears one public text whatever was wrong with its token; which it was stands in the
trail. Unlike there, nothing is minted and nothing is read from a token but hints.

With several refresh secrets a token has several names. It is recorded under one of them, and only that record counts. A
token without a record is claimed under all of its names, in their order and not that of the secrets, so replicas that
have one secret in common never forward it both.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Final

from gateway.clock import SYSTEM, Clock
from gateway.errors import GatewayError, StoreUnavailable
from gateway.events import Emit, ignore
from gateway.exchange import Buffered, Exchange, Headers
from gateway.tokens.abuse import FailedAttempts
from gateway.tokens.answer import in_memory
from gateway.tokens.carrier import MAX_BODY, MAX_OPAQUE, carrier_of, refuse_query
from gateway.tokens.claims import MAX_TOKEN
from gateway.tokens.client import Client, client_of
from gateway.tokens.cookies import values_of
from gateway.tokens.desk import RETRY_AFTER
from gateway.tokens.dialect import dialect_of, malformed
from gateway.tokens.events import AttemptFailed, Audit, ExcessFamiliesCleaned, ReuseDetected, TokenOperation
from gateway.tokens.guard import Busy, Claimed, Commit, Kept, Lineage, Spent
from gateway.tokens.guard_answer import Reader
from gateway.tokens.guard_arrears import Arrears, Owed
from gateway.tokens.guard_content import client_proof, legible, refuse_in_url, tokens_in
from gateway.tokens.guard_steps import GuardSteps, Met
from gateway.tokens.guard_store import GuardStore
from gateway.tokens.guard_vault import Vault, ambiguous
from gateway.tokens.keys import Keys
from gateway.tokens.ledger import Available, always
from gateway.tokens.rotation import Ended
from gateway.tokens.settings import TokenSettings

_CONTROLS: Final = re.compile(r"[\x00-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class Shown:
    """A token that a request presents, and the names it may be known by."""

    text: str = field(repr=False)
    names: tuple[str, ...]
    client: Client
    proof: bytes = field(default=b"", repr=False)
    """A hash of what the client proves itself with, where clients do."""

    @property
    def name(self) -> str:
        """The name that it gets when it is not known."""
        return self.names[0]


@dataclass(frozen=True, slots=True)
class Found:
    """What a token met under the name that counts."""

    met: Met
    name: str
    held: tuple[str, ...] = ()
    """The names that it is claimed under."""


class GuardDesk:
    """The collaborators of the three operations."""

    def __init__(
        self,
        settings: TokenSettings,
        keys: Keys,
        store: GuardStore,
        emit: Emit = ignore,
        clock: Clock = SYSTEM,
        available: Available = always,
    ) -> None:
        self.settings = settings
        self.steps = GuardSteps(store, clock)
        self.vault = Vault(keys)
        self.reader = Reader(settings)
        self.emit = emit
        self.clock = clock
        self.available = available
        self._dialect = dialect_of(settings.dialect)
        self._carrier = carrier_of(settings)
        self._attempts = FailedAttempts()
        self.arrears = Arrears(self.steps, self._met, self._settled, self.alarm, clock)

    async def shown(self, exchange: Exchange) -> list[Shown]:
        """Return what a refresh presents, at least one token; it can still be forwarded.

        A token in the content is the one that is meant, and the only one: of repetitions, of two spellings of the name,
        and of content and cookie, backends take whichever they like.

        Raises:
            GatewayError: `invalid-request`, when it presents none, one that is none, or several.
        """
        refuse_query(exchange, self._dialect)
        refuse_in_url(exchange)
        content = await in_memory(exchange, MAX_BODY)
        if content is None or not legible(exchange.headers, content):
            raise malformed()
        named = tokens_in(content)
        if len(named) > 1:
            raise GatewayError("invalid-request", detail="The refresh token comes more than once.")
        presented = await self._carrier.presented(replace(exchange, body=Buffered(content)))
        texts = {self.vault.names(text): text for text in presented if _is_token(text)}
        if named:
            texts = {names: text for names, text in texts.items() if names == self.vault.names(named[0])}
        if not texts:
            raise malformed()
        proof = client_proof(exchange.headers, content) if self.settings.dialect == "oauth2" else b""
        return [Shown(text, names, client_of(exchange), proof) for names, text in texts.items()]

    async def shown_at_logout(self, exchange: Exchange) -> list[Shown]:
        """Return every token that a logout presents in any way; it can still be forwarded.

        Which of several the backend ends nobody knows, and whoever brings them may end them all.

        Raises:
            GatewayError: `invalid-request` for a token in the URL.
        """
        refuse_query(exchange, self._dialect)
        refuse_in_url(exchange)
        content = await in_memory(exchange, MAX_BODY)
        texts: list[str] = []
        with suppress(GatewayError):  # a form without end presents nothing
            texts += tokens_in(content or b"", *(("token",) if self.settings.dialect == "oauth2" else ()))[:MAX_OPAQUE]
        if self.settings.carrier != "json":
            texts += values_of(exchange.headers, self.settings.cookie.refresh.encode())[:MAX_OPAQUE]
        named = {self.vault.names(text): text for text in texts if _is_token(text)}
        return [Shown(text, names, client_of(exchange)) for names, text in named.items()]

    async def chosen(self, shown: list[Shown]) -> Shown:
        """Return the token that counts: the first of those that are good for most.

        Several come from duplicate cookies; one from an older path may well be spent, and is no reason for an alarm.
        """
        if len(shown) == 1:
            return shown[0]
        try:
            met = [((await self.look(each)).met, each) for each in shown]
        except StoreUnavailable:
            if self.settings.require_redis:  # whichever of them is the client's: it will hear that it stays good
                for each in shown:
                    self.steps.promises.make(each.names, self.clock.monotonic())
            return shown[0]
        return min(met, key=lambda pair: _rank(pair[0]))[1]

    async def look(self, shown: Shown) -> Found:
        """Tell what a token would meet, under whichever of its names it is known, after what is owed of it."""
        await self.arrears.settle(shown.names)
        return Found(*await self._met(shown.names))

    async def _met(self, names: tuple[str, ...]) -> tuple[Met, str]:
        found = [(await self.steps.look(name), name) for name in names]
        return min(found, key=lambda each: (_weight(each[0]), each[1])) if len(found) > 1 else found[0]

    async def claim(self, shown: Shown, owner: str, *, again: bool = False) -> Found:
        """Claim a token for `owner`, see `GuardSteps.claim`: its record, or without one all of its names.

        Raises:
            StoreUnavailable: any of its names may be claimed then.
        """
        await self.arrears.settle(shown.names)
        if len(shown.names) > 1:
            found = await self.look(shown)
            if found.met.lineage is None:
                return await self._claim_unknown(shown, owner)
            name = found.name
        else:
            name = shown.name
        return Found(await self.steps.claim(name, owner, again=again), name, (name,))

    async def release(self, names: Iterable[str], owner: str) -> None:
        """Take claims back."""
        for name in names:
            await self.steps.release(name, owner)

    async def _claim_unknown(self, shown: Shown, owner: str) -> Found:
        """Claim every name of a token, or none: then another replica has it, or gave it a record meanwhile."""
        held: list[str] = []
        for name in sorted(shown.names):
            met = await self.steps.claim(name, owner)
            if met.verdict != Claimed(None):
                await self.release([*held, name], owner)
                if isinstance(met.verdict, Claimed):  # a record that came after the look: its claim is another's turn
                    return await self.claim(shown, owner)
                return Found(met, name)
            held.append(name)
        return Found(met, shown.name, tuple(held))

    def refusal(self, private: str) -> GatewayError:
        """Return the one answer for every token that is not good (RFC 9110 section 15.5.2)."""
        headers: Headers = [(b"WWW-Authenticate", b"Bearer"), *self._carrier.clear_headers()]
        return GatewayError("invalid-token", private=private, headers=headers)

    def failed(self, exchange: Exchange, private: str) -> None:
        """Count a failed attempt: a token that nobody knows, and that the backend refused. No other ever comes here.

        The trail has it by its network: what nobody knows is of no family, and anybody can bring any number.

        Raises:
            GatewayError: `too-many-attempts`, in the place of the backend's answer, when its address had too many.
        """
        wait = self._attempts.failed(exchange.client, self.clock.monotonic())
        outcome = "invalid" if wait is None else "too-many-attempts"
        self.emit(AttemptFailed("refresh", outcome, client_of(exchange).network))
        if wait is not None:
            raise GatewayError("too-many-attempts", private=private, retry_after=wait)

    def redis_required(self, private: str, *, forget: bool = False) -> GatewayError:
        """Return the answer for an operation that Redis is needed for; `forget`: the client's cookies go."""
        headers = self._carrier.clear_headers() if forget else []
        return GatewayError("redis-required", private=private, retry_after=RETRY_AFTER, headers=headers)

    @property
    def closed(self) -> bool:
        """Whether strict mode lets nothing be judged now: Redis is away, as the gate tells."""
        return self.settings.require_redis and not self.available()

    def count(self, operation: str, result: str) -> None:
        """Report an operation that concerns no family."""
        self.emit(TokenOperation(operation, result))

    def note(
        self, operation: str, result: str, lineage: Lineage | None, shown: Shown | Client, outcome: str = ""
    ) -> None:
        """Report how an operation ended: the result to the metrics, the outcome to the trail."""
        self.count(operation, result)
        client = shown.client if isinstance(shown, Shown) else shown
        hashed = self.vault.fingerprint(shown.text) if isinstance(shown, Shown) else ""
        user, family = (lineage.user, lineage.family) if lineage is not None else ("", "")
        self.emit(Audit(operation, outcome or result, user, family, hashed, client.device, client.network))

    def _settled(self, owed: Owed, lineage: Lineage, turned: Commit) -> None:
        """Report what was written down late; the operation itself was counted when it was answered."""
        outcome = f"{turned.reason}, committed late" if isinstance(turned, Ended) else "committed late"
        action, client = "refresh" if owed.names else "issue", owed.client
        told = (lineage.user, lineage.family, owed.fingerprint, client.device, client.network)
        self.emit(Audit(action, outcome, *told))
        if not isinstance(turned, Ended):
            self.note_evicted(lineage.user, turned.evicted)

    def alarm(self, lineage: Lineage) -> None:
        """Report that a spent token came back."""
        self.emit(ReuseDetected(lineage.user, lineage.family, lineage.generation))

    def note_evicted(self, user: str, evicted: Iterable[str]) -> None:
        """Report the families that made room for a new one."""
        families = tuple(evicted)
        if families:
            self.emit(ExcessFamiliesCleaned(user, families))
        for family in families:
            self.emit(Audit("evict", "evicted", user, family))


def _is_token(text: str) -> bool:
    """Tell whether this may be a token of the backend's, whatever it mints."""
    return 0 < len(text) <= MAX_TOKEN and _CONTROLS.search(text) is None and not ambiguous(text)


def _weight(met: Met) -> int:
    """Order what one token meets under its names: a record before a claim before nothing, the strictest first."""
    match met.verdict:
        case Ended():
            return 0
        case Spent():
            return 1
        case Kept():
            return 2
        case Busy(lineage=Lineage()):
            return 3
        case Claimed(lineage=Lineage()):
            return 4
        case Busy():
            return 5
    return 6


def _rank(met: Met) -> int:
    """Order what different tokens meet."""
    match met.verdict:
        case Claimed(lineage=Lineage()) | Busy(lineage=Lineage()):
            return 0
        case Kept():
            return 1
        case Claimed() | Busy():
            return 2
    return 3
