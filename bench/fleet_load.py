"""Decisions of the fleet's books, in a process of their own: `python -m bench.fleet_load FORM PORT SECONDS REPLICAS`.

Every replica speaks as soon as it was answered: it gives back a permit, wants another one and a slot. `raw` only sends
the script call, on a connection of the leanest kind, and looks at no answer; `client` does the same through the
gateway's Redis client; `fleet` is `RedisFleet`, statement to answer; `memory` are the books in memory. Prints how many
decisions there were, and the wall and CPU seconds they took, as JSON.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import hiredis
import uvloop

from gateway.events import ignore
from gateway.redis_client.client import RedisClient
from gateway.redis_client.scripts import load
from gateway.redis_client.settings import RedisSettings
from gateway.throttle.books import Books
from gateway.throttle.fleet import LaneStatement, Statement
from gateway.throttle.redis_fleet import RedisFleet

SCRIPT = load("gateway.throttle", "fleet", prelude="books")
CAP, SPAN = 10_000, 250_000
"""More than can be asked for, so that no reservation lies ahead; the log then holds some thousands."""


def statement(replica: int) -> Statement:
    """Return what a replica says the first time."""
    return Statement(
        replica=f"{replica:012x}",
        number=1,
        acknowledged=0,
        epoch="",
        standing="new",
        reset=False,
        known=(),
        sends=(),
        cap=CAP,
        span=SPAN,
        lanes=(LaneStatement("default", 15, 0, 1),),
        long_lane="",
        long_limit=0,
        aged=0,
        slots=1,
        back=(),
        view=False,
    )


class Words:
    """Script calls of a replica, made with as little as possible."""

    def __init__(self, fleet: RedisFleet, epoch: str, replica: int) -> None:
        said = replace(statement(replica), number=0, standing="shared", epoch=epoch)
        fields = {name: getattr(said, name) for name in Statement.__slots__}
        fields["lanes"] = [["default", 15, 0, 1]]
        self._head, _, self._tail = json.dumps(fields, separators=(",", ":")).partition('"number":0')
        self.arguments = (*fleet.keys, fleet.channel)
        self._number = 1

    def next(self) -> str:
        """Return the next statement."""
        self._number += 1
        return f'{self._head}"number":{self._number}{self._tail}'


class _Raw(asyncio.Protocol):
    """Keeps one call of each replica in flight until the time is over."""

    def __init__(self, replicas: list[Words], until: float, done: asyncio.Future[None]) -> None:
        self._replicas = replicas
        self._until = until
        self._done = done
        self._reader = hiredis.Reader()
        self._waiting: deque[Words] = deque()
        self.decisions = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._write: Callable[[bytes], None] = transport.write  # type: ignore[attr-defined]
        for replica in self._replicas:
            self._ask(replica)

    def data_received(self, data: bytes) -> None:
        self._reader.feed(data)
        over = time.perf_counter() >= self._until
        while (reply := self._reader.gets()) is not False:
            if isinstance(reply, Exception):
                self._done.set_exception(reply)
                return
            replica = self._waiting.popleft()
            self.decisions += 1
            if not over:
                self._ask(replica)
        if not self._waiting and not self._done.done():
            self._done.set_result(None)

    def _ask(self, replica: Words) -> None:
        command: Any = ("EVALSHA", SCRIPT.sha, 2, *replica.arguments, replica.next())
        self._write(hiredis.pack_command(command))
        self._waiting.append(replica)


async def _raw(replicas: list[Words], port: int, until: float) -> int:
    loop = asyncio.get_running_loop()
    done: asyncio.Future[None] = loop.create_future()
    transport, connection = await loop.create_connection(lambda: _Raw(replicas, until, done), "127.0.0.1", port)
    await done
    transport.close()
    return connection.decisions


async def _each(replicas: int, until: float, turn: Callable[[int], Callable[[], Awaitable[Any]]]) -> int:
    async def speak(replica: int) -> int:
        decisions, tell = 0, turn(replica)
        while time.perf_counter() < until:
            await tell()
            decisions += 1
        return decisions

    return sum(await asyncio.gather(*map(speak, range(replicas))))


def _voice(tell: Callable[[Statement], Any], epoch: str, replica: int) -> Callable[[], Any]:
    said = replace(statement(replica), standing="shared", epoch=epoch)

    def speak() -> Any:
        nonlocal said
        said = replace(said, number=said.number + 1)
        return tell(said)

    return speak


def _memory(replicas: int, until: float) -> int:
    books, decisions = Books(), 0
    answers = [books.tell(statement(replica), 1) for replica in range(replicas)]
    voices = [
        _voice(lambda said: books.tell(said, time.perf_counter_ns() // 1000), answers[0].epoch, replica)
        for replica in range(replicas)
    ]
    while time.perf_counter() < until:
        for speak in voices:
            speak()
            decisions += 1
    return decisions


async def measure(form: str, port: int, seconds: float, replicas: int) -> dict[str, float]:
    """Have so many replicas speak for so long."""
    client = RedisClient.connect(RedisSettings(), f"redis://127.0.0.1:{port}/0", emit=ignore)
    fleet = RedisFleet(client, f"bench-{form}")
    epochs = [(await fleet.tell(statement(replica))).epoch for replica in range(replicas)]
    words = [Words(fleet, epochs[0], replica) for replica in range(replicas)]
    wall, processor = time.perf_counter(), time.process_time()
    until = wall + seconds
    match form:
        case "raw":
            decisions = await _raw(words, port, until)
        case "client":
            channel = fleet.channel
            decisions = await _each(
                replicas,
                until,
                lambda replica: lambda: client.run(SCRIPT, fleet.keys, (channel, words[replica].next())),
            )
        case "fleet":
            decisions = await _each(replicas, until, lambda replica: _voice(fleet.tell, epochs[0], replica))
        case _:
            decisions = _memory(replicas, until)
    figures = {"wall": time.perf_counter() - wall, "cpu": time.process_time() - processor}
    await client.aclose()
    return {"decisions": decisions, **figures}


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        numbers = (int(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4]))
        print(json.dumps(runner.run(measure(sys.argv[1], *numbers))))
