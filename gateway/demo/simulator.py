"""What both vendors' simulators share: each call is counted before it is answered, and a report tells what was seen.

The one idea: the simulator is a witness. It records a call when its header section has arrived, and publishes the
lag of its own event loop beside the counts, so that a reader can tell how far the recorded times may be off.
"""

from __future__ import annotations

import asyncio
import random
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

from aiohttp import web
from aiohttp.typedefs import Handler
from pydantic import ValidationError

from gateway.clock import SYSTEM, Clock
from gateway.demo.behaviour import Behaviour, changed
from gateway.demo.counter import Arrivals
from gateway.demo.credentials import Credentials

PREFIX: Final = "/_simulator"
"""Paths below it belong to the simulator, not to the vendor; calls to them are not counted."""

_LAG_SAMPLE: Final = 0.05  # seconds between two looks at the event loop
_LARGEST_BODY: Final = 150 * 1024 * 1024  # bytes; what Bulk API 2.0 takes for one upload

B = TypeVar("B", bound=Behaviour)


@dataclass(slots=True)
class PathClass:
    """Calls of one kind: how many arrived, how many are being answered, and the most at once."""

    calls: int = 0
    in_flight: int = 0
    in_flight_peak: int = 0


class LoopLag:
    """The longest time by which the running event loop was late for a timer."""

    def __init__(self, clock: Clock = SYSTEM) -> None:
        self.largest = 0.0
        self._clock = clock
        self._due = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Watch the running loop until `stop`."""
        self._due = self._clock.monotonic() + _LAG_SAMPLE
        self._timer = asyncio.get_running_loop().call_later(_LAG_SAMPLE, self._look)

    def _look(self) -> None:
        self.largest = max(self.largest, self._clock.monotonic() - self._due)
        self.start()

    def stop(self) -> None:
        """Watch no longer."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class Simulator(ABC, Generic[B]):
    """A vendor: answers like it, and counts.

    Attributes:
        behaviour: what can be changed while it runs (`PUT /_simulator/behaviour`).
        credentials: what callers presented, hashed.
        random: where chance comes from; the same again after a reset.
    """

    def __init__(self, behaviour: B, clock: Clock = SYSTEM) -> None:
        self.clock = clock
        self.behaviour = behaviour
        self.credentials = Credentials()
        self.random = random.Random(behaviour.seed)  # noqa: S311 (repeatable, on purpose)
        self._arrivals = Arrivals(clock)
        self._classes: dict[str, PathClass] = {}
        self._lag = LoopLag(clock)

    @abstractmethod
    def routes(self) -> list[web.RouteDef]:
        """Return the vendor's own routes."""

    @abstractmethod
    async def answer(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Answer a call that was counted; `handler` is what its route says."""

    def path_class(self, request: web.Request) -> str:
        """Return the name under which a call is reported."""
        return "default"

    @abstractmethod
    def forget(self) -> None:
        """Forget what the vendor remembers of its callers, at a reset."""

    @abstractmethod
    def details(self) -> dict[str, Any]:
        """Return what this vendor adds to the report."""

    async def take_time(self, usual: float) -> None:
        """Let a call take its `usual` seconds, or `slow_seconds` when chance says so."""
        slow = self.random.random() < self.behaviour.slow_probability
        await asyncio.sleep(self.behaviour.slow_seconds if slow else usual)

    def application(self) -> web.Application:
        """Return the application that serves the vendor's routes and the simulator's own."""
        application = web.Application(middlewares=[self._witness()], client_max_size=_LARGEST_BODY)
        application.cleanup_ctx.append(self._watch_loop)
        application.add_routes(self.routes())
        application.router.add_get(f"{PREFIX}/report", self._report)
        application.router.add_post(f"{PREFIX}/reset", self._reset)
        application.router.add_get(f"{PREFIX}/behaviour", self._tell)
        application.router.add_put(f"{PREFIX}/behaviour", self._change)
        return application

    def report(self, window: float) -> dict[str, Any]:
        """Return what was seen since the start or the last reset.

        Raises:
            ValueError: when `window` (seconds) is not more than zero.
        """
        return {
            "calls": len(self._arrivals),
            "window_seconds": window,
            "busiest_window": self._arrivals.busiest(window),
            "first_to_last_seconds": round(self._arrivals.span(), 6),
            "classes": {
                name: {"calls": seen.calls, "in_flight": seen.in_flight, "in_flight_peak": seen.in_flight_peak}
                for name, seen in sorted(self._classes.items())
            },
            "largest_loop_lag_seconds": round(self._lag.largest, 6),
            "credentials": self.credentials.report(),
            **self.details(),
        }

    def reset(self) -> None:
        """Count from zero again; calls that are being answered stay in flight."""
        self._arrivals.clear()
        self.credentials.clear()
        self.random.seed(self.behaviour.seed)
        self._lag.largest = 0.0
        for seen in self._classes.values():
            seen.calls, seen.in_flight_peak = 0, seen.in_flight
        self.forget()

    def _witness(self) -> Any:
        @web.middleware
        async def witness(request: web.Request, handler: Handler) -> web.StreamResponse:
            if request.path.startswith(f"{PREFIX}/"):
                return await handler(request)
            self._arrivals.record()
            seen = self._classes.setdefault(self.path_class(request), PathClass())
            seen.calls += 1
            seen.in_flight += 1
            seen.in_flight_peak = max(seen.in_flight_peak, seen.in_flight)
            try:
                return await self.answer(request, handler)
            finally:
                seen.in_flight -= 1

        return witness

    async def _watch_loop(self, _: web.Application) -> AsyncIterator[None]:
        self._lag.start()
        yield
        self._lag.stop()

    async def _report(self, request: web.Request) -> web.Response:
        try:
            return web.json_response(self.report(float(request.query.get("window", "60"))))
        except ValueError:
            raise web.HTTPBadRequest(text="window is a number of seconds, more than zero") from None

    async def _reset(self, _: web.Request) -> web.Response:
        self.reset()
        return web.Response(status=204)

    async def _tell(self, _: web.Request) -> web.Response:
        return web.json_response(self.behaviour.model_dump())

    async def _change(self, request: web.Request) -> web.Response:
        try:
            self.behaviour = changed(self.behaviour, await request.json())
        except (ValidationError, TypeError, ValueError) as problem:
            names = ", ".join(sorted(type(self.behaviour).model_fields))
            raise web.HTTPBadRequest(text=f"{problem}\nWhat can be changed: {names}") from None
        return await self._tell(request)
