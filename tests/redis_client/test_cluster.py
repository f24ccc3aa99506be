"""Three masters: every key at its owner, redirects followed, and one that fails tells the gate."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator

import pytest

from gateway.errors import StoreUnavailable
from gateway.events import ignore
from gateway.redis_client.client import RedisClient
from gateway.redis_client.cluster import MAX_REDIRECTS
from gateway.redis_client.settings import RedisSettings
from gateway.redis_client.slots import SLOTS, slot_of
from tests.redis_client.samples import peer, script, slots
from tests.redis_client.test_acl import RULE
from tests.support.cluster import ClusterNode, ValkeyCluster
from tests.support.valkey import ValkeyServer, free_port

SETTINGS = RedisSettings(connect_timeout=2.0, command_timeout=5.0)
ADD = script("add", "return redis.call('INCRBY', KEYS[1], ARGV[1])")
KEYS = [f"k{number}" for number in range(60)]


@pytest.fixture(scope="module")
def _cluster() -> Iterator[ValkeyCluster]:
    cluster = ValkeyCluster()
    asyncio.run(cluster.start())
    yield cluster
    asyncio.run(cluster.stop())


@pytest.fixture
def cluster(_cluster: ValkeyCluster) -> ValkeyCluster:
    """The module's cluster, empty and without scripts."""
    for node in _cluster.masters:
        node.command("FLUSHALL")
        node.command("SCRIPT", "FLUSH")
        node.command("CONFIG", "RESETSTAT")
    return _cluster


@pytest.fixture
async def client(cluster: ValkeyCluster) -> AsyncIterator[RedisClient]:
    client = connect(cluster.url)
    yield client
    await client.aclose()


def connect(url: str, settings: RedisSettings = SETTINGS) -> RedisClient:
    return RedisClient.connect(settings, url, emit=ignore)


def errors(node: ClusterNode) -> int:
    """Return how many commands a node has refused: redirects, unknown scripts."""
    return int(node.command("INFO", "stats")["total_error_replies"])


async def migrated(cluster: ValkeyCluster, slot: int, target: ClusterNode) -> None:
    await asyncio.to_thread(cluster.begin_migration, slot, target)
    await asyncio.to_thread(cluster.move_keys, slot, target)
    await asyncio.to_thread(cluster.end_migration, slot, target)


@pytest.fixture
async def moving(cluster: ValkeyCluster) -> AsyncIterator[tuple[int, ClusterNode]]:
    """A slot, and a master that does not own it; at the end it is on its way no more, wherever it has come to."""
    slot = slot_of(KEYS[0])
    source = cluster.owner(slot)
    target = next(node for node in cluster.masters if node is not source)
    yield slot, target
    for node in (source, target):
        node.command("FLUSHALL")
        node.command("CLUSTER", "SETSLOT", slot, "STABLE")


async def test_scripts_and_commands_go_to_the_owner_of_their_key_without_a_redirect(
    cluster: ValkeyCluster, client: RedisClient
) -> None:
    """given one node's address, when 60 keys are used, then each is kept by its owner; nobody had to redirect."""
    one = connect(f"redis+cluster://127.0.0.1:{free_port()},127.0.0.1:{cluster.masters[1].port}")
    await one.ping()
    for key in KEYS:
        assert await one.run(ADD, [key], [2]) == 2
        assert await one.call("INCR", key) == 3
    for key in KEYS:
        assert cluster.owner(slot_of(key)).command("GET", key) == b"3"
    assert sum(errors(node) for node in cluster.masters) == 3  # each was given the script once
    await one.aclose()


async def test_a_crowd_reads_the_map_once(cluster: ValkeyCluster, client: RedisClient) -> None:
    """given a client that has asked nothing yet, when 300 scripts start together, then one reads the map for all."""
    answers = await asyncio.gather(*(client.run(ADD, [f"k{n % 100}"], [n]) for n in range(300)))
    assert len(answers) == 300
    stats = [
        node.command("INFO", "commandstats").get("cmdstat_cluster|slots", {"calls": 0}) for node in cluster.masters
    ]
    assert sum(each["calls"] for each in stats) == 1


