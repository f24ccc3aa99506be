"""The session on the road of a call: made sure of outside the throttle, put on the call inside it.

The one idea: who waits for a login holds no permit and no slot, so the outer frame waits and the inner one never does.
What the inner one finds (no session any more, or an answer that says it has ended) it raises, so that every frame
between lets go of the call, and the outer one has it made once more.
"""

from __future__ import annotations

from typing import Final, Literal

from gateway.codings import decoded, unpacked
from gateway.errors import GatewayError
from gateway.exchange import Buffered, Exchange, Handler, Reply, header, without
from gateway.peek import changed, peek
from gateway.salesforce.expiry import STATUSES, Kind, expired, kind_of
from gateway.salesforce.keeper import Keeper
from gateway.salesforce.rewrite import LOGGED_OUT, soap_call, soap_with_session, with_session, without_token
from gateway.salesforce.session import Session

START: Final = 64 * 1024
"""Bytes of a content that are looked at."""
UNPACKED: Final = 4 * 1024 * 1024
"""Bytes of an envelope that came compressed."""
ATTEMPTS: Final = 4
_CODING: Final = frozenset((b"content-encoding",))


class SessionEnded(GatewayError):
    """The session of a call has ended. `reply` is the vendor's answer, None: nothing was sent; `worked` tells whether
    the session had been good for a call."""

    def __init__(self, reply: Reply | None = None, worked: bool = False) -> None:
        super().__init__("auth-failed", private="the session has ended")
        self.reply = reply
        self.worked = worked


class SessionLayer:
    """The outer frame: no call goes on without a session, and one whose session had ended is made once more.

    A call is made again when its content is a `Buffered`: it was refused before it did anything. Else the vendor's
    answer is passed on, and the next call finds another session. It is made again once, and then, up to `ATTEMPTS` in
    all, only if the session that it met had been good for others: many calls at once may meet two ends in a row.
    """

    def __init__(self, keeper: Keeper) -> None:
        self._keeper = keeper

    async def handle(self, exchange: Exchange, forward: Handler) -> Reply:
        """Forward with a session.

        Raises:
            GatewayError: `auth-failed` (502) or `auth-timeout` (504).
        """
        if kind_of(exchange.target) == "token":
            return await forward(exchange)
        attempts = 0
        while True:
            await self._keeper.session()
            try:
                return await forward(exchange)
            except SessionEnded as ended:
                if ended.reply is None:
                    continue
                attempts += 1
                again = attempts == 1 or (ended.worked and attempts < ATTEMPTS)
                if not again or not isinstance(exchange.body, Buffered):
                    return ended.reply
                await ended.reply.body.aclose()


class CredentialsLayer:
    """The inner frame: puts the session on a call, and looks whether the answer says that it has ended."""

    def __init__(self, keeper: Keeper) -> None:
        self._keeper = keeper

    async def handle(self, exchange: Exchange, forward: Handler) -> Reply:
        """Forward with the current session's credentials, to its instance.

        Raises:
            SessionEnded: there is none at the moment, or the vendor does not accept it any more.
        """
        kind = kind_of(exchange.target)
        if kind == "token":
            return await forward(exchange)
        session = self._keeper.current()
        if session is None:
            raise SessionEnded
        placed = await _put_on(exchange, kind, session)
        if placed == "logout":
            return Reply(200, [(b"Content-Type", b"text/xml; charset=utf-8")], Buffered(LOGGED_OUT))
        reply = await forward(exchange)
        if not placed:  # what the vendor says is about whatever the client sent
            return reply
        if await _says_expired(kind, reply):
            worked = kind in session.worked
            if self._keeper.expired(session, kind):
                raise SessionEnded(reply, worked)
        elif reply.status != 401:
            self._keeper.worked(session, kind)
        return reply


async def _put_on(exchange: Exchange, kind: Kind, session: Session) -> bool | Literal["logout"]:
    """Put the session on a call; False when it has no place for it, `logout` when it would end the session."""
    exchange.origin = session.origin
    exchange.headers = with_session(exchange.headers, kind, session.token)
    if kind == "identity":
        exchange.target = without_token(exchange.target)
    if kind == "soap" and _readable(exchange):
        start, exchange.body = await peek(exchange.body, START)
        if soap_call(start) == b"logout":
            return "logout"
        envelope = None if soap_call(start) == b"login" else soap_with_session(start, session.token)
        if envelope is not None:
            exchange.body = changed(exchange.body, start, envelope)
        return envelope is not None
    return kind != "soap"


def _readable(exchange: Exchange) -> bool:
    """Whether an envelope can be read; one that is in memory is unpacked for it."""
    coding = header(exchange.headers, b"content-encoding")
    if coding is None:
        return True
    content = unpacked(exchange.body.content, coding, UNPACKED) if isinstance(exchange.body, Buffered) else None
    if content is None:
        return False
    exchange.headers, exchange.body = without(exchange.headers, _CODING), Buffered(content)
    return True


async def _says_expired(kind: Kind, reply: Reply) -> bool:
    if reply.status != STATUSES[kind]:
        return False
    start, reply.body = await peek(reply.body, START)
    return expired(kind, reply.status, decoded(start, header(reply.headers, b"content-encoding"), START))
