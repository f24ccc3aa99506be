"""The Redis form of the fleet's books on real servers, through the gateway's client and by the server's own time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from gateway.errors import StoreUnavailable
from gateway.events import ignore
from gateway.redis_client.client import RedisClient
from gateway.redis_client.settings import RedisSettings
from gateway.throttle.fleet import LaneAnswer
from gateway.throttle.redis_fleet import RedisFleet
from tests.support.cluster import ValkeyCluster
from tests.support.valkey import ValkeyServer
from tests.throttle.books_support import BLANK, SECOND, A, B, lane

SETTINGS = RedisSettings(connect_timeout=2.0, command_timeout=5.0)


@pytest.fixture
async def client(shared_valkey: ValkeyServer) -> AsyncIterator[RedisClient]:
    client = RedisClient.connect(SETTINGS, shared_valkey.url, emit=ignore)
    yield client
    await client.aclose()


def calls(server: ValkeyServer, command: str) -> int:
    """Return how often clients and scripts have called a command."""
    stats = server.command("INFO", "commandstats")
    return int(stats.get(f"cmdstat_{command}", {}).get("calls", 0))


async def test_a_decision_is_one_round_trip(shared_valkey: ValkeyServer, client: RedisClient) -> None:
    """given a script that Redis knows, when a statement is made, then one command is sent and the time is read once."""
    fleet = RedisFleet(client, "whmcs")
    await fleet.tell(BLANK)
    shared_valkey.command("CONFIG", "RESETSTAT")
    for number in range(2, 12):
        await fleet.tell(replace(BLANK, number=number, standing="shared", slots=1, lanes=(lane(wants=1),)))
    assert (calls(shared_valkey, "evalsha"), calls(shared_valkey, "eval"), calls(shared_valkey, "time")) == (10, 0, 10)


async def test_two_policies_do_not_meet(client: RedisClient) -> None:
    """Each upstream has books of its own, and so has each prefix."""
    for fleet in (RedisFleet(client, "whmcs"), RedisFleet(client, "salesforce"), RedisFleet(client, "whmcs", "other")):
        answer = await fleet.tell(replace(BLANK, lanes=(lane(wants=3),), slots=5))
        assert (answer.lanes, answer.used) == ((LaneAnswer(3, False, 3),), 5)


async def test_many_at_once_are_granted_no_more_than_there_is(client: RedisClient) -> None:
    """given ten replicas that all ask at the same time, then permits and slots are within their limits."""
    fleet = RedisFleet(client, "whmcs")
    said = [replace(BLANK, replica=f"{i:012x}", cap=10**6, lanes=(lane(wants=9),), slots=9) for i in range(10)]
    answers = await asyncio.gather(*(fleet.tell(replace(one, cap=20)) for one in said))
    assert sum(answer.lanes[0].granted for answer in answers) == 3
    now = max(answer.now for answer in answers)
    assert sum(time <= now for answer in answers for _, time in answer.slots) == 20
    assert len({answer.rank for answer in answers}) == 10


async def test_both_keys_go_when_nobody_speaks_any_more(shared_valkey: ValkeyServer, client: RedisClient) -> None:
    """given slots that reach a span into the future, then what is kept outlives them by another span and the lease."""
    fleet = RedisFleet(client, "whmcs")
    await fleet.tell(replace(BLANK, cap=1, span=60 * SECOND, slots=2))
    for key in fleet.keys:
        assert 134 <= shared_valkey.command("TTL", key) <= 135


async def test_news_reach_whoever_listens(client: RedisClient) -> None:
    """given a replica that waits, when another frees a permit, then the channel says who did."""
    fleet = RedisFleet(client, "whmcs")
    heard: asyncio.Queue[bytes] = asyncio.Queue()
    first, second = BLANK, replace(BLANK, replica=B, lanes=(lane(wants=1),))
    await fleet.tell(replace(first, lanes=(lane(wants=3),)))
    await fleet.tell(second)
    async with asyncio.timeout(10), asyncio.TaskGroup() as group:
        task = group.create_task(client.listen(fleet.channel, heard.put_nowait))
        assert await heard.get() == b""
        await fleet.tell(replace(first, number=2, standing="shared", lanes=(lane(held=2),)))
        assert await heard.get() == A.encode()
        task.cancel()


async def test_a_lost_store_is_said_so(valkey: ValkeyServer) -> None:
    """given Redis killed, then there is no answer but an error; back and empty, it knows the script at once."""
    client = RedisClient.connect(SETTINGS, valkey.url, emit=ignore)
    fleet = RedisFleet(client, "whmcs")
    epoch = (await fleet.tell(BLANK)).epoch
    valkey.kill()
    said = replace(BLANK, number=2, acknowledged=1, epoch=epoch, standing="sharing")
    with pytest.raises(StoreUnavailable):
        await fleet.tell(said)
    await valkey.start()
    answer = await fleet.tell(said)
    assert (answer.verdict, answer.data_lost) == ("closing", True)
    await client.aclose()


async def test_on_a_cluster_both_keys_are_on_one_slot() -> None:
    """given a cluster, then statements on several policies are answered, and their news heard."""
    cluster = ValkeyCluster()
    await cluster.start()
    client = RedisClient.connect(SETTINGS, cluster.url, emit=ignore)
    heard: asyncio.Queue[bytes] = asyncio.Queue()
    try:
        for upstream in ("whmcs", "salesforce", "a", "b", "c"):
            fleet = RedisFleet(client, upstream)
            assert (await fleet.tell(replace(BLANK, slots=2))).used == 2
        async with asyncio.timeout(10), asyncio.TaskGroup() as group:
            task = group.create_task(client.listen(fleet.channel, heard.put_nowait))
            assert await heard.get() == b""
            await fleet.tell(replace(BLANK, number=2, standing="leaving"))
            assert await heard.get() == A.encode()
            task.cancel()
    finally:
        await client.aclose()
        await cluster.stop()
