"""A client of the portal in a storm: it logs in, refreshes without end, and loses answers.

The one idea: it behaves as a well-made client does, so that nothing excuses a log-out. It keeps a token until it has
the next one, presents the same one again after a failure, and does not use a successor while an abandoned request for
it may still be under way (a real one refreshes every quarter of an hour; this one waits for `Habits.fate`, and presents
the predecessor once meanwhile, as a second tab does). Nor does a person log in within the second in which all sessions
were ended: tokens carry whole seconds, so when such a login is lost in a failover, the gateway must take it for one of
those that were ended.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from tests.crash.history import Event, History, Operation, Token, read_token
from tests.support.plain_http import NoAnswer, NotSent, PlainClient

FATE: Final = 2.0
"""Seconds after which a request without a verdict is surely not carried out any more."""
ANSWER: Final = 5.0
"""Seconds a client waits for an answer."""
OPEN: Final = (None, 503, 504)
"""No verdict: the client keeps what it has."""
_TYPING: Final = 1.1
"""Seconds between the end of a session and the next login."""
_OLD: Final = 4


@dataclass(frozen=True, slots=True)
class Habits:
    """How likely a client does what, at each step."""

    drop: float = 0.04
    """Hang up without reading the answer."""
    logout: float = 0.004
    end_all: float = 0.001
    thief: float = 0.004
    """A stolen token, spent long ago, is presented by somebody else."""
    tabs: float = 0.0
    """Two tabs refresh at the same time, each wherever it finds a gateway."""
    rest: float = 0.0
    """Not a likelihood: seconds between two steps, at most."""
    fate: float = FATE
    """Nor this: seconds after which a request of its own without a verdict is surely not carried out any more."""


_QUIET: Final = Habits(drop=0, logout=0, end_all=0, thief=0)


class Customer:
    """One client. `ports` is where gateways may be found; it changes under way."""

    def __init__(self, user: str, ports: Sequence[int], history: History, seed: str, habits: Habits) -> None:
        self._user = user
        self._ports = ports
        self._history = history
        self._rng = random.Random(seed)
        self._habits = habits
        self._http, self._other_tab = PlainClient(ANSWER), PlainClient(ANSWER)
        self._token: Token | None = None
        self._access = ""
        self._spent: list[Token] = []
        self._ended: list[Token] = []
        self._unanswered = False
        self._settled_at = 0.0
        self._asked_again = False
        self._login_from = 0.0
        self._got_through_at = 0.0

    async def live(self, over: asyncio.Event) -> None:
        """Do what clients do until it is over."""
        while not over.is_set():
            await self._step(self._habits)
            await asyncio.sleep(self._rng.uniform(0, self._habits.rest))

    async def come_back(self) -> None:
        """Refresh once more, as often as it takes, or log in if that is due."""
        began = time.monotonic()
        while self._got_through_at < began:
            await (self._step(_QUIET) if self._token is not None else self._login())

    async def reckon(self) -> None:
        """Try every token of a session that ended, and let a thief try the first that was spent."""
        await asyncio.sleep(self._habits.fate)  # whatever is open is settled then, of a session that ended as well
        for token in self._ended:
            while await self._present("refresh", token) in OPEN:
                await self._pause()
        if len(self._spent) >= _OLD:
            while await self._present("replay", self._spent[0]) in OPEN:
                await self._pause()
            await self._refresh(_QUIET)

    def close(self) -> None:
        """Hang up."""
        self._http.close()
        self._other_tab.close()

    async def _step(self, habits: Habits) -> None:
        chance = self._rng.random()
        if self._token is None:
            await self._login()
        elif chance < habits.logout:
            await self._end("logout", "POST", "/api/auth/logout", {"refreshToken": self._token.text}, ())
        elif chance < habits.logout + habits.end_all:
            await self._end_all()
        elif chance < habits.logout + habits.end_all + habits.thief and len(self._spent) >= _OLD:
            await self._present("replay", self._rng.choice(self._spent[: 1 - _OLD]))
        elif self._unanswered or time.monotonic() >= self._settled_at:
            await self._refresh(habits)
        else:
            await self._wait()

    async def _login(self) -> None:
        await asyncio.sleep(self._login_from - time.monotonic())
        status, document, sent = await self._ask("POST", "/api/auth/login", self._credentials())
        token = read_token(document["refreshToken"]) if status == 200 else None
        self._note("login", sent, status, None, token)
        if token is None:
            await self._pause()
            return
        self._hold(token, document["accessToken"])

    async def _refresh(self, habits: Habits) -> None:
        assert self._token is not None
        shown = [self._present("refresh", self._token, habits.drop)]
        if self._rng.random() < habits.tabs:
            shown.append(self._present("refresh", self._token, habits.drop, self._other_tab))
        if any(status in OPEN for status in await asyncio.gather(*shown)):
            await self._pause()

    async def _wait(self) -> None:
        """Let the fate of the predecessor be settled; present it once meanwhile: the same successor must come."""
        if self._asked_again:
            await asyncio.sleep(self._settled_at - time.monotonic())
            return
        self._asked_again = True
        held, access = self._token, self._access
        if await self._present("refresh", self._spent[-1]) == 200:
            self._token, self._access = held, access
        await self._pause()

    async def _present(
        self, operation: Operation, token: Token, drop: float = 0.0, tab: PlainClient | None = None
    ) -> int | None:
        hang_up = self._rng.random() * 0.01 if self._rng.random() < drop else None
        body = {"refreshToken": token.text}
        status, document, sent = await self._ask("POST", "/api/auth/refresh", body, hang_up_after=hang_up, tab=tab)
        given = read_token(document["refreshToken"]) if status == 200 else None
        self._note(operation, sent, status, token, given)
        if operation == "replay" or token in self._ended:
            return status
        is_open = status in OPEN or given == token  # given back: the store was away, and may hear of it yet
        if is_open:
            self._settled_at = time.monotonic() + self._habits.fate
        if token == self._token:
            self._unanswered, self._asked_again = is_open, False
        if status == 401:
            self._forget()
        elif given is not None:
            if given.generation > token.generation and token not in self._spent:
                self._spent.append(token)
            self._hold(given, document["accessToken"])
        return status

    async def _end_all(self) -> None:
        await self._end("end-all", "DELETE", "/api/auth/sessions", None, (f"Authorization: Bearer {self._access}",))

    async def _end(
        self, operation: Operation, method: str, path: str, body: dict[str, str] | None, headers: Sequence[str]
    ) -> None:
        """End the session, asking until there is a verdict; it is no use afterwards."""
        token = self._token
        status: int | None = None
        while status in OPEN:
            status, _, sent = await self._ask(method, path, body, headers)
            self._note(operation, sent, status, token, None)
            await self._pause()
        self._forget()

    async def _ask(
        self,
        method: str,
        path: str,
        document: dict[str, str] | None,
        headers: Sequence[str] = (),
        hang_up_after: float | None = None,
        tab: PlainClient | None = None,
    ) -> tuple[int | None, Any, float]:
        while True:
            port, sent = self._rng.choice(self._ports), time.monotonic()
            try:
                status, answer = await (tab or self._http).request(port, method, path, document, headers, hang_up_after)
            except NotSent:  # a gateway that is not there yet: another one may be
                await self._pause()
            except NoAnswer:
                return None, None, sent
            else:
                return status, answer, sent

    def _note(
        self, operation: Operation, sent: float, status: int | None, shown: Token | None, given: Token | None
    ) -> None:
        family = shown.family if shown is not None else given.family if given is not None else ""
        presented = shown.generation if shown is not None else 0
        generation, digest = (given.generation, given.digest) if given is not None else (0, "")
        times = (sent, time.monotonic())
        self._history.events.append(Event(self._user, operation, *times, status, family, presented, generation, digest))

    def _hold(self, token: Token, access: str) -> None:
        self._token, self._access = token, access
        self._got_through_at = time.monotonic()

    def _forget(self) -> None:
        if self._token is not None:
            self._ended.append(self._token)
        self._token, self._spent, self._unanswered, self._settled_at = None, [], False, 0.0
        self._login_from = time.monotonic() + _TYPING

    async def _pause(self) -> None:
        await asyncio.sleep(self._rng.uniform(0.02, 0.15))

    def _credentials(self) -> dict[str, str]:
        return {"user": self._user, "password": "hush-pass"}
