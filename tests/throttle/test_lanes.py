"""The choice of a lane."""

from __future__ import annotations

import pytest

from gateway.exchange import Exchange, Headers
from gateway.settings import RoutePattern
from gateway.throttle.lanes import Test as Predicate
from gateway.throttle.lanes import lane_selector
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
