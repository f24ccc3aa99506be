"""Salesforce's limits on the road of a call: what its answers tell, and what a call may do about it.

The one idea: the frame stands outside the throttle, so that a call which the day has no room for waits for nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from random import SystemRandom
from typing import Final

from gateway.clock import SYSTEM, Clock
from gateway.codings import decoded
from gateway.errors import GatewayError
from gateway.events import Emit, ignore
from gateway.exchange import Exchange, Handler, Reply, header
from gateway.peek import peek
from gateway.salesforce.events import ConcurrencyLimited, UsageLevelChanged, UsageSeen
from gateway.salesforce.settings import DailySettings
from gateway.salesforce.usage import Backoff, Daily, limit_of, usage

SYSTEM_RANDOM: Final = SystemRandom()
_START: Final = 4096
_LIMIT_INFO: Final = b"sforce-limit-info"
PauseLane = Callable[[Exchange, float], None]
"""Sends nothing more, for so many seconds, in the lane of this call."""


class UsageLayer:
    """`daily` is the policy's guard, None: there is none; `priority_header` is the field that names a priority."""

    def __init__(
        self,
        upstream: str,
        daily: DailySettings | None,
        priority_header: str,
        *,
        pause: PauseLane,
        emit: Emit = ignore,
        clock: Clock = SYSTEM,
        random: Callable[[], float] = SYSTEM_RANDOM.random,
    ) -> None:
        self._upstream = upstream
        self._daily: Daily | None = None
        self.adapt(daily, priority_header)
        self._backoff = Backoff()
        self._pause = pause
        self._emit = emit
        self._now = clock.monotonic
        self._random = random

    def adapt(self, daily: DailySettings | None, priority_header: str) -> None:
        """Put other settings in force; what the vendor has told of the day stays known."""
        self._priority = priority_header.lower().encode("latin-1")
        if daily is None:
            self._daily = None
        elif self._daily is None:
            self._daily = Daily(daily)
        else:
            self._daily.adapt(daily)

    async def handle(self, exchange: Exchange, forward: Handler) -> Reply:
        """Forward, unless the day's calls are kept for others.

        Raises:
            GatewayError: `breaker-open` (503); the vendor saw nothing.
        """
        self._admit(exchange)
        reply = await forward(exchange)
        if not reply.error:
            await self._learn(exchange, reply)
        return reply

    def _admit(self, exchange: Exchange) -> None:
        if self._daily is None:
            return
        priority = (header(exchange.headers, self._priority) or b"normal").decode("latin-1").lower()
        wait = self._daily.refuse(self._now(), priority)
        if wait is not None:
            raise GatewayError(
                "breaker-open",
                detail="The daily limit of calls to this service is nearly reached; only urgent calls pass.",
                retry_after=wait,
            )

    async def _learn(self, exchange: Exchange, reply: Reply) -> None:
        ratio = usage(header(reply.headers, _LIMIT_INFO) or b"")
        limit = None
        if reply.status in (403, 500):
            start, reply.body = await peek(reply.body, _START)
            limit = limit_of(reply.status, decoded(start, header(reply.headers, b"content-encoding"), _START))
        now = self._now()
        if limit == "daily":
            ratio = max(ratio or 0.0, 1.0)
        if limit != "concurrency":
            self._backoff.passed(now)
        elif (pause := self._backoff.refused(now, self._random())) is not None:
            self._emit(ConcurrencyLimited(self._upstream, pause))
            self._pause(exchange, pause)
        if ratio is not None:
            self._emit(UsageSeen(self._upstream, ratio))
            if self._daily is not None and self._daily.seen(now, ratio):
                self._emit(UsageLevelChanged(self._upstream, self._daily.level, ratio))
