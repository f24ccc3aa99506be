"""The client against a real server: what it answers, what it calls a failure, and how long it takes at most."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator

import pytest

from gateway.clock import SYSTEM
from gateway.errors import StartError, StoreUnavailable
from gateway.events import Event, ignore
from gateway.redis_client.client import RedisClient
from gateway.redis_client.events import CommandFailed, CommandFinished
from gateway.redis_client.scripts import Script
from gateway.redis_client.settings import RedisSettings
from tests.redis_client.samples import script
from tests.support.valkey import ValkeyServer, free_port

SETTINGS = RedisSettings(connect_timeout=0.25, command_timeout=0.5)
PATIENT = RedisSettings(connect_timeout=2.0, command_timeout=5.0)
ECHO = script("echo", "return {KEYS[1], ARGV[1], tonumber(ARGV[2])}")
WRITE = script("write", "return redis.call('SET', KEYS[1], ARGV[1])")


class Told:
    """What the client told: its events and the results for the gate."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.results: list[str | None] = []

    def client(self, url: str, settings: RedisSettings = SETTINGS) -> RedisClient:
        return RedisClient.connect(settings, url, emit=self.events.append, clock=SYSTEM, on_result=self.results.append)


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
async def client(told: Told, shared_valkey: ValkeyServer) -> AsyncIterator[RedisClient]:
    client = told.client(shared_valkey.url)
    yield client
    await client.aclose()


@pytest.fixture
async def own(told: Told, valkey: ValkeyServer) -> AsyncIterator[RedisClient]:
    client = told.client(valkey.url)
    yield client
    await client.aclose()


async def kind_of(client: RedisClient, script: Script = WRITE) -> str:
    with pytest.raises(StoreUnavailable) as caught:
        await client.run(script, ["k"], ["v"])
    return caught.value.kind


async def test_a_script_gets_its_keys_and_arguments_and_returns_its_reply_as_it_came(
    client: RedisClient, told: Told
) -> None:
    """Text comes back as bytes, numbers as integers, and the answer is reported once with its duration."""
    assert await client.run(ECHO, ["k"], [b"\x00\xff", 7]) == [b"k", b"\x00\xff", 7]
    assert [(type(e), e.command) for e in told.events if isinstance(e, CommandFinished)] == [(CommandFinished, "echo")]
    assert told.results == [None]


async def test_a_flushed_script_is_sent_again(client: RedisClient, shared_valkey: ValkeyServer, told: Told) -> None:
    """After SCRIPT FLUSH the next call succeeds and reports no failure."""
    await client.run(ECHO, ["k"], ["a", 1])
    shared_valkey.command("SCRIPT", "FLUSH")
    assert await client.run(ECHO, ["k"], ["b", 2]) == [b"k", b"b", 2]
    assert told.results == [None, None]


async def test_a_command_returns_its_reply_as_it_came(client: RedisClient) -> None:
    """A map is a flat list of bytes."""
    assert await client.call("HSET", "h", "a", 1) == 1
    assert await client.call("HGETALL", "h") == [b"a", b"1"]


async def test_many_at_once_share_one_connection_and_none_gets_the_answer_of_another(valkey: ValkeyServer) -> None:
    """Three hundred concurrent scripts are answered over one connection, each with its own reply."""
    client = RedisClient.connect(PATIENT, valkey.url, emit=ignore)
    answers = await asyncio.gather(*(client.run(ECHO, ["k"], ["v", n]) for n in range(300)))
    assert [answer[2] for answer in answers] == list(range(300))
    assert int(valkey.command("INFO", "clients")["connected_clients"]) == 1 + 1  # and the one that asks
    await client.aclose()


async def test_a_cancelled_command_leaves_no_stray_answer_behind(own: RedisClient, valkey: ValkeyServer) -> None:
    """The next command on the connection is answered with its own reply, though the one of before still comes."""
    await own.call("ECHO", "first")
    valkey.pause()
    async with asyncio.TaskGroup() as tasks:
        slow = tasks.create_task(own.call("ECHO", "gone"))
        await asyncio.sleep(0)
        slow.cancel()
    valkey.resume()
    assert await asyncio.gather(*(own.call("ECHO", f"mine{n}") for n in range(3))) == [b"mine0", b"mine1", b"mine2"]


