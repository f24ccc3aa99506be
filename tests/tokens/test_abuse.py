"""How many failed attempts an address has."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.tokens import abuse
from gateway.tokens.abuse import BURST, PERIOD, FailedAttempts


def _exhausted(address: str, now: float = 0.0) -> FailedAttempts:
    attempts = FailedAttempts()
    assert [attempts.failed(address, now) for _ in range(BURST)] == [None] * BURST
    return attempts


def test_a_burst_then_one_a_period() -> None:
    """The first twenty are few; the next is told when it would be, and after that there is room for exactly one."""
    attempts = _exhausted("192.0.2.1")
    assert attempts.failed("192.0.2.1", 0.0) == PERIOD
    assert attempts.failed("192.0.2.1", 1.0) == PERIOD - 1
    assert attempts.failed("192.0.2.1", PERIOD) is None
    assert attempts.failed("192.0.2.1", PERIOD) == PERIOD


def test_patience_is_rewarded() -> None:
    """After a minute without a failure an address has its whole burst again."""
    attempts = _exhausted("192.0.2.1")
    assert [attempts.failed("192.0.2.1", BURST * PERIOD) for _ in range(BURST + 1)] == [None] * BURST + [PERIOD]


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("192.0.2.1", "192.0.2.2", False),
        ("192.0.2.1", "::ffff:192.0.2.1", True),
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff::9", True),
        ("2001:db8:1:2::1", "2001:db8:1:3::1", False),
        ("fe80::1%eth0", "fe80::2%eth1", True),
    ],
)
def test_whose_failures_count_together(one: str, other: str, same: bool) -> None:
    """IPv4 counts by address, however it is written, IPv6 by its /64: an attacker owns the whole of it."""
    attempts = _exhausted(one)
    assert (attempts.failed(other, 0.0) is not None) is same


@pytest.mark.parametrize("address", ["", "nobody"])
def test_nobody_is_not_limited(address: str) -> None:
    """A peer on a unix socket that names no client: all of them together must not stand for one."""
    attempts = _exhausted(address)
    assert attempts.failed(address, 0.0) is None
    assert len(attempts) == 0


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the table's size the address that failed least recently is forgotten; one that is waiting stays."""
    monkeypatch.setattr(abuse, "MAX_ADDRESSES", 3)
    attempts = _exhausted("192.0.2.1")
    attempts.failed("192.0.2.2", 0.0)
    attempts.failed("192.0.2.3", 0.0)
    assert attempts.failed("192.0.2.1", 0.0) == PERIOD
    attempts.failed("192.0.2.4", 0.0)
    assert len(attempts) == 3
    assert attempts.failed("192.0.2.1", 0.0) == PERIOD


@given(st.lists(st.floats(0, 5), max_size=200))
def test_no_minute_has_more_than_a_burst_and_a_minutes_worth(gaps: list[float]) -> None:
    """However failures are spread, those answered as such in a minute are at most a burst and what a minute frees."""
    attempts, now, counted = FailedAttempts(), 1000.0, []
    for gap in gaps:
        now += gap
        wait = attempts.failed("192.0.2.1", now)
        if wait is None:
            counted.append(now)
        else:
            assert 0 < wait <= PERIOD
    for start in counted:
        assert sum(start <= at < start + 60 for at in counted) <= BURST + 60 / PERIOD
