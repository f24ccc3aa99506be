"""A user's own sessions: seen, ended one by one, or all at once.

The one idea: the caller is whoever a good access token speaks for, as long as its own session lives. A session that was
ended on another device can look at nothing and end nothing any more, although its access token has not run out.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from gateway.errors import GatewayError, StoreUnavailable
from gateway.exchange import Exchange, Reply, header_values
from gateway.settings import RoutePattern
from gateway.tokens.claims import InvalidToken
from gateway.tokens.client import client_of
from gateway.tokens.cookies import values_of
from gateway.tokens.desk import Desk
from gateway.tokens.dialect import NO_STORE, json_reply
from gateway.tokens.events import Audit, TokenOperation
from gateway.tokens.records import Held, split_note
from gateway.tokens.rotation import Family
from gateway.tokens.settings import TokenRoutes

Matches = Callable[[Exchange], bool]

_FAMILY: Final = re.compile(rb"[0-9a-f]{24}", re.ASCII)
_READ: Final = ("GET", "HEAD")


@dataclass(frozen=True, slots=True)
class SessionRoutes:
    """Which requests are about sessions. Those of `any` are answered here, however they are spelled; what is ended must
    be meant beyond doubt."""

    any: Matches
    all: Matches
    one: Matches


def session_routes(
    routes: TokenRoutes,
    loosely: Callable[[Iterable[RoutePattern]], Matches],
    strictly: Callable[[Iterable[RoutePattern]], Matches],
) -> SessionRoutes | None:
    """Return the tests of the configured routes, None when there are none.

    `loosely` makes a test that holds when some reading of a target meets a pattern, `strictly` when all do.
    """
    patterns = routes.of_sessions()
    if not patterns:
        return None
    return SessionRoutes(any=loosely(patterns), all=strictly(patterns[:2]), one=strictly(patterns[2:]))


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, and what is held of that user."""

    user: str
    family: str
    held: Held


class SessionsDesk:
    """Lists and ends the caller's families."""

    def __init__(self, desk: Desk, routes: SessionRoutes) -> None:
        self._desk = desk
        self._routes = routes

    def meant(self, exchange: Exchange) -> bool:
        """Tell whether a request is about sessions."""
        return self._routes.any(exchange)

    async def handle(self, exchange: Exchange) -> Reply:
        """Answer `GET` with the caller's sessions, `DELETE` with 204.

        Raises:
            GatewayError: `invalid-token` without a good access token, `too-many-attempts` when its address had too many
                that were not ours, `not-found` for a family that is not the caller's, `redis-required` when nothing can
                be known.
        """
        await exchange.body.aclose()
        try:
            caller = await self._caller(exchange)
            if self._routes.all(exchange):
                if exchange.method in _READ:
                    return _listed(caller)
                return await self._end_all(exchange, caller)
            if self._routes.one(exchange) and exchange.method not in _READ:
                return await self._end_one(exchange, caller)
        except StoreUnavailable as away:
            self._desk.emit(TokenOperation("revoke", "redis_required"))
            raise self._desk.redis_required(f"sessions: {away.kind}", [NO_STORE]) from None
        raise _not_found()

    async def _caller(self, exchange: Exchange) -> Caller:
        """Return whoever a good access token speaks for; its times are judged by the ledger's clock."""
        desk, ours, forged = self._desk, False, False
        for text in self._presented(exchange):
            try:
                claims = desk.mint.read_access(text, 0)
            except InvalidToken:
                forged = forged or text.count(".") == 2  # what is no JWT is no guess, as at a refresh
                continue
            ours = True
            held = await desk.ledger.families(claims["sub"])
            family = claims.get("sid")
            family = family if isinstance(family, str) else ""
            if held.now < 1000 * claims["exp"] and not held.has_ended(family, claims["iat"]):
                return Caller(claims["sub"], family, held)
        error = _no_caller()
        raise desk.failed(exchange, error, "sessions") if forged and not ours else error

    def _presented(self, exchange: Exchange) -> list[str]:
        """Return the access token of the Authorization field, or without one those of the cookies."""
        fields = header_values(exchange.headers, b"authorization")
        if fields:
            scheme, _, text = fields[0].strip().partition(b" ")
            return [text.strip().decode("latin-1")] if scheme.lower() == b"bearer" and len(fields) == 1 else []
        if self._desk.settings.carrier == "json":
            return []
        return values_of(exchange.headers, self._desk.settings.cookie.access.encode())[:8]

    async def _end_one(self, exchange: Exchange, caller: Caller) -> Reply:
        name = exchange.target.partition(b"?")[0].rstrip(b"/").rpartition(b"/")[2].lower()
        family = name.decode("ascii") if _FAMILY.fullmatch(name) else ""
        if not family or not await self._desk.ledger.close(caller.user, family, "revoked"):
            self._desk.emit(TokenOperation("revoke", "unknown"))
            raise _not_found()
        self._audit(exchange, caller, (family,), "revoked")
        self._desk.emit(TokenOperation("revoke", "ok"))
        return self._ended(own=family == caller.family)

    async def _end_all(self, exchange: Exchange, caller: Caller) -> Reply:
        closed = await self._desk.ledger.close_all(caller.user, "revoked")
        self._audit(exchange, caller, closed, "revoked-all")  # what ended is told, even if the next step fails
        if self._desk.old_tokens is not None:
            await self._desk.old_tokens.end_all(caller.user)
        self._desk.emit(TokenOperation("revoke", "ok"))
        return self._ended(own=True)

    def _ended(self, *, own: bool) -> Reply:
        """Return 204; where the caller's own session ended, its cookies go too."""
        return Reply(204, [NO_STORE, *(self._desk.carrier.clear_headers() if own else [])])

    def _audit(self, exchange: Exchange, caller: Caller, families: tuple[str, ...], outcome: str) -> None:
        client = client_of(exchange)
        for family in families:
            self._desk.emit(Audit("revoke", outcome, caller.user, family, "", client.device, client.network))


def _listed(caller: Caller) -> Reply:
    newest_first = sorted(caller.held.live.items(), key=lambda item: (-item[1].rotated_ms, item[0]))
    return json_reply({"sessions": [described(name, record, caller.family) for name, record in newest_first]}, [])


def described(name: str, record: Family, current: str = "") -> dict[str, Any]:
    """Return what may be told of a live family; times are RFC 3339 in UTC."""
    network, device = split_note(record.device)
    return {
        "family": name,
        "created": _time(record.auth_time),
        "lastUsed": _time(record.rotated_ms / 1000),
        "device": device,
        "ipPrefix": network,
        "current": name == current,
    }


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _not_found() -> GatewayError:
    return GatewayError("not-found", detail="There is no such session.", headers=[NO_STORE])


def _no_caller() -> GatewayError:
    return GatewayError(
        "invalid-token",
        detail="The access token is missing or not valid.",
        private="sessions: no good access token",
        headers=[(b"WWW-Authenticate", b"Bearer"), NO_STORE],
    )
