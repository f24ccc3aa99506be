"""One connection for all who need one: made once, by one of them, whatever becomes of the others."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from redis.exceptions import AuthenticationError

from gateway.redis_client.connection import Connection
from gateway.redis_client.link import Link
from tests.redis_client.test_connection import connected


class Maker:
    """Makes connections when the test says so."""

    def __init__(self) -> None:
        self.asked: list[asyncio.Future[Connection]] = []

    async def __call__(self) -> Connection:
        self.asked.append(asyncio.get_running_loop().create_future())
        return await self.asked[-1]


async def turns() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_all_who_come_while_it_is_made_get_the_same_connection() -> None:
    """And so does who comes after; it is made once."""
    maker = Maker()
    link = Link(maker, 1.0)
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(link.connection()) for _ in range(5)]
        await turns()
        maker.asked[0].set_result(connected()[0])
    assert len({task.result() for task in tasks} | {await link.connection()}) == 1
    assert len(maker.asked) == 1


async def test_all_who_waited_hear_of_the_failure_and_the_next_one_tries_again() -> None:
    """A server that is away is knocked at once, not five times."""
    maker = Maker()
    link = Link(maker, 1.0)
    tasks = [asyncio.ensure_future(link.connection()) for _ in range(5)]
    await turns()
    maker.asked[0].set_exception(AuthenticationError("no"))
    assert {type(ended) for ended in await asyncio.gather(*tasks, return_exceptions=True)} == {AuthenticationError}
    assert len(maker.asked) == 1
    again = asyncio.ensure_future(link.connection())
    await turns()
    maker.asked[1].set_result(connected()[0])
    assert (await again).usable


async def test_when_the_one_who_makes_it_gives_up_another_one_does() -> None:
    """The others neither fail nor wait for ever."""
    maker = Maker()
    link = Link(maker, 1.0)
    tasks = [asyncio.ensure_future(link.connection()) for _ in range(3)]
    await turns()
    tasks[0].cancel()
    await turns()
    assert len(maker.asked) == 2
    maker.asked[1].set_result(connected()[0])
    assert (await tasks[1]) is (await tasks[2])
    with pytest.raises(asyncio.CancelledError):
        await tasks[0]


async def test_a_connection_that_broke_or_was_dropped_is_replaced() -> None:
    """By a new one, for the next who asks."""
    maker = Maker()
    link = Link(maker, 1.0)

    async def replaced(by: Callable[[Connection], None]) -> None:
        asking = asyncio.ensure_future(link.connection())
        await turns()
        maker.asked[-1].set_result(connected()[0])
        connection = await asking
        assert await link.connection() is connection
        by(connection)
        assert not connection.usable

    await replaced(lambda connection: connection.connection_lost(None))
    await replaced(lambda connection: link.drop())
    assert len(maker.asked) == 2


async def test_what_was_in_the_making_when_it_was_dropped_serves_those_who_waited_and_is_closed_after() -> None:
    """It is not kept: it may lead to the server that was just found bad."""
    maker = Maker()
    link = Link(maker, 0.0)
    asking = asyncio.ensure_future(link.connection())
    await turns()
    link.drop()
    connection, transport = connected()
    maker.asked[0].set_result(connection)
    assert await asking is connection
    async with asyncio.timeout(5):
        while not transport.closed:
            await asyncio.sleep(0)
    again = asyncio.ensure_future(link.connection())
    await turns()
    assert len(maker.asked) == 2
    again.cancel()
