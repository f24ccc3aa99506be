"""Many commands on one connection: every reply reaches whoever asked for it, and nobody else."""

from __future__ import annotations

import asyncio
from typing import Any

import hiredis
import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis.exceptions import ConnectionError as ConnectionBroke
from redis.exceptions import ResponseError

from gateway.redis_client.connection import Connection


class Transport(asyncio.Transport):
    """Keeps what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[bytes] = []
        self.closed = False

    def write(self, data: Any) -> None:
        self.written.append(bytes(data))

    def close(self) -> None:
        self.closed = True

    abort = close


def connected() -> tuple[Connection, Transport]:
    connection, transport = Connection(), Transport()
    connection.connection_made(transport)
    return connection, transport


class Conversation:
    """Commands and replies in some order, with what each caller has to hear."""

    def __init__(self, piece: int, random: Any) -> None:
        self.connection = connected()[0]
        self.waiting: list[tuple[int, asyncio.Future[Any] | None]] = []
        self.told: list[tuple[int, asyncio.Future[Any], bool]] = []
        self._piece = piece
        self._random = random
        self._number = 0

    def ask(self) -> None:
        self._number += 1
        self.waiting.append((self._number, self.connection.send("ECHO", self._number)))

    def asking(self) -> None:
        self._number += 1
        self.waiting.append((0, None))
        self.waiting.append((self._number, self.connection.send_asking("ECHO", self._number)))

    def cancel(self) -> None:
        if self.waiting and (reply := self._random.choice(self.waiting)[1]) is not None:
            reply.cancel()

    def reply(self, *, failed: bool = False) -> None:
        if self.waiting:
            number, reply = self.waiting.pop(0)
            data = b"-ERR %d\r\n" % number if failed else b":%d\r\n" % number
            for start in range(0, len(data), self._piece):
                self.connection.data_received(data[start : start + self._piece])
            if reply is not None:
                self.told.append((number, reply, failed))

    def error(self) -> None:
        self.reply(failed=True)


@given(
    st.lists(st.sampled_from(["ask", "asking", "reply", "error", "cancel"]), max_size=60),
    st.integers(1, 7),
    st.randoms(use_true_random=False),
)
def test_whatever_happens_in_between_each_reply_reaches_whoever_asked_for_it(
    steps: list[str], piece: int, random: Any
) -> None:
    """given commands, replies in pieces, errors and callers that give up in any order, then a reply is only ever given
    to the command it answers, and who gave up hears nothing."""

    async def play() -> None:
        conversation = Conversation(piece, random)
        for step in steps:
            getattr(conversation, step)()
        for number, reply, failed in conversation.told:
            if not reply.cancelled():
                assert (str(reply.exception()) if failed else reply.result()) == (str(number) if failed else number)
        assert all(reply is None or reply.cancelled() or not reply.done() for _, reply in conversation.waiting)
        assert conversation.connection.usable

    asyncio.run(play())


async def test_asking_goes_right_before_its_command() -> None:
    """Nothing can come between the two, because both are written in one step."""
    connection, transport = connected()
    connection.send("GET", "a")
    connection.send_asking("GET", "b")
    packed = [hiredis.pack_command(words) for words in (("GET", "a"), ("ASKING",), ("GET", "b"))]  # type: ignore[arg-type]
    assert transport.written == packed


async def test_everybody_who_waits_hears_that_the_connection_broke_and_nobody_can_use_it_any_more() -> None:
    """Also a command that comes later fails at once instead of waiting for ever."""
    connection, _ = connected()
    waiting = [connection.send("GET", "a"), connection.send_asking("GET", "b")]
    connection.connection_lost(None)
    for reply in [*waiting, connection.send("GET", "c"), connection.send_asking("GET", "d")]:
        with pytest.raises(ConnectionBroke):
            await reply
    assert not connection.usable


@pytest.mark.parametrize(
    "data", [b"HTTP/1.1 400 Bad Request\r\n", b"+nobody asked\r\n", b"-ERR max number of clients reached\r\n"]
)
async def test_what_is_no_reply_to_anything_ends_the_connection(data: bytes) -> None:
    """Out of step, it would give everybody the reply of somebody else."""
    connection, transport = connected()
    connection.data_received(data)
    assert transport.closed
    assert not connection.usable


async def test_a_retired_connection_takes_nothing_new_and_closes_with_its_last_reply() -> None:
    """What was under way is still answered."""
    connection, transport = connected()
    first, second = connection.send("GET", "a"), connection.send("GET", "b")
    connection.retire(60)
    with pytest.raises(ConnectionBroke):
        await connection.send("GET", "c")
    connection.data_received(b":1\r\n")
    assert await first == 1
    assert not transport.closed
    connection.data_received(b":2\r\n")
    assert await second == 2
    assert transport.closed


async def test_a_retired_connection_that_nobody_waits_for_closes_at_once() -> None:
    """Commands whose callers gave up hold nothing."""
    connection, transport = connected()
    connection.send("GET", "a").cancel()
    connection.retire(60)
    assert transport.closed


async def test_an_error_within_a_reply_is_part_of_it() -> None:
    """Only a reply that is an error as a whole is raised."""
    connection, _ = connected()
    reply = connection.send("EXEC")
    connection.data_received(b"*2\r\n:1\r\n-ERR no\r\n")
    one, error = await reply
    assert one == 1
    assert isinstance(error, ResponseError)


async def test_a_connection_that_was_handed_over_is_no_longer_its_own() -> None:
    """given a connection that is handed over, then it takes no commands any more; one that broke cannot be."""
    connection, transport = connected()
    assert connection.hand_over() is transport
    assert not connection.usable
    with pytest.raises(ConnectionBroke):
        connection.hand_over()
