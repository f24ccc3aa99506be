"""Sentinel, Cluster and TLS: rotation traffic goes on through failovers, migrations and lost writes, and nobody is
logged out.

The traffic comes two ways at once: through a ledger in this process and through a gateway in one of its own, which is
never started again.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest

import gateway
from gateway.errors import StoreUnavailable
from gateway.events import ignore
from gateway.redis_client.client import RedisClient
from gateway.redis_client.settings import RedisSettings
from gateway.redis_client.slots import name_in, slot_of
from gateway.tokens.ledger import Ledger, Verdict
from gateway.tokens.redis_ledger import RedisLedger
from gateway.tokens.rotation import Adopted, Granted, Healed, Policy, Presented, Replayed, Reused, Rotated, Unknown
from tests.end_to_end.conftest import TOKENS, StartGateway
from tests.support.cluster import ValkeyCluster
from tests.support.sentinel import Watched
from tests.support.tls import Authority, tls_before
from tests.support.valkey import ValkeyServer

SETTINGS = RedisSettings(connect_timeout=0.5, command_timeout=1.0)
PATIENT = RedisSettings(connect_timeout=2.0, command_timeout=5.0)
AT_ONCE = 12
SLOWEST = 4.0
"""Seconds: no token request takes longer, whatever happens to Redis."""
BACK_WITHIN = 3.0
"""Seconds from the end of a failover until the gateway serves again."""


@dataclass
class Customer:
    """Refreshes in a loop, with what the last answer gave."""

    user: str
    token: Presented
    seen: Counter[str] = field(default_factory=Counter)

    async def refresh(self, ledger: Ledger) -> Verdict:
        verdict = await ledger.refresh(self.user, self.token, "k")
        result = verdict.result
        self.seen[type(result).__name__] += 1
        assert isinstance(result, Granted), f"{self.user} was logged out: {type(result).__name__}"
        family = result.family
        issued = family.rotated_ms // 1000
        self.token = replace(self.token, generation=family.generation, issued_at=issued, expires=family.expires)
        return verdict

    async def go_on(self, ledger: Ledger, stop: asyncio.Event) -> None:
        while not stop.is_set():
            started = time.monotonic()
            try:
                await self.refresh(ledger)
            except StoreUnavailable as error:
                self.seen[error.kind] += 1
            assert time.monotonic() - started < SLOWEST
            await asyncio.sleep(0.01)


async def login(ledger: Ledger, user: str) -> Customer:
    family = f"{abs(hash(user)):024x}"[:24]
    opened = await ledger.issue(user, family, "k", "phone")
    return Customer(user, Presented(family, 1, opened.auth_time, opened.rotated_ms // 1000, opened.expires))


class Browser:
    """A customer of the gateway."""

    def __init__(self, client: aiohttp.ClientSession, url: str, user: str) -> None:
        self._client, self._url, self._user = client, url, user
        self._token = ""
        self.seen: Counter[int] = Counter()

    async def login(self) -> None:
        body = {"user": self._user, "password": "hush-pass"}
        async with self._client.post(f"{self._url}/api/auth/login", json=body) as response:
            assert response.status == 200
            self._token = (await response.json())["refreshToken"]

    async def refresh(self) -> int:
        started = time.monotonic()
        async with self._client.post(f"{self._url}/api/auth/refresh", json={"refreshToken": self._token}) as response:
            content = await response.json()
        assert time.monotonic() - started < SLOWEST
        self.seen[response.status] += 1
        if response.status == 200:
            self._token = content["refreshToken"]
        return response.status

    async def go_on(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            await self.refresh()
            await asyncio.sleep(0.01)


@asynccontextmanager
async def ledger_at(url: str, settings: RedisSettings = PATIENT) -> AsyncIterator[RedisLedger]:
    client = RedisClient.connect(settings, url, emit=ignore)
    try:
        yield RedisLedger(client, Policy())
    finally:
        await client.aclose()


@pytest.fixture(params=["sentinel", "cluster"])
async def deployment(request: pytest.FixtureRequest) -> AsyncIterator[Watched | ValkeyCluster]:
    """One that survives the loss of a master."""
    servers = Watched() if request.param == "sentinel" else ValkeyCluster(replica=True)
    try:
        await servers.start()
        yield servers
    finally:
        await servers.stop()


def on_the_first_master(prefix: str) -> str:
    """Return a user whose hash is in the slots that `kill_master` takes away."""
    return next(user for n in range(100) if slot_of(f"gw:t:{{{(user := f'{prefix}-{n}')}}}") < 5461)


async def test_a_failover_in_the_middle_of_rotations_logs_nobody_out(
    deployment: Watched | ValkeyCluster, start_gateway: StartGateway, client: aiohttp.ClientSession
) -> None:
    """Cases 22 and 23. given traffic through a ledger and a strict gateway, when the master is killed and its replica
    takes over without the last writes, then every answer meanwhile is a success or a bounded 503, the same gateway
    serves again, who lost a rotation is healed, who lost a login is adopted, and a spent token that Redis still knows
    is caught."""
    gateway = await start_gateway(tokens={**TOKENS, "require_redis": True}, redis={"url": deployment.url})
    browsers = [Browser(client, gateway.url(), f"u-{n}") for n in range(AT_ONCE)]
    async with ledger_at(deployment.url, SETTINGS) as ledger:
        for browser in browsers:
            await browser.login()
        customers = [await login(ledger, f"c-{n}") for n in range(AT_ONCE)]
        behind, lost = [await login(ledger, on_the_first_master(prefix)) for prefix in ("behind", "lost")]
        await behind.refresh(ledger)
        spent = replace(behind.token, generation=1)
        held = dump_of_master(deployment, ledger.key(behind.user))
        for _ in range(3):
            await behind.refresh(ledger)
        stop = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            for customer in customers:
                group.create_task(customer.go_on(ledger, stop))
            for browser in browsers:
                group.create_task(browser.go_on(stop))
            await asyncio.sleep(0.3)
            deployment.kill_master()
            await gateway.logged("Redis unavailable", 5)
            await deployment.failed_over()
            deployment.promoted.command("RESTORE", ledger.key(behind.user), 0, held, "REPLACE")
            deployment.promoted.command("DEL", ledger.key(lost.user))
            await gateway.logged("Redis available", BACK_WITHIN, times=2)
            await asyncio.sleep(0.3)
            stop.set()
        assert {await browser.refresh() for browser in browsers} == {200}
        assert set().union(*(browser.seen for browser in browsers)) == {200, 503}
        for customer in customers:
            assert isinstance((await customer.refresh(ledger)).result, Granted)
        assert isinstance((await behind.refresh(ledger)).result, Healed)
        assert isinstance((await lost.refresh(ledger)).result, Adopted)
        assert isinstance((await ledger.refresh(behind.user, spent, "k")).result, Reused)


def dump_of_master(deployment: Watched | ValkeyCluster, key: str) -> bytes:
    """Return a key as its master has it now, to be put back later: what the last replicated write left."""
    master = deployment.master if isinstance(deployment, Watched) else deployment.masters[0]
    content: bytes = master.command("DUMP", key)
    return content


@pytest.fixture(scope="module")
def cluster() -> Iterator[ValkeyCluster]:
    """A cluster that loses no node."""
    cluster = ValkeyCluster()
    asyncio.run(cluster.start())
    yield cluster
    asyncio.run(cluster.stop())


async def test_no_script_leaves_its_slot(cluster: ValkeyCluster) -> None:
    """Case 27. given users on every master, when each operation of the ledger is used, then none is refused for its
    keys, and each script of the gateway has one key, or two on one hash tag."""
    async with ledger_at(cluster.url) as ledger:
        for user in [f"user-{n}" for n in range(30)]:
            customer = await login(ledger, user)
            first = customer.token
            assert isinstance((await customer.refresh(ledger)).result, Rotated)
            assert isinstance((await ledger.refresh(user, first, "k")).result, Replayed)
            stranger = replace(first, family="f" * 24, issued_at=1, auth_time=first.auth_time - 3600)
            assert isinstance((await ledger.refresh(user, stranger, "k")).result, Adopted)
            assert await ledger.end(user, customer.token, "revoked")
    assert all(node.command("DBSIZE") > 0 for node in cluster.masters)
    for script in Path(gateway.__file__).parent.rglob("*.lua"):
        keys = {"1", "2"} if script.parent.name == "throttle" else {"1"}  # its two carry the same hash tag
        assert set(re.findall(r"KEYS\[(.+?)\]", script.read_text())) <= keys, script.name


async def test_rotations_go_on_while_their_slots_move(cluster: ValkeyCluster) -> None:
    """given customers who refresh all the time, when the slots of some are moved to another master, then not one
    refresh fails."""
    async with ledger_at(cluster.url) as ledger:
        customers = [await login(ledger, f"mover-{n}") for n in range(AT_ONCE)]
        slots = sorted({slot_of(ledger.key(customer.user)) for customer in customers[:4]})
        stop = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            for customer in customers:
                group.create_task(customer.go_on(ledger, stop))
            for slot in slots:
                owner = cluster.owner(slot)
                target = next(node for node in cluster.masters if node is not owner)
                await asyncio.to_thread(cluster.begin_migration, slot, target)
                await asyncio.sleep(0.05)
                await asyncio.to_thread(cluster.move_keys, slot, target)
                await asyncio.sleep(0.05)
                await asyncio.to_thread(cluster.end_migration, slot, target)
            await asyncio.sleep(0.2)
            stop.set()
        assert set().union(*(customer.seen for customer in customers)) == {"Rotated"}
        assert all(customer.seen["Rotated"] > 10 for customer in customers)


async def test_a_master_that_lost_its_data_adopts_and_the_others_do_not(cluster: ValkeyCluster) -> None:
    """given a cluster that began an hour ago, when one of its masters comes back empty and tokens of ten minutes ago
    come that nobody knows, then that master adopts them and the others refuse: each slot has its own birth mark."""
    empty = cluster.masters[0]
    async with ledger_at(cluster.url) as ledger:
        customers = [await login(ledger, f"old-{n}") for n in range(20)]
        for customer in customers:
            key = ledger.key(customer.user)
            began = 1000 * (customer.token.issued_at - 3600)
            cluster.owner(slot_of(key)).command("SET", name_in(slot_of(key), "gw:t:birth"), f"{began}:before")
            cluster.owner(slot_of(key)).command("DEL", key)
            customer.token = replace(customer.token, issued_at=customer.token.issued_at - 600)
        empty.command("FLUSHALL")
        for customer in customers:
            adopts = cluster.owner(slot_of(ledger.key(customer.user))) is empty
            verdict = await ledger.refresh(customer.user, customer.token, "k")
            assert isinstance(verdict.result, Adopted if adopts else Unknown)


async def test_a_certificate_that_is_not_trusted_is_told_in_the_log(
    start_gateway: StartGateway, client: aiohttp.ClientSession, valkey: ValkeyServer, tmp_path: Path
) -> None:
    """given TLS under another authority, when a strict gateway starts, then it says `tls` and why, answers 503, and
    tells no secret; under the right one it serves."""
    ours, other = Authority(tmp_path), Authority(tmp_path, "other")
    async with tls_before(valkey.port, ours.server_side("localhost")) as port:
        url = f"rediss://localhost:{port}/0"
        tokens: dict[str, Any] = {**TOKENS, "require_redis": True}
        redis = {"url": url.replace("//", "//user:hush-password@"), "ca_file": str(other.file)}
        refused = await start_gateway(tokens=tokens, redis=redis)
        (line,) = await refused.logged("Redis unavailable", 5)
        assert line["reason"] == "tls"
        assert "CERTIFICATE_VERIFY_FAILED" in line["detail"]
        body = {"user": "u", "password": "hush-pass"}
        async with client.post(f"{refused.url()}/api/auth/login", json=body) as response:
            assert response.status == 503
        served = await start_gateway(tokens=tokens, redis={"url": url, "ca_file": str(ours.file)})
        browser = Browser(client, served.url(), "u")
        await browser.login()
        assert await browser.refresh() == 200


async def test_a_policy_that_evicts_is_warned_about_at_start(start_gateway: StartGateway) -> None:
    """Case 24. given `maxmemory-policy` that evicts, when the gateway starts, then the log says so, once."""
    server = ValkeyServer("--maxmemory-policy", "allkeys-lru")
    await server.start()
    try:
        gateway = await start_gateway(tokens=TOKENS, redis={"url": server.url})
        text = "Redis may evict sessions when its memory is full: set maxmemory-policy to noeviction"
        (line,) = await gateway.logged(text, 5)
        assert (line["level"], line["policy"]) == ("warning", "allkeys-lru")
    finally:
        await server.stop()
