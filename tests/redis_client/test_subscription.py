"""What is published is heard, on every topology, also after Redis was away."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from gateway.events import Event
from gateway.redis_client.client import RedisClient
from gateway.redis_client.events import CommandFailed
from gateway.redis_client.settings import RedisSettings
from tests.redis_client.test_acl import RULE
from tests.support.cluster import ValkeyCluster
from tests.support.sentinel import Watched
from tests.support.tls import Authority, tls_before
from tests.support.valkey import ValkeyServer

SETTINGS = RedisSettings(connect_timeout=2.0, command_timeout=5.0)
CHANNEL = "gw:{throttle:whmcs}"
BEGUN = b""


class Listener:
    """What was heard, in order."""

    def __init__(self) -> None:
        self._heard: asyncio.Queue[bytes] = asyncio.Queue()
        self._failures: asyncio.Queue[str] = asyncio.Queue()

    def __call__(self, message: bytes) -> None:
        self._heard.put_nowait(message)

    def emit(self, event: Event) -> None:
        if isinstance(event, CommandFailed):
            self._failures.put_nowait(event.kind)

    async def next(self) -> bytes:
        async with asyncio.timeout(20):
            return await self._heard.get()

    async def failure(self) -> str:
        async with asyncio.timeout(20):
            return await self._failures.get()

    async def until(self, message: bytes) -> None:
        while await self.next() != message:
            pass


@asynccontextmanager
async def listening(url: str, settings: RedisSettings = SETTINGS) -> AsyncIterator[Listener]:
    """Listen through a client for the deployment at `url`."""
    listener = Listener()
    client = RedisClient.connect(settings, url, emit=listener.emit)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(client.listen(CHANNEL, listener, lambda: None))
        yield listener
        task.cancel()
    await client.aclose()


def subscribers(server: ValkeyServer) -> int:
    _, count = server.command("PUBSUB", "NUMSUB", CHANNEL)
    return int(count)


async def test_messages_arrive_in_order_and_those_of_other_channels_do_not(shared_valkey: ValkeyServer) -> None:
    """given a subscription, when messages are published, then each is heard once, whatever bytes it is made of."""
    async with listening(shared_valkey.url) as listener:
        assert await listener.next() == BEGUN
        for channel, message in ((CHANNEL, b"one"), ("gw:other", b"no"), (CHANNEL, b"\x00\r\n" * 40_000)):
            shared_valkey.command("PUBLISH", channel, message)
        assert await listener.next() == b"one"
        assert await listener.next() == b"\x00\r\n" * 40_000


async def test_a_kill_and_a_restart_are_survived(valkey: ValkeyServer) -> None:
    """given Redis killed and started again, then the listener is told that it hears again, and does; why it did not is
    reported."""
    async with listening(valkey.url) as listener:
        assert await listener.next() == BEGUN
        valkey.kill()
        assert await listener.failure() == "connection"
        await valkey.start()
        assert await listener.next() == BEGUN
        valkey.command("PUBLISH", CHANNEL, "again")
        assert await listener.next() == b"again"


async def test_a_frozen_server_is_left(valkey: ValkeyServer) -> None:
    """given a server that stands still, then that is noticed, and it is listened to again when it goes on."""
    async with listening(valkey.url) as listener:
        assert await listener.next() == BEGUN
        valkey.pause()
        assert await listener.failure() == "connection"
        valkey.resume()
        assert await listener.next() == BEGUN


async def test_a_cancelled_subscription_leaves_no_connection(shared_valkey: ValkeyServer) -> None:
    """given a subscription that is cancelled, then the server has no subscriber left."""
    async with listening(shared_valkey.url) as listener:
        await listener.next()
        assert subscribers(shared_valkey) == 1
    async with asyncio.timeout(10):
        while subscribers(shared_valkey):
            await asyncio.sleep(0.01)


async def test_a_password_and_the_rules_of_the_how_to_are_enough(shared_valkey: ValkeyServer) -> None:
    """given the user of the how-to, then the gateway's channels may be heard, and others are refused as `auth`."""
    shared_valkey.command("ACL", "DELUSER", "gateway")
    shared_valkey.command(*RULE.replace(">PASSWORD", ">hush-acl").split())
    url = f"redis://gateway:hush-acl@127.0.0.1:{shared_valkey.port}"
    async with listening(url) as listener:
        assert await listener.next() == BEGUN
        shared_valkey.command("PUBLISH", CHANNEL, "heard")
        assert await listener.next() == b"heard"
    shared_valkey.command("ACL", "SETUSER", "gateway", "resetchannels")
    async with listening(url) as listener:
        assert await listener.failure() == "auth"


async def test_tls_is_kept(tmp_path: Path, shared_valkey: ValkeyServer) -> None:
    """given a server behind TLS, then messages are heard through it; one that is not trusted is told as `tls`."""
    ours, other = Authority(tmp_path), Authority(tmp_path, "other")
    async with tls_before(shared_valkey.port, ours.server_side("localhost")) as port:
        url = f"rediss://localhost:{port}"
        async with listening(url, SETTINGS.model_copy(update={"ca_file": ours.file})) as listener:
            assert await listener.next() == BEGUN
            shared_valkey.command("PUBLISH", CHANNEL, "over TLS")
            assert await listener.next() == b"over TLS"
        async with listening(url, SETTINGS.model_copy(update={"ca_file": other.file})) as listener:
            assert await listener.failure() == "tls"


async def test_behind_sentinels_the_new_master_is_listened_to() -> None:
    """given a master that is killed, when another takes its place, then what is published there is heard."""
    watched = Watched()
    await watched.start()
    try:
        async with listening(watched.url) as listener:
            await listener.next()
            watched.master.command("PUBLISH", CHANNEL, "before")
            assert await listener.next() == b"before"
            watched.kill_master()
            await watched.failed_over()
            assert await listener.next() == BEGUN
            watched.replica.command("PUBLISH", CHANNEL, "after")
            await listener.until(b"after")
    finally:
        await watched.stop()


async def test_on_a_cluster_any_node_hears_what_is_published_at_any_other() -> None:
    """given a cluster, when each of its nodes publishes, then all is heard, also when the node that is listened to was
    killed."""
    cluster = ValkeyCluster()
    await cluster.start()
    try:
        async with listening(cluster.url) as listener:
            await listener.next()
            for node in cluster.masters:
                node.command("PUBLISH", CHANNEL, str(node.port))
            assert {await listener.next() for _ in cluster.masters} == {b"%d" % node.port for node in cluster.masters}
            heard_by = next(node for node in cluster.masters if subscribers(node))
            heard_by.command("CLIENT", "KILL", "TYPE", "pubsub")
            assert await listener.next() == BEGUN
            cluster.masters[0].command("PUBLISH", CHANNEL, "after")
            assert await listener.next() == b"after"
    finally:
        await cluster.stop()
