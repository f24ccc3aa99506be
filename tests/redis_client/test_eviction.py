"""What is told when Redis may drop sessions."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from gateway.events import Event, ignore
from gateway.redis_client.client import RedisClient
from gateway.redis_client.events import EvictionUnknown, KeysMayBeEvicted
from gateway.redis_client.eviction import watch_eviction
from gateway.redis_client.settings import RedisSettings
from tests.support.valkey import ValkeyServer

SETTINGS = RedisSettings(connect_timeout=2.0, command_timeout=4.0)


@pytest.fixture(scope="module")
def evicting() -> Iterator[ValkeyServer]:
    """A server that evicts, with users who may ask about it more or less."""
    server = ValkeyServer("--maxmemory-policy", "volatile-ttl")
    server.launch()
    for name, rules in (("both", "+config|get +info"), ("info", "+info"), ("neither", "+ping")):
        server.command("ACL", "SETUSER", name, "on", ">hush-x", "~*", *rules.split())
    yield server
    server.finish()


async def told(url: str) -> list[Event]:
    events: list[Event] = []
    client = RedisClient.connect(SETTINGS, url, emit=ignore)
    client.on_result = lambda kind: pytest.fail("the gate was told")
    await watch_eviction(client, events.append, 0.01)
    await client.aclose()
    return events


@pytest.mark.parametrize(
    ("user", "events"),
    [
        ("both", [KeysMayBeEvicted("volatile-ttl")]),
        ("info", [KeysMayBeEvicted("volatile-ttl")]),
        ("neither", [EvictionUnknown("auth")]),
    ],
)
async def test_a_policy_that_evicts_is_told_once(evicting: ValkeyServer, user: str, events: list[Event]) -> None:
    """Case 24. given `volatile-ttl`, when it is asked for by CONFIG, or by INFO where CONFIG is forbidden, then it is
    told; where both are, that it is not known. Neither answer counts as one for the gate."""
    assert await told(f"redis://{user}:hush-x@127.0.0.1:{evicting.port}") == events


async def test_the_safe_policy_is_nothing_to_tell(shared_valkey: ValkeyServer) -> None:
    """given `noeviction`, then nothing is said."""
    assert await told(shared_valkey.url) == []


async def test_while_redis_is_away_the_question_waits(valkey: ValkeyServer) -> None:
    """given no server at the start, when one comes, then it is asked."""
    valkey.kill()
    async with asyncio.TaskGroup() as group:
        asking = group.create_task(told(valkey.url))
        await asyncio.sleep(0.05)
        assert not asking.done()
        await valkey.restart()
        valkey.command("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
        await asyncio.wait([asking])
    assert asking.result() in ([KeysMayBeEvicted("allkeys-lru")], [])  # asked before or after the change
