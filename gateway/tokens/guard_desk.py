"""What login, refresh and logout share in `mode: guard`: what a request presents, refusing, and the audit trail.

The one idea: as in `desk`, a client hears one public text whatever was wrong with its token; which it was stands in the
trail. Unlike there, nothing is minted and nothing is read from a token but hints.

With several refresh secrets a token has several names. It is recorded under one of them, and only that record counts. A
token without a record is claimed under all of its names, in their order and not that of the secrets, so replicas that
have one secret in common never forward it both.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Final

from gateway.clock import SYSTEM, Clock
from gateway.errors import GatewayError, StoreUnavailable
from gateway.events import Emit, ignore
from gateway.exchange import Buffered, Exchange, Headers, header_values, without
from gateway.tokens.answer import in_memory
from gateway.tokens.carrier import MAX_BODY, carrier_of, refuse_query
from gateway.tokens.claims import MAX_TOKEN
from gateway.tokens.client import Client, client_of
from gateway.tokens.cookies import values_of, without_cookie
from gateway.tokens.desk import RETRY_AFTER
from gateway.tokens.dialect import Operation, dialect_of, malformed
from gateway.tokens.events import Audit, ExcessFamiliesCleaned, TokenOperation
from gateway.tokens.guard import Busy, Claimed, Kept, Lineage, Spent
from gateway.tokens.guard_answer import Reader
from gateway.tokens.guard_steps import GuardSteps, Met
from gateway.tokens.guard_store import GuardStore
from gateway.tokens.guard_vault import Vault, misspelt
from gateway.tokens.keys import Keys
from gateway.tokens.rotation import Ended
from gateway.tokens.settings import TokenSettings

_ACCEPT_ENCODING: Final = frozenset((b"accept-encoding",))


@dataclass(frozen=True, slots=True)
class Shown:
    """A token that a request presents, and the names it may be known by."""

    text: str = field(repr=False)
    names: tuple[str, ...]
    client: Client

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
        self, settings: TokenSettings, keys: Keys, store: GuardStore, emit: Emit = ignore, clock: Clock = SYSTEM
    ) -> None:
        self.settings = settings
        self.steps = GuardSteps(store)
        self.vault = Vault(keys)
        self.reader = Reader(settings)
        self.emit = emit
        self.clock = clock
        self._dialect = dialect_of(settings.dialect)
        self._carrier = carrier_of(settings)

    async def shown(self, exchange: Exchange, operation: Operation) -> list[Shown]:
        """Return what a request presents, at least one token; it can still be forwarded.

        Raises:
            GatewayError: `invalid-request`, when it presents none, or one that is none, or a JWT in a
                spelling that is not its own.
        """
        refuse_query(exchange, self._dialect)
        content = await in_memory(exchange, MAX_BODY)
        if content is None and operation == "refresh":
            raise malformed()
        probe = replace(exchange, body=Buffered(content or b""))
        texts = await self._carrier.presented(probe, operation)
        if not texts or not all(0 < len(text) <= MAX_TOKEN for text in texts) or any(map(misspelt, texts)):
            raise malformed()
        client = client_of(exchange)
        return [Shown(text, names, client) for names, text in {self.vault.names(text): text for text in texts}.items()]

    async def chosen(self, shown: list[Shown]) -> Shown:
        """Return the token that counts: the first of those that are good for most.

        Several come from duplicate cookies; one from an older path may well be spent, and is no reason for an alarm.
        """
        if len(shown) == 1:
            return shown[0]
        try:
            met = [((await self.look(each)).met, each) for each in shown]
        except StoreUnavailable:
            return shown[0]
        return min(met, key=lambda pair: _rank(pair[0]))[1]

    async def look(self, shown: Shown) -> Found:
        """Tell what a token would meet, under whichever of its names it is known."""
        found = [Found(await self.steps.look(name), name) for name in shown.names]
        return min(found, key=lambda each: (_weight(each.met), each.name)) if len(found) > 1 else found[0]

    async def claim(self, shown: Shown, owner: str, *, again: bool = False) -> Found:
        """Claim a token for `owner`, see `GuardSteps.claim`: its record, or without one all of its names."""
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
            try:
                met = await self.steps.claim(name, owner)
            except StoreUnavailable:
                with suppress(StoreUnavailable):  # they would run out by themselves
                    await self.release(held, owner)
                raise
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

    def redis_required(self, private: str, *, forget: bool = False) -> GatewayError:
        """Return the answer for an operation that Redis is needed for; `forget`: the client's cookies go."""
        headers = self._carrier.clear_headers() if forget else []
        return GatewayError("redis-required", private=private, retry_after=RETRY_AFTER, headers=headers)

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

    def note_evicted(self, user: str, evicted: Iterable[str]) -> None:
        """Report the families that made room for a new one."""
        families = tuple(evicted)
        if families:
            self.emit(ExcessFamiliesCleaned(user, families))
        for family in families:
            self.emit(Audit("evict", "evicted", user, family))


def readable(headers: Headers) -> Headers:
    """Return a request's fields that ask for an answer which can be read."""
    return [*without(headers, _ACCEPT_ENCODING), (b"Accept-Encoding", b"identity")]


def only_cookie(headers: Headers, name: bytes, value: str) -> Headers:
    """Return a request's fields with `value` as the only cookie `name`; with none, if it came in the content.

    The backend is to judge the token that was claimed; of duplicates, and of cookie and content, servers take whichever
    they like.
    """
    values = values_of(headers, name)
    if value not in values:
        return without_cookie(headers, name)
    if len(set(values)) == 1 and _count(headers, name) == len(values):
        return headers
    cookie = b"%b=%b" % (name, value.encode("latin-1"))
    rest = without_cookie(headers, name)
    for index, (key, line) in enumerate(rest):
        if key.lower() == b"cookie":
            return [*rest[:index], (key, b"%b; %b" % (line, cookie)), *rest[index + 1 :]]
    return [*rest, (b"Cookie", cookie)]


def _count(headers: Headers, name: bytes) -> int:
    """Count the cookies that some server may take for `name`: there are those that trim it."""
    lines = header_values(headers, b"cookie")
    return sum(pair.partition(b"=")[0].strip() == name for line in lines for pair in line.split(b";"))


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
