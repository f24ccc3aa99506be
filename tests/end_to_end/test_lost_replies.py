"""Replies of Redis that are lost, and grace during an outage, through real sockets and real Valkey."""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp

from gateway.tokens.ledger import PATIENCE
from tests.end_to_end.conftest import TOKENS, StartGateway
from tests.end_to_end.test_tokens import LOGIN, claims
from tests.support.process import GatewayProcess
from tests.support.relay import Relay
from tests.support.valkey import ValkeyServer


async def _login(client: aiohttp.ClientSession, gateway: GatewayProcess) -> str:
    async with client.post(gateway.url() + "/api/auth/login", json=LOGIN) as response:
        assert response.status == 200
        return str((await response.json())["refreshToken"])


async def _refresh(client: aiohttp.ClientSession, gateway: GatewayProcess, token: str) -> tuple[int, dict[str, Any]]:
    async with client.post(gateway.url() + "/api/auth/refresh", json={"refreshToken": token}) as response:
        return response.status, await response.json()


async def test_case_20_a_lost_reply_logs_nobody_out_on_any_replica(
    start_gateway: StartGateway, client: aiohttp.ClientSession, valkey: ValkeyServer
) -> None:
    """given a commit whose reply was lost, and a client that was given its token back / when it comes to another
    replica long after the grace / then it gets the successor that was written, and goes on."""
    tokens = {**TOKENS, "rotation_grace_period": "700ms"}
    async with Relay(valkey.port).listening() as relay:
        deaf = await start_gateway(tokens=tokens, redis={"url": f"redis://127.0.0.1:{relay.port}/0"})
        other = await start_gateway(tokens=tokens, redis={"url": valkey.url})
        await deaf.logged("Redis available", 5)
        await _refresh(client, deaf, await _login(client, deaf))  # Redis knows the script from now on
        first = await _login(client, deaf)
        relay.mute = True
        status, answer = await _refresh(client, deaf, first)
        assert status == 200
        assert (answer["refreshToken"] == first) is True
        assert claims(answer["accessToken"])["deg"] is True
        relay.mute = False
        async with asyncio.timeout(PATIENCE + 10):
            while not any(b":0:1:" in value for value in valkey.command("HVALS", "gw:t:{u-1}")):
                await asyncio.sleep(0.05)
        status, answer = await _refresh(client, other, first)
        assert status == 200
        second = answer["refreshToken"]
        assert claims(second)["gen"] == 2
        status, answer = await _refresh(client, other, second)
        assert (status, claims(answer["refreshToken"])["gen"]) == (200, 3)
        assert (await _refresh(client, other, first))[0] == 401


async def test_case_03_grace_stands_still_while_redis_is_frozen(
    start_gateway: StartGateway, client: aiohttp.ClientSession, valkey: ValkeyServer
) -> None:
    """given a lost response and a Redis that is frozen for longer than the grace / when the client retries after it /
    then it gets the same bytes, and not any more when the rest of the grace has run out."""
    tokens = {**TOKENS, "require_redis": True, "rotation_grace_period": "2s"}
    redis = {"url": valkey.url, "probe": {"interval": "100ms"}}  # notices the outage while grace is left
    gateway = await start_gateway(tokens=tokens, redis=redis)
    await gateway.logged("Redis available", 5)
    first = await _login(client, gateway)
    _, lost = await _refresh(client, gateway, first)
    valkey.pause()
    try:
        await gateway.logged("Redis unavailable", 5)
        await asyncio.sleep(2.1)
    finally:
        valkey.resume()
    await gateway.logged("Redis available", 5, times=2)
    status, retried = await _refresh(client, gateway, first)
    assert status == 200
    assert (retried["refreshToken"] == lost["refreshToken"]) is True
    await asyncio.sleep(2.1)
    assert (await _refresh(client, gateway, first))[0] == 401


async def test_case_19_a_closed_gate_keeps_its_word(
    start_gateway: StartGateway, client: aiohttp.ClientSession, valkey: ValkeyServer
) -> None:
    """given strict mode and a lost response / when the token comes back while the gate is closed, hears that it stays
    good, and comes again long after the grace / then it gets the successor that was written, and goes on."""
    tokens = {**TOKENS, "require_redis": True, "rotation_grace_period": "1s"}
    redis = {"url": valkey.url, "probe": {"interval": "100ms"}}
    gateway = await start_gateway(tokens=tokens, redis=redis)
    await gateway.logged("Redis available", 5)
    first = await _login(client, gateway)
    _, lost = await _refresh(client, gateway, first)
    valkey.pause()
    try:
        await gateway.logged("Redis unavailable", 5)
        status, told = await _refresh(client, gateway, first)
        assert (status, told["type"]) == (503, "urn:gateway:error:redis-required")
    finally:
        valkey.resume()
    await gateway.logged("Redis available", 5, times=2)
    await asyncio.sleep(1.5)
    status, retried = await _refresh(client, gateway, first)
    assert status == 200
    assert (retried["refreshToken"] == lost["refreshToken"]) is True
    assert (await _refresh(client, gateway, lost["refreshToken"]))[0] == 200