@pytest.mark.parametrize(
    "source", ["return redis.error_reply('OWN made by the script')", "return redis.call('LPUSH', KEYS[1], 'v')", "x("]
)
async def test_a_failing_script_is_an_unavailable_store_of_kind_other(client: RedisClient, source: str) -> None:
    """A script's own error, a wrong type and a syntax error are told apart from nothing a client did."""
    await client.call("SET", "k", "v")
    assert await kind_of(client, script("broken", source)) == "other"


async def test_an_error_does_not_repeat_the_arguments_of_a_command(client: RedisClient, told: Told) -> None:
    """Redis echoes what it does not understand; the exception and the events leave that out."""
    with pytest.raises(StoreUnavailable) as caught:
        await client.call("NOSUCHCOMMAND", "hush-argument")
    assert "hush-" not in f"{caught.value!r} {caught.value} {told.events}"


async def test_a_replica_is_readonly_and_a_promoted_one_serves_again(own: RedisClient, valkey: ValkeyServer) -> None:
    """Writes are refused as `readonly` during replication, by the ping too, and work without a new client after."""
    valkey.command("REPLICAOF", "127.0.0.1", free_port())
    assert await kind_of(own) == "readonly"
    with pytest.raises(StoreUnavailable, match="readonly"):
        await own.ping()
    valkey.command("REPLICAOF", "NO", "ONE")
    assert await own.run(WRITE, ["k"], ["v"]) == b"OK"


async def test_too_few_replicas_count_as_readonly(own: RedisClient, valkey: ValkeyServer) -> None:
    """With `min-replicas-to-write` unmet Redis takes no writes."""
    valkey.command("CONFIG", "SET", "min-replicas-to-write", 1)
    assert await kind_of(own) == "readonly"


async def test_a_full_server_is_oom(own: RedisClient, valkey: ValkeyServer) -> None:
    """Out of memory is told by scripts and by the ping."""
    valkey.command("CONFIG", "SET", "maxmemory", "1")
    assert await kind_of(own) == "oom"
    with pytest.raises(StoreUnavailable, match="oom"):
        await own.ping()


@pytest.mark.parametrize("credentials", [":hush-wrong@", "", "nobody:hush-wrong@"])
async def test_wrong_credentials_are_auth_and_never_shown(told: Told, credentials: str) -> None:
    """A wrong or missing password fails as `auth`; neither error, event nor repr holds it."""
    server = ValkeyServer(password="hush-right")
    await server.start()
    client = told.client(f"redis://{credentials}127.0.0.1:{server.port}/0")
    try:
        with pytest.raises(StoreUnavailable) as caught:
            await client.run(WRITE, ["k"], ["v"])
        assert caught.value.kind == "auth"
        assert "hush-" not in f"{caught.value!r} {caught.value} {told.events} {client!r}"
    finally:
        await client.aclose()
        await server.stop()


async def test_the_right_password_and_database_are_used(told: Told) -> None:
    """User, password and database number come from the URL."""
    server = ValkeyServer(password="hush-right")
    await server.start()
    client = told.client(f"redis://:hush-right@127.0.0.1:{server.port}/3")
    try:
        await client.run(WRITE, ["k"], ["v"])
        assert server.command("INFO", "keyspace").keys() == {"db3"}
    finally:
        await client.aclose()
        await server.stop()


async def test_after_a_kill_and_a_restart_on_the_same_port_it_goes_on(
    own: RedisClient, valkey: ValkeyServer, told: Told
) -> None:
    """While the server is gone every command fails as `connection`; with it back the next one succeeds."""
    await own.run(WRITE, ["k"], ["v"])
    valkey.kill()
    assert [await kind_of(own) for _ in range(3)] == ["connection"] * 3
    await valkey.restart()
    assert await own.run(WRITE, ["k"], ["v"]) == b"OK"
    assert told.results == [None, "connection", "connection", "connection", None]
    assert CommandFailed("write", "connection") in told.events


async def test_connections_that_went_stale_in_the_meantime_fail_nobody(own: RedisClient, valkey: ValkeyServer) -> None:
    """A restart between two bursts is not noticed by the second one."""
    await asyncio.gather(*(own.run(WRITE, [f"k{n}"], ["v"]) for n in range(10)))
    await valkey.restart()
    answers = await asyncio.gather(*(own.run(WRITE, [f"k{n}"], ["v"]) for n in range(10)))
    assert answers == [b"OK"] * 10


