"""A refresh in `mode: guard`: claimed, forwarded, committed, and its answer given to everybody who asked.

The one idea: one flight a token. The first request of a replica starts it, in a task that goes on when its client has
gone; the others wait for what it brings. Between replicas the claim in the store does the same: whoever finds it taken
asks again until there is an answer, or until the claim has run out and the token is theirs to forward.

Where clients prove who they are (dialect `oauth2`), an answer is for those who prove the same (RFC 6749 section 6).
Whoever proves another thing or nothing waits until the flight is over, and is then the backend's to judge.
"""

from __future__ import annotations

import asyncio
import secrets
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Final

from gateway.errors import GatewayError, StoreUnavailable
from gateway.exchange import Exchange, Handler, Reply, read_all, without
from gateway.tokens.guard import Kept, Lineage, Spent
from gateway.tokens.guard_answer import Verbatim
from gateway.tokens.guard_arrears import Owed
from gateway.tokens.guard_claim import Claims, Flight
from gateway.tokens.guard_content import only_cookie, readable
from gateway.tokens.guard_deal import deal_of
from gateway.tokens.guard_desk import GuardDesk, Shown
from gateway.tokens.guard_shelter import Shelter, outcome
from gateway.tokens.guard_steps import Met
from gateway.tokens.guard_store import FORWARD_SECONDS
from gateway.tokens.rotation import Ended

MAX_FORWARDED: Final = 16 * 1024 * 1024
"""Bytes of an answer to a refresh that are taken into memory; far more than any."""
_REJECTIONS: Final = frozenset((400, 401, 403))
"""What a backend says of a token that it does not take, rather than of the moment."""
_NOT_FORWARDED: Final = frozenset((b"upgrade", b"connection", b"expect"))
"""Fields for which a refresh could be answered with anything but an answer."""


@dataclass(frozen=True, slots=True)
class Landed:
    """What a flight brings: an answer, or an error for everybody."""

    answer: Verbatim | None = None
    error: Exception | None = None
    upstream_seconds: float = 0.0
    failed: bool = False
    """The backend refused a token that nobody knows."""


