"""Statements, and both forms of the fleet's books on a time that the test sets."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import redis

from gateway.redis_client.scripts import Script
from gateway.throttle.books import Books
from gateway.throttle.fleet import Answer, Fleet, LaneStatement, Standing, Statement
from gateway.throttle.redis_fleet import RedisFleet
from tests.support.valkey import ValkeyServer

START = 1_800_000_000_123_457
"""Microseconds; too many digits for a number that went through `cjson.encode`."""
SECOND = 1_000_000
SPAN = 60 * SECOND
A, B, C = "a" * 12, "b" * 12, "c" * 12
"""Replicas."""


def lane(held: int = 0, wants: int = 0, limit: int = 3, name: str = "default", spare: int = 0) -> LaneStatement:
    """What a replica says of a lane."""
    return LaneStatement(name, limit, held, wants, spare)


BLANK = Statement(
    replica=A,
    number=1,
    acknowledged=0,
    epoch="",
    standing="new",
    reset=False,
    known=(),
    sends=(),
    cap=5,
    span=SPAN,
    lanes=(lane(),),
    long_lane="",
    long_limit=0,
    aged=0,
    slots=0,
    back=(),
    view=False,
)


class TimedClient:
    """Runs scripts on a real server with a time of the test's in place of the server's."""

    def __init__(self, server: ValkeyServer) -> None:
        self.redis = redis.Redis.from_url(server.url, protocol=2)
        self.now = START

    async def run(self, script: Script, keys: Sequence[str], args: Sequence[Any]) -> Any:
        seconds, micros = divmod(self.now, SECOND)
        source = script.source.replace("redis.call('TIME')", f"{{'{seconds}','{micros}'}}")
        assert source != script.source
        return self.redis.eval(source, len(keys), *keys, *args)


class MemoryFleet:
    """The books in memory, behind the protocol of both forms."""

    def __init__(self) -> None:
        self.books = Books()
        self.now = START

    async def tell(self, statement: Statement) -> Answer:
        return self.books.tell(statement, self.now)


class Memory:
    """The memory form under test."""

    def __init__(self) -> None:
        self._fleet = MemoryFleet()
        self.fleet: Fleet = self._fleet
        self._told = 0

    @property
    def books(self) -> Books:
        return self._fleet.books

    def set_time(self, now: int) -> None:
        self._fleet.now = now

    def lose(self, until: Books | None = None) -> None:
        """Forget everything, or go back to older books."""
        self._fleet.books = until or Books()
        self._told = self.books.told

    def news(self) -> int:
        """Return how often the replicas were told of news since this was asked last."""
        before, self._told = self._told, self.books.told
        return self._told - before

    def close(self) -> None:
        """There is nothing to close."""


class InRedis:
    """The Redis form under test."""

    def __init__(self, server: ValkeyServer) -> None:
        self.client = TimedClient(server)
        self.redis_fleet = RedisFleet(self.client, "whmcs")  # type: ignore[arg-type]
        self.fleet: Fleet = self.redis_fleet
        self._ear = self.client.redis.pubsub(ignore_subscribe_messages=True)
        self._ear.subscribe(self.redis_fleet.channel)
        self._ear.get_message(timeout=1)

    def set_time(self, now: int) -> None:
        self.client.now = now

    def lose(self) -> None:
        """Forget everything."""
        self.client.redis.delete(*self.redis_fleet.keys)

    def news(self) -> int:
        """Return how often the replicas were told of news since this was asked last."""
        count = 0
        self._ear.ping()
        while (message := self._ear.get_message(timeout=1)) is not None and message["type"] != "pong":
            count += 1
        return count

    def close(self) -> None:
        self._ear.close()
        self.client.redis.close()


Form: TypeAlias = Memory | InRedis


@dataclass(slots=True)
class Voice:
    """A replica that remembers only what it needs to speak in turn."""

    form: Form
    statement: Statement

    async def says(self, standing: Standing | None = None, **changes: Any) -> Answer:
        """Make the next statement: all as in the last one but for the changes, and hear the answer."""
        if standing is not None:
            changes["standing"] = standing
        self.statement = replace(self.statement, number=self.statement.number + 1, **changes)
        return await self.again()

    async def again(self) -> Answer:
        """Repeat the last statement."""
        said = self.statement
        answer = await self.form.fleet.tell(said)
        if answer.verdict != "stale":
            self.statement = replace(
                said, epoch=answer.epoch, acknowledged=said.number, reset=False, slots=0, back=(), sends=(), view=False
            )
        return answer


Join: TypeAlias = Callable[[str], Voice]
"""Makes a replica that has said nothing yet."""


async def all_shared(*voices: Voice) -> None:
    """Have replicas join open books."""
    for voice in voices:
        assert (await voice.says()).verdict == "open"
        assert (await voice.says("shared")).verdict == "open"


def granted(answer: Answer) -> int:
    return answer.lanes[0].granted