async def test_a_frozen_server_costs_the_command_timeout_and_no_more(own: RedisClient, valkey: ValkeyServer) -> None:
    """A hundred commands against a stopped process (more than there are connections) all end at their limit."""
    await own.run(WRITE, ["k"], ["v"])
    valkey.pause()
    started = time.monotonic()
    ended = await asyncio.gather(*(own.run(WRITE, ["k"], ["v"]) for _ in range(100)), return_exceptions=True)
    took = time.monotonic() - started
    assert {error.kind for error in ended if isinstance(error, StoreUnavailable)} == {"timeout"}
    assert len(ended) == 100
    assert took < 3 * SETTINGS.command_timeout
    valkey.resume()
    assert await own.run(WRITE, ["k"], ["v"]) == b"OK"


async def test_a_peer_that_accepts_and_says_nothing_is_a_timeout(told: Told) -> None:
    """Also the handshake of a new connection is within the command's limit."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        client = told.client(f"redis://:hush-x@127.0.0.1:{silent.getsockname()[1]}/0")
        started = time.monotonic()
        assert await kind_of(client) == "timeout"
        assert time.monotonic() - started < 3 * SETTINGS.command_timeout
        await client.aclose()


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (b"-LOADING the dataset is in memory\r\n", "loading"),
        (b"-BUSY a script is running\r\n", "timeout"),
        (b"-MISCONF errors writing to disk\r\n", "readonly"),
        (b"-MASTERDOWN no link\r\n", "readonly"),
        (b"-NOPERM no permissions\r\n", "auth"),
        (b"-ERR max number of clients reached\r\n", "connection"),
        (b"-MOVED 1 127.0.0.1:1\r\n", "topology"),
        (b"-CLUSTERDOWN Hash slot not served\r\n", "topology"),
        (b"-TRYAGAIN Multiple keys request during rehashing of slot\r\n", "topology"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "connection"),
        (b"", "connection"),
    ],
)
async def test_each_reply_that_is_no_answer_has_its_kind(told: Told, reply: bytes, kind: str) -> None:
    """Server states that are hard to bring about are played by a small peer."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1000)
        writer.write(reply)
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as peer:
        client = told.client(f"redis://127.0.0.1:{peer.sockets[0].getsockname()[1]}/0")
        assert await kind_of(client) == kind
        await client.aclose()


async def test_a_script_whose_reply_was_lost_is_asked_for_once_more_but_a_command_is_not(told: Told) -> None:
    """A script is sent again on a new connection, a plain command only once."""
    received: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        received.append(await reader.read(1000))
        if len(received) == 3:
            writer.write(b"+OK\r\n")
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as peer:
        client = told.client(f"redis://127.0.0.1:{peer.sockets[0].getsockname()[1]}/0")
        with pytest.raises(StoreUnavailable, match="connection"):
            await client.call("INCR", "k")
        assert len(received) == 1
        assert await client.run(WRITE, ["k"], ["v"]) == b"OK"
        assert len(received) == 3
        await client.aclose()


async def test_while_away_nothing_touches_the_network_but_the_ping(client: RedisClient, told: Told) -> None:
    """Scripts and commands fail as `away` at once; the probe's own question goes through and tells the gate nothing."""
    client.available = lambda: False
    assert await kind_of(client) == "away"
    with pytest.raises(StoreUnavailable, match="away"):
        await client.call("GET", "k")
    await client.ping()
    assert told.results == ["away", "away"]
    client.available = lambda: True
    assert await client.call("GET", "k") is None


@pytest.mark.parametrize(
    "url",
    [
        "http://hush-host/",
        "redis://:hush-a/b@127.0.0.1:6379/0",
        "rediss://127.0.0.1:6379/0?ssl_cert_reqs=none&hush-x=1",
        "redis://127.0.0.1:6379/0?socket_timeout=99",
    ],
)
def test_a_url_that_cannot_be_read_or_loosens_something_is_refused_without_being_repeated(told: Told, url: str) -> None:
    """The text names the key and the form, and nothing of the URL."""
    with pytest.raises(StartError) as caught:
        told.client(url)
    assert "redis.url" in str(caught.value)
    assert "hush-" not in str(caught.value)
