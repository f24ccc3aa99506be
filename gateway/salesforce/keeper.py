"""Keeps the session: one task logs in, everybody else asks and waits.

The one idea: a single flight needs no lock, because there is a single pilot. A caller that goes away stops no login,
and the end of a login, good or bad, is the same moment for all who wait.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from random import SystemRandom
from typing import Final, Protocol

import jwt

from gateway.clock import SYSTEM, Clock
from gateway.errors import Code, GatewayError
from gateway.events import Emit, ignore
from gateway.exchange import Headers
from gateway.salesforce import login
from gateway.salesforce.events import LoginFinished, Result, SessionExpired
from gateway.salesforce.instance import trust
from gateway.salesforce.login import Denied, Granted
from gateway.salesforce.session import Refused, Session, SessionState, Wait
from gateway.salesforce.settings import AuthSettings

SYSTEM_RANDOM: Final = SystemRandom()
_TICK: Final = 0.001
"""The shortest timer: a loop that counts milliseconds would ring a shorter one too early, again and again."""


class Post(Protocol):
    """Sends a form and returns status and content of the answer.

    Raises:
        GatewayError: there is no answer.
    """

    async def __call__(self, url: str, headers: Headers, content: bytes) -> tuple[int, bytes]: ...


class Keeper:
    """The session of one upstream, by logins with `auth`. `run` must be running."""

    def __init__(
        self,
        upstream: str,
        auth: AuthSettings,
        post: Post,
        *,
        base_url: str = "",
        emit: Emit = ignore,
        clock: Clock = SYSTEM,
        random: Callable[[], float] = SYSTEM_RANDOM.random,
    ) -> None:
        self._auth = auth
        self._upstream = upstream
        self._post = post
        self._trusted = trust(base_url, auth.token_url)
        self._state = SessionState(auth.ttl, auth.refresh_buffer)
        self._emit = emit
        self._clock = clock
        self._now = clock.monotonic
        self._random = random
        self._asked = asyncio.Event()
        self._settled = asyncio.Event()

    async def session(self) -> Session:
        """Return the session, waiting for a login if there is none.

        Raises:
            GatewayError: `auth-timeout` (504) or `auth-failed` (502) when the login fails, or has failed a moment ago.
        """
        while isinstance(answer := self._state.ask(self._now()), Wait):
            self._asked.set()
            await self._settled.wait()
        if isinstance(answer, Refused):
            code: Code = "auth-timeout" if answer.failure == "timeout" else "auth-failed"
            raise GatewayError(code, private=f"no session: {answer.failure}", retry_after=answer.retry_after)
        return answer

    def current(self) -> Session | None:
        """Return the session at once; None: there is none, and `session` has to be awaited."""
        answer = self._state.ask(self._now())
        return answer if isinstance(answer, Session) else None

    def renew(self, found: AuthSettings) -> None:
        """Log in with the secrets of `found` from now on; a pause because the old ones were refused is over."""
        auth = self._auth.renewed(found)
        if auth != self._auth:
            self._auth = auth
            self._state.renewed()
            self._asked.set()

    def worked(self, session: Session, kind: str) -> None:
        """Note that an API of the vendor's has accepted the session."""
        self._state.worked(session.number, kind)

    def expired(self, session: Session, kind: str) -> bool:
        """Note that an API has refused the session; tell whether another one may help.

        Then a login begins, unless there was one since.
        """
        verdict = self._state.expired(self._now(), session.number, kind, self._random())
        if verdict == "ended":
            self._emit(SessionExpired(self._upstream))
            self._asked.set()
        return verdict != "refused"

    async def run(self) -> None:
        """Log in whenever that is due, until cancelled."""
        while True:
            await self._until_due()
            await self._log_in()

    async def _until_due(self) -> None:
        while True:
            self._asked.clear()
            now = self._now()
            due = self._state.due(now)
            if due is not None and due <= now:
                return
            with suppress(TimeoutError):
                async with asyncio.timeout(None if due is None else max(due - now, _TICK)):
                    await self._asked.wait()

    async def _log_in(self) -> None:
        started = self._now()
        reason = self._state.begin(started)
        auth = self._auth
        outcome = await self._attempt(auth)
        now = self._now()
        result: Result = "ok"
        problem, pause = "", 0.0
        if isinstance(outcome, Granted):
            self._state.granted(outcome.token, outcome.origin)
        else:
            pause = self._state.denied(now, outcome.failure, self._random())
            if self._auth is not auth:
                self._state.renewed()
            problem, result = outcome.problem, "timeout" if outcome.failure == "timeout" else "failed"
        self._emit(LoginFinished(self._upstream, reason, result, now - started, problem, pause))
        settled, self._settled = self._settled, asyncio.Event()
        settled.set()

    async def _attempt(self, auth: AuthSettings) -> Granted | Denied:
        try:
            headers, content = login.request(auth, self._clock.wall())
        except (ValueError, TypeError, jwt.PyJWTError):
            return Denied("fatal", "the private key cannot be used")
        try:
            async with asyncio.timeout(auth.timeout):
                status, answer = await self._post(auth.token_url, headers, content)
        except TimeoutError:
            return Denied("timeout", "no answer in time")
        except GatewayError as error:
            return Denied("transient", error.private)
        except Exception as error:  # the border: no login may end the gateway
            return Denied("transient", f"unexpected: {type(error).__name__}")
        return login.read(status, answer, self._trusted)
