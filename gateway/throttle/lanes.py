"""Which lane a call takes, and how it stands there: the policy's matches, tried in order, and two headers.

The one idea: everything that can be worked out from the policy is worked out once, at start.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from gateway.exchange import Exchange, header, header_values
from gateway.settings import RoutePattern
from gateway.throttle.line import AGEING, Priority
from gateway.throttle.settings import LaneMatch, PolicySettings, QueueSettings

_PRIORITIES: Final = {priority.encode(): priority for priority in AGEING}

Test = Callable[[Exchange], bool]


def lane_selector(policy: PolicySettings, compile_route: Callable[[RoutePattern], Test]) -> Callable[[Exchange], str]:
    """Return the function that names an exchange's lane: the first that matches, else the last one.

    A header's name is compared without regard to case, its value exactly; a match with a path and headers needs all.
    """
    *others, last = policy.lanes
    lanes = [(lane.name, [_test(match, compile_route) for match in lane.match]) for lane in others]

    def lane_of(exchange: Exchange) -> str:
        for name, tests in lanes:
            if any(test(exchange) for test in tests):
                return name
        return last.name

    return lane_of


class Standing:
    """Reads the tenant and the priority of an exchange from its headers."""

    def __init__(self, queue: QueueSettings) -> None:
        self._priority = queue.priority_header.lower().encode()
        self._tenant = queue.fair_by.lower().encode() if queue.fair_by is not None else None

    def tenant(self, exchange: Exchange) -> str:
        """Return the tenant; that of calls without the header is the empty one."""
        name = header(exchange.headers, self._tenant) if self._tenant is not None else None
        return name.decode("latin-1") if name is not None else ""

    def priority(self, exchange: Exchange) -> Priority:
        """Return the priority; of calls without the header, or with one that is none, `normal`."""
        return _PRIORITIES.get((header(exchange.headers, self._priority) or b"").lower(), "normal")


def _test(match: LaneMatch, compile_route: Callable[[RoutePattern], Test]) -> Test:
    tests = [_header_test(name, value) for name, value in (match.header or {}).items()]
    if match.path is not None:
        tests.append(compile_route(match.path))
    return lambda exchange: all(test(exchange) for test in tests)


def _header_test(name: str, value: str) -> Test:
    key, wanted = name.lower().encode("latin-1"), value.encode()
    return lambda exchange: wanted in header_values(exchange.headers, key)
