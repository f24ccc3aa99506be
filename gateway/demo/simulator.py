"""What both vendors' simulators share: each call is counted before it is answered, and a report tells what was seen.

The one idea: the simulator is a witness. It records a call when its header section has arrived, and publishes the
lag of its own event loop beside the counts, so that a reader can tell how far the recorded times may be off.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Final

from aiohttp import web
from aiohttp.typedefs import Handler

from gateway.clock import SYSTEM, Clock
from gateway.demo.counter import Arrivals

PREFIX: Final = "/_simulator"
"""Paths below it belong to the simulator, not to the vendor; calls to them are not counted."""

_LAG_SAMPLE: Final = 0.05  # seconds between two looks at the event loop


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


class Simulator(ABC):
    """A vendor: answers like it, and counts.

    `behaviour` names what can be changed while it runs (`PUT /_simulator/behaviour`), in seconds.
    """

    def __init__(self, *, clock: Clock = SYSTEM, **behaviour: float) -> None:
        self.clock = clock
        self.behaviour = behaviour
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

    def application(self) -> web.Application:
        """Return the application that serves the vendor's routes and the simulator's own."""
        application = web.Application(middlewares=[self._witness()])
        application.cleanup_ctx.append(self._watch_loop)
        application.add_routes(self.routes())
        application.router.add_get(f"{PREFIX}/report", self._report)
        application.router.add_post(f"{PREFIX}/reset", self._reset)
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
        }

    def reset(self) -> None:
        """Count from zero again; calls that are being answered stay in flight."""
        self._arrivals.clear()
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

    async def _change(self, request: web.Request) -> web.Response:
        changes = await request.json()
        if not isinstance(changes, dict) or not all(
            name in self.behaviour and isinstance(value, int | float) and value >= 0 for name, value in changes.items()
        ):
            raise web.HTTPBadRequest(text=f"seconds for any of: {', '.join(sorted(self.behaviour))}")
        self.behaviour |= changes
        return web.json_response(self.behaviour)
