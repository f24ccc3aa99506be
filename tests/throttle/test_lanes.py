"""The choice of a lane."""

from __future__ import annotations

import pytest

from gateway.exchange import Exchange, Headers
from gateway.settings import RoutePattern
from gateway.throttle.lanes import Standing, lane_selector
from gateway.throttle.lanes import Test as Predicate
from gateway.throttle.settings import QueueSettings
from tests.throttle.samples import policy

LANES = [
    {"name": "jobs", "match": [{"path": "/jobs"}, {"header": {"X-Lane": "jobs"}}], "concurrency": 1, "timeout": "1s"},
    {
        "name": "both",
        "match": [{"path": "/mixed", "header": {"X-Lane": "both"}}],
        "concurrency": 1,
        "timeout": "1s",
    },
    {"name": "late", "match": [{"path": "/jobs"}, {"header": {"X-Lane": "late"}}], "concurrency": 1, "timeout": "1s"},
    {"name": "rest", "concurrency": 1, "timeout": "1s"},
]


def route(pattern: RoutePattern) -> Predicate:
    return lambda exchange: exchange.target.decode() == pattern.path


@pytest.mark.parametrize(
    ("target", "headers", "lane"),
    [
        (b"/jobs", [], "jobs"),
        (b"/other", [], "rest"),
        (b"/other", [(b"X-Lane", b"jobs")], "jobs"),
        (b"/other", [(b"x-LANE", b"jobs")], "jobs"),
        (b"/other", [(b"x-lane", b"JOBS")], "rest"),
        (b"/other", [(b"x-lane", b"unknown"), (b"x-lane", b"late")], "late"),
        (b"/mixed", [], "rest"),
        (b"/mixed", [(b"x-lane", b"both")], "both"),
    ],
)
def test_the_first_match_wins_and_the_last_lane_takes_the_rest(target: bytes, headers: Headers, lane: str) -> None:
    """A path or a header chooses the lane: a header's name in any case, its value exactly."""
    assert lane_selector(policy(lanes=LANES), route)(Exchange("GET", target, headers)) == lane


@pytest.mark.parametrize(
    ("headers", "tenant", "priority"),
    [
        ([], "", "normal"),
        ([(b"X-GATEWAY-Priority", b"high"), (b"x-tenant", b"acme")], "acme", "high"),
        ([(b"x-gateway-priority", b"LOW")], "", "low"),
        ([(b"x-gateway-priority", b"urgent"), (b"X-Tenant", b"\xe9")], "é", "normal"),
    ],
)
def test_two_headers_tell_how_a_call_stands_in_line(headers: Headers, tenant: str, priority: str) -> None:
    """The tenant is what its header says, the priority one of three in any case; an unknown one is normal."""
    standing = Standing(QueueSettings(fair_by="X-Tenant"))
    exchange = Exchange("GET", b"/", headers)
    assert (standing.tenant(exchange), standing.priority(exchange)) == (tenant, priority)
    assert Standing(QueueSettings()).tenant(exchange) == ""
