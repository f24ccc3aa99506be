"""A login: the backend judges it, and what it says of the user starts a family.

The one idea: a family lives exactly as long as somebody may hold its token. From the moment it may have been written
until the answer has been handed over whole, every way out ends it, and an end that Redis does not hear of is owed.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from gateway.errors import StoreUnavailable
from gateway.exchange import Exchange, Handler, Reply, without
from gateway.tokens.answer import Answer, look_into
from gateway.tokens.claims import Login, new_family
from gateway.tokens.client import Client, client_of
from gateway.tokens.desk import Desk
from gateway.tokens.dialect import Pair
from gateway.tokens.events import Audit, FamiliesAtLogin, LoginUnreadable, TokenOperation
from gateway.tokens.identity import has_subject, login_of
from gateway.tokens.outbox import Outbox
from gateway.tokens.rotation import Family, Presented

_ACCEPT_ENCODING: Final = frozenset((b"accept-encoding",))


@dataclass(frozen=True, slots=True, eq=False)
class _Undelivered:
    """A family whose token nobody was given."""

    user: str
    presented: Presented
    client: Client
    minted: str = field(repr=False)
    """The token; empty when there was none yet."""
    due: float = 0.0

    @property
    def expires(self) -> float:
        """When its token ends (s)."""
        return self.presented.expires


class LoginDesk:
    """Forwards logins and adds the pair to those that succeed. `run` is the lifecycle's."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._owed: Outbox[str, _Undelivered] = Outbox(self._end, desk.clock)

    async def run(self) -> None:
        """End what nobody was given, as soon as Redis answers, for ever."""
        await self._owed.run()

    async def handle(self, exchange: Exchange, forward: Handler) -> Reply:
        """Forward a login, asking for an answer that can be read."""
        exchange.headers = [*without(exchange.headers, _ACCEPT_ENCODING), (b"Accept-Encoding", b"identity")]
        reply = await forward(exchange)
        try:
            answer = await look_into(reply)
            identity = self._desk.settings.identity
            login = login_of(answer.document.value, identity) if answer is not None else None
            if answer is None or login is None:
                if 200 <= reply.status < 300 and (answer is None or has_subject(answer.document.value, identity)):
                    self._desk.emit(LoginUnreadable(exchange.route))
                return reply
            return await self._with_family(answer, login, client_of(exchange))
        except BaseException:
            await reply.body.aclose()
            raise

    async def _with_family(self, answer: Answer, login: Login, client: Client) -> Reply:
        family, minted = new_family(), ""

        async def undelivered() -> None:
            await self._take_back(login.user, family, client, minted)

        try:
            pair = await self._start(login, family, client)
            minted = pair.refresh
            return answer.with_pair(pair, self._desk.carrier, undelivered)
        except BaseException:
            await undelivered()
            raise

    async def _start(self, login: Login, family: str, client: Client) -> Pair:
        desk, user = self._desk, login.user
        try:
            opened = await desk.ledger.issue(user, family, desk.mint.key_id, client.note)
        except StoreUnavailable as away:
            if desk.settings.require_redis:
                self._note("redis_required", user, family, client)
                raise desk.redis_required(f"login: {away.kind}", []) from None
            record = self._of_our_own(client)
            pair = desk.pair(login, family, record, record.auth_time, degraded=True)
            self._note("degraded", user, family, client, pair.refresh)
            return pair
        record = Family(1, desk.mint.key_id, opened.rotated_ms, opened.auth_time, opened.expires)
        pair = desk.pair(login, family, record, opened.auth_time)
        self._note("ok", user, family, client, pair.refresh)
        desk.emit(FamiliesAtLogin(opened.count))
        desk.note_evicted(user, opened.evicted)
        return pair

    def _of_our_own(self, client: Client) -> Family:
        """Return a record by this pod's clock, for a family that no ledger knows yet."""
        now = int(self._desk.clock.wall() * 1000)
        expires = self._desk.policy.expiry(now, now // 1000)
        return Family(1, self._desk.mint.key_id, now, now // 1000, expires, device=client.note)

    async def _take_back(self, user: str, family: str, client: Client, minted: str) -> None:
        """End a family whose token nobody was given, now or when the store can be reached."""
        own = self._of_our_own(client)
        presented = Presented(family, 1, own.auth_time, own.auth_time, own.expires)
        undelivered = _Undelivered(user, presented, client, minted)
        try:
            await self._end(undelivered)
        except StoreUnavailable:
            self._owed.put(family, undelivered)

    async def _end(self, family: _Undelivered) -> None:
        await self._desk.ledger.end(family.user, family.presented, "undelivered")
        self._note("undelivered", family.user, family.presented.family, family.client, family.minted)

    def _note(self, result: str, user: str, family: str, client: Client, minted: str = "") -> None:
        hashed = self._desk.mint.fingerprint(minted) if minted else ""
        self._desk.emit(TokenOperation("issue", result))
        self._desk.emit(Audit("issue", result, user, family, hashed, client.device, client.network))
