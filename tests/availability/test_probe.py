"""The probe in virtual time: how soon an outage and its end are noticed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from gateway.availability.events import RedisAvailable, RedisUnavailable
from gateway.availability.gate import Gate
from gateway.availability.probe import Probe
from gateway.errors import StoreUnavailable
from gateway.events import Event
from gateway.redis_client.settings import ProbeSettings
from tests.support.virtual import LoopClock, virtual

SETTINGS = ProbeSettings()
COMMAND_TIMEOUT = 0.5


class Redis:
    """A Redis that is there, gone (refuses at once) or frozen (costs the whole time limit)."""

    def __init__(self) -> None:
        self.state = "there"
        self.asked: list[float] = []
        self.events: list[Event] = []
        self.gate = Gate(SETTINGS.failures, SETTINGS.successes)
        self.probe = Probe(self.ping, self.gate, SETTINGS, self.events.append, LoopClock())

    async def ping(self) -> None:
        self.asked.append(asyncio.get_running_loop().time())
        if self.state == "gone":
            raise StoreUnavailable("connection")
        if self.state == "frozen":
            await asyncio.sleep(COMMAND_TIMEOUT)
            raise StoreUnavailable("timeout")
        await asyncio.sleep(0.001)

    async def until(self, available: bool) -> float:
        """Return after how many seconds the gate says so."""
        started = asyncio.get_running_loop().time()
        while self.gate.available is not available:
            await asyncio.sleep(0.001)
        return asyncio.get_running_loop().time() - started


@asynccontextmanager
async def probing() -> AsyncIterator[Redis]:
    redis = Redis()
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(redis.probe.run())
        await redis.until(True)
        yield redis
        running.cancel()


@pytest.mark.parametrize("state", ["gone", "frozen"])
@pytest.mark.parametrize("moment", [0.0005, 0.01, 0.3, 0.6, 0.99, 0.9995])
@virtual
async def test_an_outage_is_noticed_within_two_seconds_and_its_end_within_three(state: str, moment: float) -> None:
    """Whenever it falls between two questions, without any traffic, and each is told once."""
    async with probing() as redis:
        await asyncio.sleep(4 + moment)
        redis.state = state
        assert await redis.until(False) <= 2.01
        await asyncio.sleep(10 + moment)
        redis.state = "there"
        assert await redis.until(True) <= 3.0
        await asyncio.sleep(10)
    assert [type(event) for event in redis.events] == [RedisAvailable, RedisUnavailable, RedisAvailable]
    (lost,) = (event for event in redis.events if isinstance(event, RedisUnavailable))
    assert lost.reason == ("connection" if state == "gone" else "timeout")


@virtual
async def test_while_all_is_well_it_asks_once_an_interval() -> None:
    """The interval is counted from question to question."""
    async with probing() as redis:
        await asyncio.sleep(10)
    gaps = [round(after - before, 6) for before, after in zip(redis.asked, redis.asked[1:], strict=False)]
    assert set(gaps) == {SETTINGS.interval}


@virtual
async def test_one_missed_answer_is_asked_for_again_soon_and_changes_nothing() -> None:
    """A hiccup leaves the verdict as it was."""
    async with probing() as redis:
        await asyncio.sleep(0.5)
        redis.probe.command_result("timeout")
        before = len(redis.asked)
        await asyncio.sleep(0.3)
        assert len(redis.asked) == before + 1
        await asyncio.sleep(5)
    assert [type(event) for event in redis.events] == [RedisAvailable]


@virtual
async def test_failed_commands_turn_the_gate_at_once() -> None:
    """Under traffic nobody waits for the next question."""
    async with probing() as redis:
        redis.probe.command_result("connection")
        assert redis.gate.available
        redis.probe.command_result("connection")
        assert not redis.gate.available


@virtual
async def test_commands_that_were_not_sent_or_failed_by_themselves_do_not_count() -> None:
    """A refusal because Redis is away, and a script's own error, say nothing about Redis."""
    async with probing() as redis:
        for _ in range(10):
            redis.probe.command_result("away")
            redis.probe.command_result("other")
        assert redis.gate.available
        assert not redis.gate.undecided


@virtual
async def test_answered_commands_in_between_keep_the_verdict() -> None:
    """Failures that are not in a row are the commands' affair."""
    async with probing() as redis:
        for _ in range(10):
            redis.probe.command_result("timeout")
            redis.probe.command_result(None)
        assert redis.gate.available


@virtual
async def test_an_unexpected_error_of_the_question_is_not_swallowed() -> None:
    """Only an unavailable store is an answer; a defect ends the probe and is seen."""

    async def broken() -> None:
        raise RuntimeError("a defect")

    probe = Probe(broken, Gate(1, 1), SETTINGS, lambda event: None, LoopClock())
    with pytest.raises(RuntimeError, match="a defect"):
        await probe.run()


@virtual
async def test_asking_once_gives_the_first_verdict_before_anything_is_served() -> None:
    """One question is enough at a start."""
    redis = Redis()
    await redis.probe.ask()
    assert redis.gate.available
    assert redis.events == [RedisAvailable(0.0)]
