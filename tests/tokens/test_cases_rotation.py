"""Cases 1 to 11: rotation, retries, reuse and forgeries, through the layer on a real server."""

from __future__ import annotations

import asyncio

import jwt

from gateway.tokens.events import Audit, ReuseDetected, TokenOperation
from gateway.tokens.keys import Ring
from gateway.tokens.redis_ledger import RedisLedger
from tests.support.valkey import ValkeyServer
from tests.tokens.support import Portal, SetClock, TimedClient, connect, generation, same, state_of, token_settings


async def test_case_01_a_valid_token_has_a_successor(stage: tuple[Portal, TimedClient]) -> None:
    """given a valid token / when it is refreshed / then a successor comes, and the predecessor is spent."""
    portal, _ = stage
    first = await portal.login()
    second = await portal.refresh(first.token)
    assert generation(portal, second) == 2
    portal.clock.advance(31)
    assert (await portal.refresh(first.token)).status == 401


async def test_case_02_a_hundred_parallel_on_three_gateways(shared_valkey: ValkeyServer) -> None:
    """given one token / when three gateways refresh it a hundred times at once / then all get one successor."""
    clients = [connect(shared_valkey) for _ in range(3)]
    portals = [Portal(RedisLedger(client, token_settings().policy), SetClock()) for client in clients]
    first = await portals[0].login()
    outcomes = await asyncio.gather(*(portals[index % 3].refresh(first.token) for index in range(100)))
    assert {outcome.status for outcome in outcomes} == {200}
    assert same(*outcomes)
    assert generation(portals[0], outcomes[0]) == 2
    results = [event.result for portal in portals for event in portal.reported(TokenOperation)]
    assert (results.count("rotated"), results.count("replayed")) == (1, 99)
    for client in clients:
        await client.aclose()


async def test_case_03_a_lost_response_costs_nothing(stage: tuple[Portal, TimedClient]) -> None:
    """given a response that was dropped / when the client retries in grace / then it gets the same bytes."""
    portal, _ = stage
    first = await portal.login()
    lost = await portal.refresh(first.token)
    portal.clock.advance(30)
    retried = await portal.refresh(first.token)
    assert same(lost, retried)
    assert (lost.access != retried.access) is True
    assert portal.reported(TokenOperation)[-1] == TokenOperation("refresh", "replayed")


async def test_case_04_a_millisecond_past_grace(stage: tuple[Portal, TimedClient]) -> None:
    """given a spent token / when it comes 1 ms past its grace / then the family is revoked and audited."""
    portal, _ = stage
    first = await portal.login()
    second = await portal.refresh(first.token)
    portal.clock.advance(30.001)
    assert (await portal.refresh(first.token)).status == 401
    assert (await portal.refresh(second.token)).status == 401
    family = portal.read(first.token).family
    assert portal.reported(ReuseDetected) == [ReuseDetected("42", family, 1)]
    assert [line.outcome for line in portal.reported(Audit)] == ["ok", "rotated", "reused", "reused"]


async def test_case_05_an_old_generation_in_grace(stage: tuple[Portal, TimedClient]) -> None:
    """given R1 to R2 to R3 / when R1 is replayed in grace / then the family is revoked."""
    portal, _ = stage
    first = await portal.login()
    third = await portal.refresh((await portal.refresh(first.token)).token)
    assert (await portal.refresh(first.token)).status == 401
    assert (await portal.refresh(third.token)).status == 401


async def test_case_06_the_parent_of_a_used_successor(stage: tuple[Portal, TimedClient]) -> None:
    """given a successor that was used in the same millisecond / when its parent is replayed / then it is reuse."""
    portal, _ = stage
    first = await portal.login()
    second = await portal.refresh(first.token)
    assert same(second, await portal.refresh(first.token))
    third = await portal.refresh(second.token)
    assert (await portal.refresh(first.token)).status == 401
    assert len(portal.reported(ReuseDetected)) == 1
    assert (await portal.refresh(third.token)).status == 401


async def test_case_07_retries_do_not_extend_grace(stage: tuple[Portal, TimedClient]) -> None:
    """given retries all through the grace / when its deadline passes / then it has not moved."""
    portal, _ = stage
    first = await portal.login()
    second = await portal.refresh(first.token)
    for _ in range(3):
        portal.clock.advance(10)
        assert same(second, await portal.refresh(first.token))
    portal.clock.advance(0.001)
    assert (await portal.refresh(first.token)).status == 401


async def test_case_08_two_rotations_in_one_second(stage: tuple[Portal, TimedClient]) -> None:
    """given two rotations within one second / when the first token is replayed / then it is detected."""
    portal, _ = stage
    portal.clock.advance(0.2)
    first = await portal.login()
    portal.clock.advance(0.2)
    second = await portal.refresh(first.token)
    portal.clock.advance(0.2)
    third = await portal.refresh(second.token)
    assert portal.read(second.token).issued_at == portal.read(third.token).issued_at
    assert (await portal.refresh(first.token)).status == 401
    assert len(portal.reported(ReuseDetected)) == 1


async def test_case_09_a_wrong_signature(stage: tuple[Portal, TimedClient]) -> None:
    """given the right family / when it comes with a wrong signature / then 401, no script ran, the family is whole."""
    portal, client = stage
    first = await portal.login()
    before, sent = state_of(client), len(client.sent)
    head, payload, signature = first.token.split(".")
    for forged in ("A" * 43, signature[::-1], ""):
        assert (await portal.refresh(f"{head}.{payload}.{forged}")).status == 401
    assert (state_of(client), len(client.sent)) == (before, sent)
    assert generation(portal, await portal.refresh(first.token)) == 2


async def test_case_10_tokens_of_other_making(stage: tuple[Portal, TimedClient]) -> None:
    """given other issuer, audience, algorithm or kind / when refreshed / then 401, nothing burned."""
    portal, client = stage
    first = await portal.login()
    payload = jwt.decode(first.token, options={"verify_signature": False})
    secret, headers = Ring.of(portal.settings).refresh[0].signing, jwt.get_unverified_header(first.token)
    public = "MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEA"
    before, sent = state_of(client), len(client.sent)
    forged = [
        jwt.encode({**payload, "iss": "other"}, secret, "HS256", headers),
        jwt.encode({**payload, "aud": "backend"}, secret, "HS256", headers),
        jwt.encode(payload, None, "none", {**headers, "alg": "none"}),
        jwt.encode(payload, public, "HS256", headers),
        first.access,
    ]
    for token in forged:
        outcome = await portal.refresh(token)
        assert (outcome.status, outcome.code) == (401, "invalid-token")
    assert (state_of(client), len(client.sent)) == (before, sent)


async def test_case_11_thief_first_victim_second(stage: tuple[Portal, TimedClient]) -> None:
    """given a stolen token / when the thief refreshes first and the victim later / then the family is dead for both."""
    portal, _ = stage
    stolen, other = await portal.login(), await portal.login()
    thief = await portal.refresh(stolen.token)
    portal.clock.advance(60)
    assert (await portal.refresh(stolen.token)).status == 401
    assert (await portal.refresh(thief.token)).status == 401
    assert generation(portal, await portal.refresh(other.token)) == 2