async def test_a_moved_slot_is_found_and_learned(
    cluster: ValkeyCluster, client: RedisClient, moving: tuple[int, ClusterNode]
) -> None:
    """given a map from before, when a slot has moved, then its key is found by one redirect, and the next time by
    none; nothing was counted twice."""
    slot, target = moving
    source = cluster.owner(slot)
    assert await client.run(ADD, [KEYS[0]], [1]) == 1
    await migrated(cluster, slot, target)
    before = errors(source)
    assert [await client.run(ADD, [KEYS[0]], [1]) for _ in range(3)] == [2, 3, 4]
    assert await client.call("GET", KEYS[0]) == b"4"
    assert errors(source) - before == 1
    await client.ping()
    assert await client.run(ADD, [KEYS[0]], [1]) == 5


async def test_while_a_slot_moves_each_key_is_found_where_it_is(
    cluster: ValkeyCluster, client: RedisClient, moving: tuple[int, ClusterNode]
) -> None:
    """given a slot on its way, when one of its keys has arrived, one has not and one is new, then all are served, also
    where the new owner does not know the script yet, and nothing is counted twice."""
    slot, target = moving
    tag = KEYS[0]
    here, there, new = f"{{{tag}}}here", f"{{{tag}}}there", f"{{{tag}}}new"
    for key in (here, there):
        await client.run(ADD, [key], [1])
    await asyncio.to_thread(cluster.begin_migration, slot, target)
    await asyncio.to_thread(cluster.move_keys, slot, target, lambda key: key.endswith(b"there"))
    assert [await client.run(ADD, [key], [1]) for key in (here, there, new)] == [2, 2, 1]
    assert [await client.call("INCR", key) for key in (here, there, new)] == [3, 3, 2]
    assert target.command("CLUSTER", "COUNTKEYSINSLOT", slot) == 2


async def test_the_user_of_the_how_to_may_follow_redirects(
    cluster: ValkeyCluster, moving: tuple[int, ClusterNode]
) -> None:
    """given the access rules that the page names for a cluster, then the map is read and a moving slot served."""
    slot, target = moving
    rules = [*RULE.replace(">PASSWORD", ">hush-acl").replace("~gw:*", "~*").split(), "+cluster|slots", "+asking"]
    for node in cluster.masters:
        node.command(*rules)
    client = connect(cluster.url.replace("//", "//gateway:hush-acl@"))
    await client.ping()
    await asyncio.to_thread(cluster.begin_migration, slot, target)
    assert await client.call("SET", KEYS[0], "v") == b"OK"
    assert target.command("CLUSTER", "COUNTKEYSINSLOT", slot) == 1
    await client.aclose()


async def test_redirects_that_lead_in_circles_end() -> None:
    """given two nodes that each say that the other one has it, then the command fails as `topology`, bounded."""
    async with peer(lambda words: None) as one, peer(lambda words: None) as two:

        def at(me: int, other: int) -> None:
            target = (one, two)[other].server
            shards = slots((0, SLOTS - 1, one.server))
            (one, two)[me].answer = lambda words: (
                shards if words[0] == b"CLUSTER" else b"-MOVED 1 %s:%d\r\n" % (target[0].encode(), target[1])
            )

        at(0, 1)
        at(1, 0)
        client = connect(f"redis+cluster://127.0.0.1:{one.server[1]}")
        with pytest.raises(StoreUnavailable, match="topology"):
            await client.call("GET", "k")
        assert len([words for words in one.heard + two.heard if words[0] == b"GET"]) == MAX_REDIRECTS + 1
        await client.aclose()