class GuardRefresh:
    """Refreshes of the backend's tokens.

    Args:
        desk: what the operations share.
        shelter: where flights go on without their clients.
        forward_seconds: how long the backend may take, its answer's content included.
    """

    def __init__(self, desk: GuardDesk, shelter: Shelter, forward_seconds: float = FORWARD_SECONDS) -> None:
        self._desk = desk
        self._shelter = shelter
        self._forward_seconds = forward_seconds
        self._claims = Claims(desk, forward_seconds)
        self._flights: dict[str, tuple[bytes, asyncio.Task[Landed]]] = {}

    async def handle(self, exchange: Exchange, forward: Handler) -> Reply:
        """Answer a refresh with what the backend says, or said a moment ago.

        Raises:
            GatewayError: `invalid-request`, `invalid-token`, `too-many-attempts`, `redis-required`; `upstream-timeout`
                and `upstream-unreachable`, when the backend has not answered.
        """
        desk = self._desk
        try:
            shown = await desk.chosen(await desk.shown(exchange))
        except GatewayError:
            if desk.closed:  # an outage is told before anything is said of a token
                raise desk.redis_required("refresh: away") from None
            desk.count("refresh", "malformed")
            raise
        landed = await outcome(await self._flight(shown, exchange, forward))
        exchange.upstream_seconds += landed.upstream_seconds
        if landed.failed:
            desk.failed(exchange, "refresh: unknown, and rejected")
        if landed.answer is None:
            raise _own(landed.error)
        return landed.answer.reply()

    async def _flight(self, shown: Shown, exchange: Exchange, forward: Handler) -> asyncio.Task[Landed]:
        while (known := self._flights.get(shown.name)) is not None:
            proof, task = known
            if proof == shown.proof:
                self._desk.count("refresh", "shared")
                return task
            await asyncio.wait((task,))
        return self._started(shown, exchange, forward)

    def _started(self, shown: Shown, exchange: Exchange, forward: Handler) -> asyncio.Task[Landed]:
        cookie = self._desk.settings.cookie.refresh.encode()
        headers = only_cookie(readable(without(exchange.headers, _NOT_FORWARDED)), cookie, shown.text)
        copy = replace(exchange, headers=headers, on_informational=None, before_send=None, upstream_seconds=0.0)
        owner, asked = secrets.token_hex(8), self._desk.clock.monotonic()
        flight = Flight(shown, copy, forward, owner, asked, held=shown.names)
        task = self._shelter.start(self._fly(flight))
        self._flights[shown.name] = shown.proof, task
        task.add_done_callback(lambda _: self._flights.pop(shown.name, None))
        return task

    async def _fly(self, flight: Flight) -> Landed:
        try:
            answer = await self._answer(flight)
        except Exception as error:  # told to everybody who waits: each raises it, and `rescue` answers
            return Landed(error=error, upstream_seconds=flight.exchange.upstream_seconds)
        return Landed(answer, upstream_seconds=flight.exchange.upstream_seconds, failed=flight.failed)

    async def _answer(self, flight: Flight) -> Verbatim:
        desk, shown = self._desk, flight.shown
        try:
            met = await self._claims.claim(flight)
        except StoreUnavailable as away:
            if desk.settings.require_redis or flight.again:  # a token that it has traded may be stolen to the backend
                raise await self._refused(flight, None, away) from None
            return await self._degraded(flight)
        match met.verdict:
            case Kept(lineage=lineage):
                return await self._kept(flight, lineage)
            case Spent(lineage=lineage):
                return await self._reused(flight, lineage, met.now)
            case Ended(reason=reason):
                desk.note("refresh", "ended", met.lineage, shown, reason)
                raise desk.refusal(f"refresh: ended ({reason})")
        return await self._finished(flight, met) or await self._traded(flight, met)

    async def _kept(self, flight: Flight, lineage: Lineage) -> Verbatim:
        """Open the answer that was kept; when it is not there, or for another client, only the backend can tell."""
        desk, shown = self._desk, flight.shown
        try:
            sealed = await desk.steps.recall(lineage)
        except StoreUnavailable as away:  # the backend may take a token that it has traded for stolen
            raise await self._refused(flight, lineage, away) from None
        answer = self._opened(flight, sealed)
        if answer is None:
            flight.again = True
            return await self._answer(flight)
        desk.note("refresh", "replayed", lineage, shown)
        return answer

    async def _reused(self, flight: Flight, lineage: Lineage, now: int) -> Verbatim:
        desk, shown = self._desk, flight.shown
        try:
            ended = await desk.steps.end(lineage, "reused", now)
        except StoreUnavailable as away:
            raise await self._refused(flight, lineage, away) from None
        desk.note("refresh", "reused" if ended else "ended", lineage, shown, "reused")
        if ended:
            desk.alarm(lineage)
        raise desk.refusal("refresh: reused")

    async def _finished(self, flight: Flight, met: Met) -> Verbatim | None:
        """Finish a commit that broke off before the token was spent, and return its answer; None: there is none."""
        if met.lineage is None or flight.again:
            return None
        try:
            answer = self._opened(flight, await self._desk.steps.recall(met.lineage))
        except StoreUnavailable as away:
            if self._desk.settings.require_redis:
                raise await self._refused(flight, met.lineage, away) from None
            return None
        if answer is None:
            return None
        owed = await self._owed(flight, met, answer)
        if not owed.deal.successors:  # the token stays good, and this is what the backend said another time
            return None
        await self._committed(flight, met, owed)
        return answer

    def _opened(self, flight: Flight, sealed: bytes | None) -> Verbatim | None:
        """Return the answer if it is this token's, and its client's."""
        shown = flight.shown
        return self._desk.vault.open(shown.text, flight.name, sealed, shown.proof) if sealed is not None else None

    async def _traded(self, flight: Flight, met: Met) -> Verbatim:
        """Forward a claimed token, and write down what came of it."""
        desk, shown = self._desk, flight.shown
        try:
            answer = await self._forwarded(flight)
        except Exception:
            desk.note("refresh", "unanswered", met.lineage, shown)
            raise
        if not answer.good:
            flight.failed = met.lineage is None and answer.status in _REJECTIONS
            if flight.failed:
                desk.count("refresh", "rejected")
            else:
                desk.note("refresh", "rejected", met.lineage, shown, f"rejected with {answer.status}")
            return answer
        try:
            await self._committed(flight, met, await self._owed(flight, met, answer))
        except Exception as fault:  # whatever it is: the token is traded, and the client must hear for what
            desk.note("refresh", "uncommitted", met.lineage, shown, f"uncommitted, {type(fault).__name__}")
        return answer

    async def _forwarded(self, flight: Flight) -> Verbatim:
        """Return the backend's answer; without a good one the claim goes."""
        try:
            answer = await self._forward(flight)
        except Exception:
            await self._released(flight)
            raise
        if not answer.good:
            await self._released(flight)
        return answer

    async def _forward(self, flight: Flight) -> Verbatim:
        """Return the backend's answer, whole and in time.

        Raises:
            GatewayError: `upstream-timeout`, `upstream-unreachable`: what the backend made of it is not known.
        """
        try:
            async with asyncio.timeout(self._forward_seconds):
                reply = await flight.forward(flight.exchange)
                content = await read_all(reply.body, MAX_FORWARDED)
        except TimeoutError:
            raise GatewayError("upstream-timeout", private="refresh: the backend takes too long") from None
        except GatewayError as error:
            if error.code != "payload-too-large":
                raise
            private = f"refresh: the backend's answer is larger than {MAX_FORWARDED} bytes"
            raise GatewayError("upstream-unreachable", private=private) from None
        return Verbatim(reply.status, reply.reason, tuple(reply.headers), content)

    async def _degraded(self, flight: Flight) -> Verbatim:
        """Forward a token that Redis cannot judge; what comes of it is written down when it is back."""
        desk, shown = self._desk, flight.shown
        sealed = desk.arrears.answer(shown.name)
        answer = desk.vault.open(shown.text, shown.name, sealed, shown.proof) if sealed is not None else None
        if answer is not None:
            desk.note("refresh", "replayed", None, shown, "replayed, Redis away")
            return answer
        desk.note("refresh", "degraded", None, shown)
        answer = await self._forwarded(flight)
        if answer.good:
            desk.arrears.owe(await deal_of(desk, shown, answer, None, now=0, owner=flight.owner, asked=flight.asked))
        return answer

    async def _owed(self, flight: Flight, met: Met, answer: Verbatim) -> Owed:
        now, owner, asked = met.now // 1000, flight.owner, flight.asked
        return await deal_of(self._desk, flight.shown, answer, met.lineage, now=now, owner=owner, asked=asked)

    async def _committed(self, flight: Flight, met: Met, owed: Owed) -> None:
        """Commit a good answer. It is given to the client whatever becomes of this."""
        desk, shown = self._desk, flight.shown
        deal = replace(owed.deal, name=flight.name, answer=owed.answers.get(flight.name))
        try:
            turned = await desk.steps.commit(deal)
            if flight.held != (flight.name,):  # the record is there before the claims on other names go
                await self._released(flight)
        except StoreUnavailable as away:
            desk.arrears.owe(owed)
            desk.note("refresh", "uncommitted", deal.lineage, shown, f"uncommitted, Redis: {away.kind}")
            return
        if isinstance(turned, Ended):
            desk.note("refresh", "ended", deal.lineage, shown, f"{turned.reason}, in flight")
            return
        desk.note("refresh", "rotated" if met.lineage is not None else "adopted", deal.lineage, shown)
        desk.note_evicted(deal.lineage.user, turned.evicted)

    async def _refused(self, flight: Flight, lineage: Lineage | None, away: StoreUnavailable) -> GatewayError:
        """Return the answer for a token that only Redis could judge: it stays good. A claim on it may be there."""
        await self._released(flight)
        self._desk.steps.promises.make(flight.shown.names, flight.asked)
        self._desk.note("refresh", "redis_required", lineage, flight.shown)
        return self._desk.redis_required(f"refresh: {away.kind}")

    async def _released(self, flight: Flight) -> None:
        with suppress(StoreUnavailable):  # then it runs out by itself
            await self._desk.release(flight.held, flight.owner)


def _own(error: Exception | None) -> Exception:
    """Return an error for one of several who raise it: layers on the way out add fields of their own to it."""
    if not isinstance(error, GatewayError):
        return error or GatewayError("internal-error", private="refresh: neither answer nor error")
    return GatewayError(
        error.code,
        detail=error.detail,
        private=error.private,
        retry_after=error.retry_after,
        headers=error.headers,
    )
