"""Logging in: one at a time, in the background, within a time limit; in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from gateway.errors import GatewayError
from gateway.events import Event
from gateway.salesforce.events import LoginFinished, SessionExpired
from gateway.salesforce.keeper import Keeper
from gateway.salesforce.session import PAUSES
from tests.salesforce.samples import BUFFER, TIMEOUT, TTL, Endpoint, answer, auth, denial, keeper
from tests.support.virtual import virtual


@asynccontextmanager
async def running(kept: Keeper) -> AsyncIterator[Keeper]:
    task = asyncio.create_task(kept.run())
    try:
        yield kept
    finally:
        task.cancel()


def now() -> float:
    return asyncio.get_running_loop().time()


async def outcome(kept: Keeper) -> tuple[str, float]:
    """What a call gets, and when."""
    try:
        return (await kept.session()).token, now()
    except GatewayError as error:
        return error.code, now()


@virtual
async def test_nobody_waits_in_steady_state() -> None:
    """After the first login a session is there at every moment of a day, and each is renewed once, before its end."""
    endpoint = Endpoint()
    async with running(keeper(endpoint)) as kept:
        began = now()
        await kept.session()
        for _ in range(24 * 60):
            await asyncio.sleep(60)
            assert kept.current() is not None
        day = now() - began
    assert len(endpoint.logins) == -(-day // (TTL - BUFFER))


@virtual
async def test_one_login_for_all_who_wait() -> None:
    """A hundred callers at once share one login, and one that goes away does not end it."""
    endpoint = Endpoint()
    async with running(keeper(endpoint)) as kept:
        callers = [asyncio.create_task(kept.session()) for _ in range(100)]
        await asyncio.sleep(0.1)
        callers[0].cancel()
        sessions = await asyncio.gather(*callers[1:])
    assert {session.number for session in sessions} == {1}
    assert len(endpoint.logins) == 1


@virtual
async def test_a_login_that_hangs_fails_everybody_together() -> None:
    """All who wait are told at `timeout`, whenever they came; who comes then is told at once, and after the pause there
    is another login."""
    events: list[Event] = []
    endpoint = Endpoint(latency=10_000)
    async with running(keeper(endpoint, events)) as kept:
        began = now()
        callers = []
        for _ in range(30):
            callers.append(asyncio.create_task(outcome(kept)))
            await asyncio.sleep(0.99)
        ends = await asyncio.gather(*callers)
        assert {code for code, _ in ends} == {"auth-timeout"}
        assert {round(end - began, 6) for _, end in ends} == {TIMEOUT}
        assert await outcome(kept) == ("auth-timeout", now())
        pause = PAUSES["timeout"].first * 0.75
        endpoint.latency = 0.2
        await asyncio.sleep(pause)
        token, _ = await outcome(kept)
        assert token == "hush-session-2"
    assert [round(at - began, 3) for at in endpoint.logins] == [0.0, round(TIMEOUT + pause, 3)]
    first = next(event for event in events if isinstance(event, LoginFinished))
    assert (first.result, first.reason, round(first.seconds, 3)) == ("timeout", "initial", TIMEOUT)


@virtual
async def test_told_no_there_is_no_login_until_a_call_wants_one() -> None:
    """A bad grant is tried once; calls in the pause are refused at once, and the first one after it tries again."""
    endpoint = Endpoint()
    endpoint.result = lambda: denial("invalid_grant", "user hasn't approved this consumer")
    async with running(keeper(endpoint)) as kept:
        assert (await outcome(kept))[0] == "auth-failed"
        for _ in range(40):
            await asyncio.sleep(1)
            assert await outcome(kept) == ("auth-failed", now())
        await asyncio.sleep(36_000)
        assert len(endpoint.logins) == 1
        endpoint.result = None
        assert (await outcome(kept))[0] == "hush-session-2"


@virtual
async def test_logins_that_are_counted_pause_long() -> None:
    """`login rate exceeded` stops logins for minutes, and the gateway comes back by itself."""
    endpoint = Endpoint()
    endpoint.result = lambda: denial("invalid_grant", "login rate exceeded")
    async with running(keeper(endpoint)) as kept:
        assert (await outcome(kept))[0] == "auth-failed"
        await asyncio.sleep(400)
        endpoint.result = None
        assert len(endpoint.logins) == 1
        await asyncio.sleep(100)
        assert len(endpoint.logins) == 2
        assert kept.current() is not None


@virtual
async def test_an_outage_of_the_token_endpoint_costs_no_call() -> None:
    """While renewals fail for a reason that may pass, the session goes on; tries come ever more rarely, not in step."""
    endpoint = Endpoint()
    async with running(keeper(endpoint)) as kept:
        await kept.session()
        endpoint.result = lambda: (503, b"")
        await asyncio.sleep(2 * 3600)
        assert kept.current() is not None
        assert len(endpoint.logins) < 2 * 3600 / (PAUSES["transient"].most / 2)
        endpoint.result = None
        await asyncio.sleep(60)
        session = kept.current()
        assert session is not None
        assert session.number == 2


@virtual
async def test_an_expiry_is_renewed_once_whoever_tells() -> None:
    """Fifty calls that failed with one session have one login begun; telling of it again later begins none."""
    events: list[Event] = []
    endpoint = Endpoint()
    async with running(keeper(endpoint, events)) as kept:
        first = await kept.session()
        kept.worked(first, "rest")
        for _ in range(50):
            kept.expired(first, "rest")
        assert kept.current() is None
        second = await kept.session()
        kept.expired(first, "rest")
        await asyncio.sleep(10)
        assert kept.current() == second
    assert len(endpoint.logins) == 2
    assert sum(isinstance(event, SessionExpired) for event in events) == 1
    reasons = [event.reason for event in events if isinstance(event, LoginFinished)]
    assert reasons == ["initial", "expired"]


@virtual
async def test_the_same_token_again_is_another_session() -> None:
    """A login may give the same token; calls that failed before it still do not begin another."""
    endpoint = Endpoint()
    endpoint.result = lambda: answer("hush-same")
    async with running(keeper(endpoint)) as kept:
        first = await kept.session()
        kept.worked(first, "rest")
        kept.expired(first, "rest")
        second = await kept.session()
        kept.expired(first, "rest")
        assert (second.token, second.number) == (first.token, 2)
        assert kept.current() == second


@virtual
async def test_the_instance_may_move() -> None:
    """The next login's address counts from then on; one that is not Salesforce's is a failed login."""
    endpoint = Endpoint()
    async with running(keeper(endpoint)) as kept:
        first = await kept.session()
        endpoint.origin = "https://acme2.my.salesforce.com"
        kept.worked(first, "rest")
        kept.expired(first, "rest")
        second = await kept.session()
        assert second.origin == "https://acme2.my.salesforce.com"
        endpoint.origin = "https://evil.example"
        kept.worked(second, "rest")
        kept.expired(second, "rest")
        assert (await outcome(kept))[0] == "auth-failed"


@virtual
async def test_credentials_can_be_replaced() -> None:
    """What a reload brings is used by the next login."""
    sent: list[bytes] = []

    async def post(url: str, headers: list[tuple[bytes, bytes]], content: bytes) -> tuple[int, bytes]:
        sent.append(content)
        return answer("hush-token")

    kept = Keeper("salesforce", auth(), post)
    async with running(kept):
        session = await kept.session()
        kept.renew(auth(client_secret="hush-other"))
        kept.worked(session, "rest")
        kept.expired(session, "rest")
        await kept.session()
    assert [b"hush-other" in content for content in sent] == [False, True]


@virtual
async def test_another_secret_is_tried_at_once() -> None:
    """After a refused login a reload's secret is not held back by the pause, whenever it comes; the same one is."""

    async def post(url: str, headers: list[tuple[bytes, bytes]], content: bytes) -> tuple[int, bytes]:
        sent.append(content)
        await asyncio.sleep(1)
        return answer("hush-token") if b"hush-other" in content else denial("invalid_grant", "authentication failure")

    for after in (0.5, 5.0):  # while the old one is being refused, and later
        sent: list[bytes] = []
        kept = Keeper("salesforce", auth(), post)
        async with running(kept):
            await asyncio.sleep(after)
            kept.renew(auth())
            await asyncio.sleep(0.1)
            assert len(sent) == 1
            kept.renew(auth(client_secret="hush-other"))
            await asyncio.sleep(2)
            assert kept.current() is not None
        assert len(sent) == 2


@virtual
async def test_nothing_ends_the_keeper() -> None:
    """A key that cannot be used, no connection, and what nobody foresaw are failed logins."""

    async def broken(url: str, headers: list[tuple[bytes, bytes]], content: bytes) -> tuple[int, bytes]:
        raise RuntimeError("hush-internal")

    async def unreachable(url: str, headers: list[tuple[bytes, bytes]], content: bytes) -> tuple[int, bytes]:
        raise GatewayError("upstream-unreachable", private="the vendor cannot be reached")

    for post, changes, problem in (
        (broken, {}, "unexpected: RuntimeError"),
        (unreachable, {}, "the vendor cannot be reached"),
        (broken, {"type": "salesforce_jwt", "private_key": "hush-none"}, "the private key cannot be used"),
    ):
        events: list[Event] = []
        async with running(Keeper("salesforce", auth(**changes), post, emit=events.append)) as kept:
            with pytest.raises(GatewayError):
                await kept.session()
        (event,) = events
        assert isinstance(event, LoginFinished)
        assert event.problem == problem