async def test_a_redirect_without_a_host_means_the_one_who_gave_it(shared_valkey: ValkeyServer) -> None:
    """given a node that leaves its own name out, then the port alone leads on."""
    async with peer(lambda words: None) as node:
        node.answer = lambda words: (
            slots((0, SLOTS - 1, ("", node.server[1])))
            if words[0] == b"CLUSTER"
            else b"-MOVED 1 :%d\r\n" % shared_valkey.port
        )
        client = connect(f"redis+cluster://127.0.0.1:{node.server[1]}")
        assert await client.call("ECHO", "here") == b"here"
        await client.aclose()


async def test_slots_without_an_owner_are_no_cluster() -> None:
    """given a map with a gap, then the probe fails, and so do the keys of the gap, and only they."""
    async with peer(lambda words: b"+OK\r\n") as node:
        half = slots((0, 8191, node.server))
        node.answer = lambda words: half if words[0] == b"CLUSTER" else b"+OK\r\n"
        client = connect(f"redis+cluster://127.0.0.1:{node.server[1]}")
        with pytest.raises(StoreUnavailable, match="topology"):
            await client.ping()
        low = next(key for key in KEYS if slot_of(key) < 8192)
        high = next(key for key in KEYS if slot_of(key) >= 8192)
        assert await client.call("GET", low) == b"OK"
        with pytest.raises(StoreUnavailable, match="topology"):
            await client.call("GET", high)
        await client.aclose()


async def test_a_frozen_master_costs_its_keys_the_command_timeout_and_the_rest_nothing(cluster: ValkeyCluster) -> None:
    """given one master that hangs, then the probe fails, its keys end at their limit, all others are answered; the gate
    hears of the failures and of no success, and when it wakes all is well with the same client."""
    settings = RedisSettings(connect_timeout=0.2, command_timeout=0.4)
    client = connect(cluster.url, settings)
    told: list[str | None] = []
    await client.ping()
    client.on_result = told.append
    frozen = cluster.masters[2]
    frozen.pause()
    started = time.monotonic()
    ended = await asyncio.gather(client.ping(), *(client.run(ADD, [k], [1]) for k in KEYS), return_exceptions=True)
    took = time.monotonic() - started
    frozen.resume()
    assert took < 2 * settings.command_timeout
    assert isinstance(ended[0], StoreUnavailable)
    for key, answer in zip(KEYS, ended[1:], strict=True):
        assert isinstance(answer, StoreUnavailable) == (cluster.owner(slot_of(key)) is frozen)
    assert set(told) == {"timeout"}
    await client.ping()
    assert await client.run(ADD, ["fresh"], [1]) == 1
    await client.aclose()


async def test_a_sibling_is_kept_beside_its_key(cluster: ValkeyCluster, client: RedisClient) -> None:
    """given users on every master, then the mark that belongs to each is in the slot of its hash."""
    for number in range(50):
        key = f"gw:t:{{{number}}}"
        sibling = client.sibling(key, "gw:t:birth")
        assert sibling.startswith("gw:t:birth:{")
        node = cluster.masters[0]
        assert node.command("CLUSTER", "KEYSLOT", sibling) == node.command("CLUSTER", "KEYSLOT", key)


async def test_scan_and_inspect_ask_every_master(cluster: ValkeyCluster, client: RedisClient) -> None:
    """given keys on all three, then all are found, and each master tells of itself."""
    for key in KEYS:
        await client.run(ADD, [key], [1])
    assert {key async for keys in client.scan("k*", 7) for key in keys} == {key.encode() for key in KEYS}
    assert await client.inspect("CONFIG", "GET", "maxmemory-policy") == [[b"maxmemory-policy", b"noeviction"]] * 3


async def test_a_plain_url_at_a_node_of_a_cluster_is_told_apart(cluster: ValkeyCluster) -> None:
    """given `redis://` where `redis+cluster://` is needed, then the kind says so."""
    client = connect(f"redis://127.0.0.1:{cluster.masters[0].port}")
    foreign = next(key for key in KEYS if cluster.owner(slot_of(key)) is not cluster.masters[0])
    with pytest.raises(StoreUnavailable, match="topology"):
        await client.call("GET", foreign)
    await client.aclose()
