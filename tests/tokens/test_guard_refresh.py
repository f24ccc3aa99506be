"""Refreshes in `mode: guard`, through the layer, in front of a backend that mints."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from gateway.exchange import Exchange, Reply
from gateway.tokens.events import Audit, ReuseDetected
from tests.tokens.guard_support import Minting, Stage, jwt_like, running


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    """Give a stage whose gateway runs."""
    stage = Stage()
    async with running(stage.gate):
        yield stage


@pytest.mark.parametrize(
    "backend", [Minting(), Minting(jwt=True), Minting(by_cookie=True), Minting(by_cookie=True, jwt=True)]
)
async def test_tokens_of_all_kinds_are_followed(backend: Minting) -> None:
    """Opaque tokens and JWTs, in JSON and in cookies: one family from the login on, replays in grace, then reuse."""
    stage = Stage(backend, carrier="cookie" if backend.by_cookie else "json")
    gate = stage.gate
    async with running(gate):
        first = (await gate.login()).token
        second = await gate.refresh(first)
        replay = await gate.refresh(first)
        assert (replay.status, replay.headers, replay.content) == (second.status, second.headers, second.content)
        third = await gate.refresh(second.token)
        assert third.status == 200
        stage.clock.advance(30.001)
        assert (await gate.refresh(first)).code == "invalid-token"
        assert (await gate.refresh(third.token)).status == 401
    assert backend.refreshes == [first, second.token]
    assert gate.results() == ["rotated", "replayed", "rotated", "reused", "ended"]
    (reuse,) = gate.reported(ReuseDetected)
    assert (reuse.user, reuse.generation) == ("42", 1)
    assert len({event.family for event in gate.reported(Audit)}) == 1


async def test_the_answer_passes_as_it_came(stage: Stage) -> None:
    """Status, reason, fields with their case, order and odd bytes, content: what the backend says is what is heard."""
    token = (await stage.gate.login()).token
    heard = [await stage.gate.layer.handle(stage.gate.request(b"/refresh", token), stage.backend.handle) for _ in "12"]
    for reply in heard:
        assert (reply.status, reply.reason) == (200, b"Fine")
        assert reply.headers == [(b"Content-Type", b"application/json"), (b"X-Trace", b"\xff 1"), (b"x-trace", b"2")]


async def test_reuse_ends_the_family_and_no_other(stage: Stage) -> None:
    """given a token spent beyond its grace, when it comes, then it is not forwarded, and other logins live on."""
    gate = stage.gate
    first, other = (await gate.login()).token, (await gate.login()).token
    second = (await gate.refresh(first)).token
    stage.clock.advance(31)
    refused = await gate.refresh(first)
    assert (refused.status, refused.code) == (401, "invalid-token")
    assert refused.header(b"www-authenticate") == b"Bearer"
    assert (await gate.refresh(second)).status == 401
    assert (await gate.refresh(other)).status == 200
    assert stage.backend.refreshes == [first, other]
    assert [event.outcome for event in gate.reported(Audit) if event.action == "refresh"] == [
        "rotated", "reused", "reused", "rotated",
    ]  # fmt: skip


async def test_a_token_from_before_the_gateway_is_learned(stage: Stage) -> None:
    """given a token that was never seen, when the backend takes it, then it has a family, and reuse of it is caught."""
    old = stage.backend.mint("42")
    second = await stage.gate.refresh(old)
    assert second.status == 200
    assert (await stage.gate.refresh(old)).content == second.content
    stage.clock.advance(31)
    assert (await stage.gate.refresh(old)).status == 401
    assert (await stage.gate.refresh(second.token)).status == 401
    assert stage.gate.results() == ["adopted", "replayed", "reused", "ended"]
    (audit,) = [event for event in stage.gate.reported(Audit) if event.outcome == "adopted"]
    assert audit.user == audit.family  # nothing names anybody: the family is its own user


async def test_a_jwt_from_before_the_gateway_names_its_user() -> None:
    """given a JWT that the backend takes, then its family is its user's, and revoke-all ends it."""
    stage = Stage(Minting(jwt=True))
    async with running(stage.gate):
        second = await stage.gate.refresh(stage.backend.mint("ann"))
        assert list(stage.ledger.users["ann"].live()) != []
        stage.clock.advance(1)
        await stage.ledger.close_all("ann", "revoked")
        assert (await stage.gate.refresh(second.token)).status == 401


async def test_a_forged_jwt_harms_nobody(stage: Stage) -> None:
    """given a JWT that names somebody and was never minted, then the backend refuses it and the user is untouched."""
    token = (await stage.gate.login("ann")).token
    assert (await stage.gate.refresh(jwt_like(sub="ann"))).status == 401
    assert (await stage.gate.refresh(token)).status == 200
    assert len(stage.ledger.users["ann"].live()) == 1


async def test_a_rejection_passes_and_releases(stage: Stage) -> None:
    """given a token that the backend refuses, then its answer passes as it is and the next try asks it again."""
    token = (await stage.gate.login()).token
    stage.backend.valid.clear()
    refused = await stage.gate.refresh(token)
    assert (refused.status, refused.content, refused.code) == (401, b'{"message":"no"}', "")
    stage.backend.valid[token] = "42"
    assert (await stage.gate.refresh(token)).status == 200
    assert stage.gate.results() == ["rejected", "rotated"]


async def test_an_unknown_token_that_is_refused_leaves_nothing(stage: Stage) -> None:
    """Guesses are the backend's to refuse; no record stays of them."""
    assert (await stage.gate.refresh("hush-guess")).status == 401
    assert stage.store._tokens == {}


