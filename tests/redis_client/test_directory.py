"""Whom is asked first, and what one that hangs or lies costs."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
from redis.exceptions import RedisError

from gateway.redis_client.dial import Dial
from gateway.redis_client.directory import Directory
from gateway.redis_client.failures import FAILURES, kind_of
from gateway.redis_client.settings import RedisSettings
from gateway.redis_client.url import Server, parse
from tests.redis_client.samples import peer
from tests.support.valkey import free_port

PATIENCE = 0.2
QUESTION = ("WHERE",)


def directory(*servers: Server, password: str = "") -> Directory:
    url = parse(f"redis+sentinel://:{password}@h/main")
    dial = Dial(url, RedisSettings())
    ways = [lambda s: dial.sentinel(s, known=False), lambda s: dial.sentinel(s, known=True)]
    return Directory(servers, ways[: 1 + dial.has_credentials], PATIENCE)


def who(server: Server, reply: Any) -> Server:
    return server


async def test_one_that_hangs_costs_its_time_once() -> None:
    """The second question goes to the one that answered the first."""
    async with peer(lambda words: None) as hangs, peer(lambda words: b"+OK\r\n") as answers:
        row = directory(hangs.server, answers.server)
        started = time.monotonic()
        assert [await row.ask(QUESTION, who) for _ in range(3)] == [answers.server] * 3
        assert time.monotonic() - started < 3 * PATIENCE
        assert len(hangs.heard) == 1
        row.close()


async def test_one_that_hangs_is_passed_over_also_when_whoever_asked_gave_up_first() -> None:
    """A question that is cancelled has put the silent one to the end already."""
    async with peer(lambda words: None) as hangs, peer(lambda words: b"+OK\r\n") as answers:
        row = directory(hangs.server, answers.server)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(PATIENCE / 4):
                await row.ask(QUESTION, who)
        assert await row.ask(QUESTION, who) == answers.server
        assert len(hangs.heard) == 1
        row.close()


async def test_after_distrust_another_one_is_asked() -> None:
    """What proved wrong is not heard again at once; when nobody else is there it is."""
    async with peer(lambda words: b"+OK\r\n") as first, peer(lambda words: b"+OK\r\n") as second:
        row = directory(first.server, second.server)
        assert await row.ask(QUESTION, who) == first.server
        row.distrust()
        assert await row.ask(QUESTION, who) == second.server
        alone = directory(first.server)
        alone.distrust()
        assert await alone.ask(QUESTION, who) == first.server
        row.close()
        alone.close()


async def test_who_wants_credentials_gets_them_and_nobody_else_does() -> None:
    """The password goes only to the one that refused without it, once."""
    known = []

    def guarded(words: list[bytes]) -> bytes:
        if words[0] == b"AUTH":
            known.append(words[1] == b"hush-x")
            return b"+OK\r\n"
        return b"+OK\r\n" if known else b"-NOAUTH Authentication required.\r\n"

    async with peer(lambda words: b"+OK\r\n") as open_, peer(guarded) as closed:
        row = directory(open_.server, closed.server, password="hush-x")
        assert await row.ask(QUESTION, who) == open_.server
        row.distrust()
        assert [await row.ask(QUESTION, who) for _ in range(2)] == [closed.server] * 2
        assert known == [True]
        assert {words[0] for words in open_.heard} == {b"WHERE"}
        row.close()


async def test_when_nobody_knows_the_last_failure_is_told() -> None:
    """Nobody listens at the first place, the second refuses: `auth`."""
    async with peer(lambda words: b"-NOAUTH Authentication required.\r\n") as closed:
        row = directory(("127.0.0.1", free_port()), closed.server)
        with pytest.raises(FAILURES) as caught:
            await row.ask(QUESTION, who)
        assert kind_of(caught.value) == "auth"
        row.close()


async def test_who_is_learned_can_be_forgotten_but_the_given_ones_stay() -> None:
    """A cluster's nodes come and go; those of the URL are where one starts again."""
    async with peer(lambda words: b"+OK\r\n") as given, peer(lambda words: b"+OK\r\n") as learned:
        row = directory(given.server)
        row.know([learned.server])
        row.distrust()
        assert await row.ask(QUESTION, who) == learned.server
        row.know([])
        assert await row.ask(QUESTION, who) == given.server
        row.distrust()
        assert await row.ask(QUESTION, who) == given.server
        row.close()


async def test_an_answer_that_makes_no_sense_is_as_none() -> None:
    """The next one is asked."""
    async with peer(lambda words: b"+no\r\n") as first, peer(lambda words: b"+yes\r\n") as second:
        row = directory(first.server, second.server)

        def understand(server: Server, reply: bytes) -> bytes:
            if reply != b"yes":
                raise RedisError("not that one")
            return reply

        assert await row.ask(QUESTION, understand) == b"yes"
        row.close()
