"""The session on the road of a call: made sure of outside the throttle, put on the call inside it.

The one idea: who waits for a login holds no permit and no slot, so the outer frame waits and the inner one never does.
What the inner one finds (no session any more, or an answer that says it has ended) it raises, so that every frame
between lets go of the call, and the outer one has it made once more.
"""

from __future__ import annotations

from typing import Final

from gateway.errors import GatewayError
from gateway.exchange import Buffered, Exchange, Handler, Reply, header
from gateway.salesforce.expiry import STATUSES, Kind, decoded, expired, kind_of
from gateway.salesforce.keeper import Keeper
from gateway.salesforce.peek import changed, peek
from gateway.salesforce.rewrite import is_soap_login, soap_with_session, with_session
from gateway.salesforce.session import Session

START: Final = 64 * 1024
"""Bytes of a content that are looked at."""


class SessionEnded(GatewayError):
    """The session of a call has ended. `reply` is the vendor's answer; None: nothing was sent."""

    def __init__(self, reply: Reply | None = None) -> None:
        super().__init__("auth-failed", private="the session has ended")
        self.reply = reply


class SessionLayer:
    """The outer frame: no call goes on without a session, and one whose session had ended is made once more.

    A call is made again when its content is a `Buffered`: it was refused before it did anything. Else the vendor's
    answer is passed on, and the next call finds another session.
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
        refused = False
        while True:
            await self._keeper.session()
            try:
                return await forward(exchange)
            except SessionEnded as ended:
                if ended.reply is None:
                    continue
                if refused or not isinstance(exchange.body, Buffered):
                    return ended.reply
                refused = True
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
        await _put_on(exchange, kind, session)
        reply = await forward(exchange)
        if await _says_expired(kind, reply):
            self._keeper.expired(session)
            raise SessionEnded(reply)
        if reply.status != 401:
            self._keeper.worked(session)
        return reply


async def _put_on(exchange: Exchange, kind: Kind, session: Session) -> None:
    exchange.origin = session.origin
    exchange.headers = with_session(exchange.headers, kind, session.token)
    if kind == "soap" and header(exchange.headers, b"content-encoding") is None:
        start, body = await peek(exchange.body, START)
        exchange.body = body
        if not is_soap_login(start):
            exchange.body = changed(body, start, soap_with_session(start, session.token))


async def _says_expired(kind: Kind, reply: Reply) -> bool:
    if reply.status != STATUSES[kind]:
        return False
    start, reply.body = await peek(reply.body, START)
    return expired(kind, reply.status, decoded(start, header(reply.headers, b"content-encoding"), START))