async def test_a_lost_answer_is_asked_for_again_without_alarm(stage: Stage) -> None:
    """given a refresh that was carried out and whose answer broke off, then the retry is forwarded, and the backend's
    verdict passes: the family lives on."""
    gate = stage.gate
    token = (await gate.login()).token
    stage.backend.break_after = True
    assert (await gate.refresh(token)).code == "upstream-unreachable"
    stage.clock.advance(100)
    assert (await gate.refresh(token)).status == 401
    assert stage.backend.refreshes == [token, token]
    assert gate.results() == ["unanswered", "rejected"]
    assert gate.reported(ReuseDetected) == []
    assert len(stage.ledger.users["42"].live()) == 1


async def test_a_client_that_leaves_does_not_break_it_off(stage: Stage) -> None:
    """Case 25: given a client that disconnects mid-refresh, then it is committed, and the retry gets the answer."""
    token = (await stage.gate.login()).token
    stage.backend.open = asyncio.Event()
    client = asyncio.create_task(stage.gate.refresh(token))
    await stage.backend.holding.wait()
    client.cancel()
    await asyncio.wait((client,))
    stage.backend.open.set()
    assert (await stage.gate.refresh(token)).status == 200
    assert stage.backend.refreshes == [token]


async def test_a_token_that_is_not_replaced_stays_good() -> None:
    """given a backend that does not rotate, then parallel refreshes reach it once, later ones again, with no alarm."""
    stage = Stage(Minting(rotates=False))
    async with running(stage.gate):
        token = (await stage.gate.login()).token
        outcomes = await asyncio.gather(*(stage.gate.refresh(token) for _ in range(10)))
        assert len({outcome.content for outcome in outcomes}) == 1
        assert len(stage.backend.refreshes) == 1
        stage.clock.advance(31)
        assert (await stage.gate.refresh(token)).status == 200
        assert len(stage.backend.refreshes) == 2
    assert stage.gate.reported(ReuseDetected) == []


async def test_an_answer_too_large_to_keep_is_delivered() -> None:
    """given an answer beyond what is kept, then it is delivered; a retry in grace is the backend's to judge, and only
    afterwards it is reuse."""
    stage = Stage(Minting(padding=70_000))
    async with running(stage.gate):
        token = (await stage.gate.login()).token
        large = await stage.gate.refresh(token)
        assert (large.status, len(large.content) > 70_000) == (200, True)
        assert (await stage.gate.refresh(token)).json == {"message": "no"}
        stage.clock.advance(31)
        assert (await stage.gate.refresh(token)).code == "invalid-token"


async def test_an_answer_that_went_missing_is_asked_for_again(stage: Stage) -> None:
    """given a kept answer that the store has lost, then the backend decides, without an alarm."""
    token = (await stage.gate.login()).token
    await stage.gate.refresh(token)
    stage.store._answers.clear()
    assert (await stage.gate.refresh(token)).json == {"message": "no"}
    assert stage.gate.reported(ReuseDetected) == []


async def test_of_duplicate_cookies_the_good_one_counts() -> None:
    """given a spent cookie of an older path beside the current one, then that one is forwarded alone, without alarm."""
    stage = Stage(Minting(by_cookie=True), carrier="cookie")
    gate = stage.gate
    async with running(gate):
        first = (await gate.login()).token
        second = (await gate.refresh(first)).token
        stage.clock.advance(31)
        third = await gate.refresh(first, second)
        assert third.status == 200
        assert (await gate.refresh("hush-unknown", first, third.token)).status == 200
    assert stage.backend.refreshes == [first, second, third.token]
    assert gate.reported(ReuseDetected) == []


async def test_the_refresh_cookie_reaches_the_backend() -> None:
    """Here, and only here: it is the backend that reads it."""
    stage = Stage(Minting(by_cookie=True), carrier="cookie")
    async with running(stage.gate):
        token = (await stage.gate.login()).token
        await stage.gate.refresh(token)
    (exchange,) = [seen for seen in stage.backend.seen if seen.target == b"/refresh"]
    assert dict(exchange.headers)[b"Cookie"] == f"theme=dark; refresh_token={token}".encode()


async def test_no_refresh_becomes_a_tunnel(stage: Stage) -> None:
    """A request for an upgrade is forwarded as a plain one."""
    token = (await stage.gate.login()).token
    exchange = stage.gate.request(b"/refresh", token)
    exchange.headers += [(b"Connection", b"Upgrade"), (b"Upgrade", b"websocket"), (b"Expect", b"100-continue")]
    assert (await stage.gate.send(exchange)).status == 200
    forwarded = {name.lower() for name, _ in stage.backend.seen[-1].headers}
    assert forwarded.isdisjoint({b"connection", b"upgrade", b"expect"})


async def test_an_unforeseen_error_is_told_to_everybody(stage: Stage) -> None:
    """given a fault of the gateway's own, then all who wait hear of it, and the next refresh works."""
    token = (await stage.gate.login()).token

    async def faulty(exchange: Exchange) -> Reply:
        raise ZeroDivisionError

    stage.gate.forward, forward = faulty, stage.gate.forward
    outcomes = await asyncio.gather(*(stage.gate.refresh(token) for _ in range(3)), return_exceptions=True)
    assert {type(outcome) for outcome in outcomes} == {ZeroDivisionError}
    stage.gate.forward = forward
    assert (await stage.gate.refresh(token)).status == 200
