"""Case 12: a family that is ended while it is refreshed, through the layer on a real server."""

from __future__ import annotations

import asyncio

import pytest

from gateway.tokens.events import ReuseDetected, TokenOperation
from gateway.tokens.redis_ledger import RedisLedger
from tests.support.valkey import ValkeyServer
from tests.tokens.support import KEY, Portal, SetClock, TimedClient, connect, generation, token_settings


@pytest.mark.parametrize("presented", ["predecessor", "successor"])
async def test_case_12_refresh_then_revoke(stage: tuple[Portal, TimedClient], presented: str) -> None:
    """given a family that was just refreshed / when it is ended, with either token / then nothing of it is live."""
    portal, _ = stage
    first = await portal.login()
    second = await portal.refresh(first.token)
    assert (await portal.logout(first.token if presented == "predecessor" else second.token)).status == 204
    for outcome in (first, second):
        assert (await portal.refresh(outcome.token)).status == 401
    assert portal.reported(TokenOperation)[-1] == TokenOperation("refresh", "ended")
    assert portal.reported(ReuseDetected) == []


async def test_case_12_revoke_then_refresh(stage: tuple[Portal, TimedClient]) -> None:
    """given a family that was just ended / when its current token comes in the same moment / then it stays ended."""
    portal, _ = stage
    first, other = await portal.login(), await portal.login()
    await portal.logout(first.token)
    assert (await portal.refresh(first.token)).status == 401
    assert generation(portal, await portal.refresh(other.token)) == 2


async def test_case_12_revoke_races_refresh(shared_valkey: ValkeyServer) -> None:
    """given three gateways / when one ends a family that the others refresh at once / then nothing is live after."""
    clients = [connect(shared_valkey) for _ in range(3)]
    portals = [Portal(RedisLedger(client, token_settings().policy), SetClock()) for client in clients]
    won = set()
    for turn in range(30):
        first = (await portals[0].login()).token
        refreshes = [portals[1 + index % 2].refresh(first) for index in range(6)]
        logout = portals[0].logout(first)
        outcomes = await asyncio.gather(*refreshes[: turn % 6], logout, *refreshes[turn % 6 :])
        won |= {outcome.status for outcome in outcomes}
        tokens = {first, *(outcome.token for outcome in outcomes if outcome.status == 200)}
        assert {(await portals[0].refresh(token)).status for token in tokens} == {401}
    assert won == {200, 204, 401}
    assert not any(value.startswith(b"L:") for value in shared_valkey.command("HVALS", KEY))
    for client in clients:
        await client.aclose()
