"""`mode: guard` on a real server through the real client: several gateways, lost servers, and what is at rest."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from gateway.redis_client.client import RedisClient
from gateway.tokens.events import ReuseDetected
from gateway.tokens.guard_redis import RedisGuard
from gateway.tokens.guard_store import Terms
from gateway.tokens.redis_ledger import RedisLedger
from tests.support.valkey import ValkeyServer
from tests.tokens.guard_support import CLAIM_MS, Gate, Minting, guard_settings, jwt_like, running
from tests.tokens.support import connect


class Replica(Gate):
    """A gateway with a client of its own."""

    client: RedisClient
    ledger: RedisLedger


@asynccontextmanager
async def replicas(
    server: ValkeyServer,
    backend: Minting,
    count: int = 1,
    claim_ms: int = CLAIM_MS,
    timeout: float = 5.0,
    **changes: object,
) -> AsyncIterator[list[Replica]]:
    """Run gateways that share a server and a backend."""
    made = []
    for _ in range(count):
        client = connect(server, timeout)
        policy = guard_settings(**changes).policy
        ledger = RedisLedger(client, policy)
        replica = Replica(RedisGuard(client, ledger, Terms(policy, claim_ms)), backend.handle, **changes)
        replica.client, replica.ledger = client, ledger
        made.append(replica)
    try:
        async with running(*made):
            yield made
    finally:
        for replica in made:
            await replica.client.aclose()


async def test_a_hundred_parallel_refreshes_on_three_gateways_reach_the_backend_once(
    shared_valkey: ValkeyServer,
) -> None:
    """Case 2: one forward, and all hundred get its answer, byte for byte."""
    backend = Minting()
    async with replicas(shared_valkey, backend, 3) as gates:
        token = (await gates[0].login()).token
        outcomes = await asyncio.gather(*(gates[index % 3].refresh(token) for index in range(100)))
    assert {outcome.status for outcome in outcomes} == {200}
    assert len({(outcome.content, tuple(outcome.headers)) for outcome in outcomes}) == 1
    assert backend.refreshes == [token]
    results = [result for gate in gates for result in gate.results()]
    assert (results.count("rotated"), results.count("replayed"), results.count("shared")) == (1, 2, 97)


async def test_replicas_wait_for_a_slow_forward(shared_valkey: ValkeyServer) -> None:
    """given a forward under way on one gateway, then the others wait for its answer and forward nothing."""
    backend = Minting(open=asyncio.Event())
    async with replicas(shared_valkey, backend, 3) as gates:
        token = (await gates[0].login()).token
        first = asyncio.create_task(gates[0].refresh(token))
        await backend.holding.wait()
        others = [asyncio.create_task(gate.refresh(token)) for gate in gates[1:]]
        while not all(gate.layer._refresh._flights for gate in gates):
            await asyncio.sleep(0)
        assert backend.open is not None
        backend.open.set()
        outcomes = await asyncio.gather(first, *others)
    assert len({outcome.content for outcome in outcomes}) == 1
    assert backend.refreshes == [token]


async def test_the_server_is_killed_before_the_commit(valkey: ValkeyServer) -> None:
    """given Redis lost while the backend answers, then the answer is delivered, and when an empty server is back what
    is owed is written there first, so the family goes on."""
    backend = Minting()
    async with replicas(valkey, backend, timeout=0.5, require_redis=True) as (gate,):
        token = (await gate.login()).token
        backend.open = asyncio.Event()
        refresh = asyncio.create_task(gate.refresh(token))
        await backend.holding.wait()
        valkey.kill()
        backend.open.set()
        second = await refresh
        assert second.status == 200
        assert (await gate.refresh(second.token)).code == "redis-required"
        await valkey.restart()
        assert (await gate.refresh(second.token)).status == 200
    assert gate.results() == ["uncommitted", "redis_required", "rotated"]


async def test_a_gateway_killed_between_forward_and_commit(shared_valkey: ValkeyServer) -> None:
    """given a claim without an owner, when it has run out, then another gateway forwards the token; the backend's
    verdict passes and there is no alarm."""
    backend = Minting()
    async with replicas(shared_valkey, backend, 2, claim_ms=200) as (first, second):
        token = (await first.login()).token
        name = first.layer._desk.vault.names(token)[0]
        await first.store.present(name, "killed")
        del backend.valid[token]  # it had been traded; nobody knows for what
        assert (await second.refresh(token)).json == {"message": "no"}
        assert backend.refreshes == [token]
        assert second.reported(ReuseDetected) == []
        assert len(await shared_valkey_families(shared_valkey)) == 1


async def test_revoke_all_during_a_refresh_wins(shared_valkey: ValkeyServer) -> None:
    """Case 12: given a revoke-all between forward and commit, then the answer is delivered and worth nothing: the new
    token is refused, without an alarm and without reaching the backend."""
    backend = Minting()
    async with replicas(shared_valkey, backend, 2) as (first, second):
        token = (await first.login()).token
        backend.open = asyncio.Event()
        refresh = asyncio.create_task(first.refresh(token))
        await backend.holding.wait()
        await second.ledger.close_all("42", "revoked")
        backend.open.set()
        granted = await refresh
        assert granted.status == 200
        assert (await second.refresh(granted.token)).code == "invalid-token"
        assert (await second.refresh(token)).code == "invalid-token"
    assert backend.refreshes == [token]
    assert first.results() == ["ended"]
    assert second.results() == ["ended", "ended"]


async def test_old_generations_do_not_lead_to_the_live_token(shared_valkey: ValkeyServer) -> None:
    """Case 5: given R1, R2, R3 within one grace, then R2 gets its answer again, and R1 ends the family unforwarded."""
    backend = Minting()
    async with replicas(shared_valkey, backend, 2) as (first, second):
        tokens = [(await first.login()).token]
        tokens += [(await first.refresh(tokens[0])).token]
        tokens += [(await second.refresh(tokens[1])).token]
        assert (await first.refresh(tokens[1])).token == tokens[2]
        assert (await second.refresh(tokens[0])).code == "invalid-token"
        assert [(await first.refresh(token)).code for token in tokens] == ["invalid-token"] * 3
    assert backend.refreshes == tokens[:2]
    assert second.results() == ["rotated", "reused"]
    assert len(second.reported(ReuseDetected)) == 1


async def test_a_dump_of_redis_is_useless(shared_valkey: ValkeyServer) -> None:
    """No key and no value holds a token, a cookie, or anything of an answer."""
    backend = Minting(by_cookie=True)
    async with replicas(shared_valkey, backend, carrier="cookie") as (gate,):
        first = (await gate.login()).token
        second = await gate.refresh(first)
        jwt = jwt_like(sub="ann")
        backend.valid[jwt] = "ann"
        await gate.refresh(jwt)
    dump = b"\n".join([key + b"=" + repr(everything(shared_valkey, key)).encode() for key in keys(shared_valkey)])
    assert dump.count(b":answer") == 2
    for secret in (first, second.token, jwt, *backend.valid):
        assert secret.encode() not in dump
    for word in (b"hush", b"eyJ", b"refresh_token", b"Set-Cookie", b"accessToken", b"HttpOnly"):
        assert word not in dump


async def test_a_family_takes_little(shared_valkey: ValkeyServer) -> None:
    """A spent token is remembered in less than 256 bytes, once its answer has gone."""
    backend = Minting(jwt=True)
    async with replicas(shared_valkey, backend) as (gate,):
        token = (await gate.login("11111111-2222-3333-4444-555555555555")).token
        await gate.refresh(token)
    records = [key for key in keys(shared_valkey) if key.startswith(b"gw:g:") and not key.endswith(b":answer")]
    assert len(records) == 2
    assert max(shared_valkey.command("MEMORY", "USAGE", key) for key in records) <= 256


def keys(server: ValkeyServer) -> list[bytes]:
    return sorted(server.command("KEYS", "*"))


def everything(server: ValkeyServer, key: bytes) -> object:
    """Return whatever a key holds."""
    return server.command("HGETALL", key) if server.command("TYPE", key) == b"hash" else server.command("GET", key)


async def shared_valkey_families(server: ValkeyServer) -> dict[bytes, bytes]:
    """Return the live families of the usual user."""
    fields = server.command("HGETALL", "gw:t:{42}")
    return {name: value for name, value in fields.items() if value.startswith(b"L:")}
