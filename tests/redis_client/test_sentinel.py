"""The master that Sentinels name: real ones, and some that say what a test wants to hear."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable

import pytest

from gateway.errors import StoreUnavailable
from gateway.events import ignore
from gateway.redis_client.client import RedisClient
from gateway.redis_client.settings import RedisSettings
from tests.redis_client.samples import Peer, peer, script, words
from tests.support.sentinel import SERVICE, Watched
from tests.support.valkey import ValkeyServer, free_port

SETTINGS = RedisSettings(connect_timeout=2.0, command_timeout=5.0)
WRITE = script("write", "return redis.call('SET', KEYS[1], ARGV[1])")


def names(server: ValkeyServer) -> Callable[[list[bytes]], bytes]:
    """Return a Sentinel's opinion."""
    return lambda command: words("127.0.0.1", server.port)


def of(*sentinels: Peer, settings: RedisSettings = SETTINGS) -> RedisClient:
    hosts = ",".join(f"127.0.0.1:{sentinel.server[1]}" for sentinel in sentinels)
    return RedisClient.connect(settings, f"redis+sentinel://{hosts}/{SERVICE}", emit=ignore)


@pytest.fixture
async def other() -> AsyncIterator[ValkeyServer]:
    """A second server."""
    server = ValkeyServer()
    await server.start()
    yield server
    await server.stop()


async def test_real_sentinels_with_a_password_lead_to_the_master_whoever_of_them_is_away() -> None:
    """given servers and Sentinels that ask for the same password, and one of three Sentinels away, when a script runs,
    then the master has it; a service that nobody knows is `topology`, a wrong password `auth`, and neither is told."""
    watched = Watched(password="hush-both", guarded=True)
    await watched.start()
    watched.sentinels[0].kill()
    client = RedisClient.connect(SETTINGS, watched.url, emit=ignore)
    unknown = RedisClient.connect(SETTINGS, watched.url.replace(f"/{SERVICE}/", "/nobody/"), emit=ignore)
    wrong = RedisClient.connect(SETTINGS, watched.url.replace("hush-both", "hush-wrong"), emit=ignore)
    try:
        await client.ping()
        assert await client.run(WRITE, ["k"], ["v"]) == b"OK"
        assert watched.master.command("GET", "k") == b"v"
        for bad, kind in ((unknown, "topology"), (wrong, "auth")):
            with pytest.raises(StoreUnavailable) as caught:
                await bad.ping()
            assert caught.value.kind == kind
            assert "hush-" not in str(caught.value)
    finally:
        for each in (client, unknown, wrong):
            await each.aclose()
        await watched.stop()


async def test_a_lost_master_is_asked_for_again_within_the_same_command(
    valkey: ValkeyServer, other: ValkeyServer
) -> None:
    """given a failover that is over, when the next script meets the dead master, then it is carried out by the new one
    and nobody hears of it."""
    async with peer(names(valkey)) as sentinel:
        client = of(sentinel)
        await client.run(WRITE, ["k"], ["before"])
        sentinel.answer = names(other)
        valkey.kill()
        assert await client.run(WRITE, ["k"], ["after"]) == b"OK"
        assert other.command("GET", "k") == b"after"
        await client.aclose()


async def test_a_demoted_master_is_left_and_another_sentinel_heard(valkey: ValkeyServer, other: ValkeyServer) -> None:
    """given one Sentinel that is behind and names what is a replica now, when a script is refused as read-only, then
    the other Sentinel's master carries it out."""
    valkey.command("REPLICAOF", "127.0.0.1", other.port)
    async with peer(names(valkey)) as behind, peer(names(other)) as right:
        client = of(behind, right)
        assert await client.run(WRITE, ["k"], ["v"]) == b"OK"
        assert other.command("GET", "k") == b"v"
        await client.aclose()


async def test_a_former_master_that_still_answers_is_left_at_the_next_probe(
    valkey: ValkeyServer, other: ValkeyServer
) -> None:
    """given a master that was replaced and does not know it, when the probe has asked, then writes go to the new one:
    what it took meanwhile is all that is lost."""
    async with peer(names(valkey)) as sentinel:
        client = of(sentinel)
        await client.run(WRITE, ["k"], ["old"])
        sentinel.answer = names(other)
        await client.ping()
        await client.run(WRITE, ["k"], ["new"])
        assert (valkey.command("GET", "k"), other.command("GET", "k")) == (b"old", b"new")
        await client.aclose()


async def test_with_all_sentinels_away_the_known_master_serves_on(valkey: ValkeyServer) -> None:
    """given a master that is known, when no Sentinel answers (gone, then silent), then probe and scripts go on."""
    async with peer(names(valkey)) as sentinel:
        client = of(sentinel, settings=RedisSettings(connect_timeout=0.3, command_timeout=5.0))
        await client.ping()
        sentinel.answer = lambda command: None
        await client.ping()
        await client.ping()
        assert await client.run(WRITE, ["k"], ["v"]) == b"OK"
    await client.ping()
    assert await client.run(WRITE, ["k"], ["v"]) == b"OK"
    await client.aclose()


async def test_a_frozen_master_costs_the_command_timeout_and_its_successor_is_found(
    valkey: ValkeyServer, other: ValkeyServer
) -> None:
    """given a master that hangs, when many ask at once, then all end at their limit, and after the failover the next
    script reaches the new master although the old connections are still open."""
    settings = RedisSettings(connect_timeout=0.2, command_timeout=0.4)
    async with peer(names(valkey)) as sentinel:
        client = of(sentinel, settings=settings)
        await client.run(WRITE, ["k"], ["v"])
        valkey.pause()
        started = time.monotonic()
        ended = await asyncio.gather(*(client.run(WRITE, ["k"], ["v"]) for _ in range(80)), return_exceptions=True)
        assert time.monotonic() - started < 3 * settings.command_timeout
        assert {error.kind for error in ended if isinstance(error, StoreUnavailable)} == {"timeout"}
        sentinel.answer = names(other)
        assert await client.run(WRITE, ["k"], ["v"]) == b"OK"
        valkey.resume()
        await client.aclose()


async def test_everything_that_finds_the_master_is_within_the_command_timeout() -> None:
    """given Sentinels that hang, and a name that nobody answers for, when a command is sent, then it ends in time."""
    settings = RedisSettings(connect_timeout=0.2, command_timeout=0.4)
    async with (
        peer(lambda command: None) as one,
        peer(lambda command: None) as two,
        peer(lambda command: None) as three,
    ):
        client = of(one, two, three, settings=settings)
        started = time.monotonic()
        with pytest.raises(StoreUnavailable, match="timeout"):
            await client.call("GET", "k")
        assert time.monotonic() - started < 2 * settings.command_timeout
        await client.aclose()
    nobody = f"redis+sentinel://127.0.0.1:{free_port()}/{SERVICE}"
    client = RedisClient.connect(settings, nobody, emit=ignore)
    with pytest.raises(StoreUnavailable, match="connection"):
        await client.call("GET", "k")
    await client.aclose()


async def test_many_commands_ask_once_where_the_master_is(shared_valkey: ValkeyServer) -> None:
    """A crowd that starts together makes one question to the Sentinels."""
    async with peer(names(shared_valkey)) as sentinel:
        client = of(sentinel)
        await asyncio.gather(*(client.run(WRITE, [f"k{n}"], ["v"]) for n in range(100)))
        assert len(sentinel.heard) == 1
        assert client.sibling("gw:t:{ann}", "gw:t:birth") == "gw:t:birth"
        assert {key async for keys in client.scan("k*", 7) for key in keys} == {b"k%d" % n for n in range(100)}
        await client.aclose()
