"""Sessions that began an hour before a storm, whose clients sleep through it.

The one idea: whether a token is older than the dataset matters only for one that is no longer young, and no storm lasts
that long. So such tokens are minted here as the gateway would have an hour ago, and written down as it would have.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from gateway.tokens.claims import Login, Mint, new_family
from gateway.tokens.records import user_key
from gateway.tokens.rotation import Family
from gateway.tokens.settings import TokenSettings
from tests.crash.customer import Customer, Habits
from tests.crash.history import Event, History, Token, read_token

HOUR: Final = 3600


@dataclass(frozen=True, slots=True)
class Session:
    """What a client got when it logged in."""

    user: str
    token: Token
    access: str = field(repr=False)


def an_hour_ago(command: Callable[..., Any], tokens: Mapping[str, Any], count: int) -> list[Session]:
    """Write down, by a server's commands, `count` families that began an hour ago; return what their clients hold."""
    settings, now = TokenSettings.model_validate(tokens), int(time.time())
    mint, policy = Mint(settings), settings.policy
    sessions = []
    for number in range(count):
        login, name, began = Login(f"sleeper-{number}"), new_family(), now - HOUR
        family = Family(1, mint.key_id, 1000 * began, began, policy.expiry(1000 * began, began))
        record = f"L:1:{mint.key_id}:{family.rotated_ms}:{began}:{family.expires}:0:0: test"
        command("HSET", user_key("gw", login.user), name, record)
        access = mint.access(login, now, now + HOUR, family=name)
        sessions.append(Session(login.user, read_token(mint.refresh(login, name, family)), access))
    return sessions


class Sleeper(Customer):
    """Holds its token, unused, until all is over; then it has to get through with it."""

    def __init__(self, session: Session, ports: Sequence[int], history: History) -> None:
        super().__init__(session.user, ports, history, session.user, Habits())
        self._hold(session.token, session.access)
        now, token = time.monotonic(), session.token
        history.events.append(Event(session.user, "login", now, now, 200, token.family, 0, 1, token.digest))

    async def live(self, over: asyncio.Event) -> None:
        """Sleep."""
        await over.wait()


class Leaver(Sleeper):
    """Ends all sessions as soon as it wakes: its own, which the store may have lost, must not come back."""

    async def come_back(self) -> None:
        """End all, and log in anew."""
        await self._end_all()
        await super().come_back()
