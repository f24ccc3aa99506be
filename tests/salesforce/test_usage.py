"""What Salesforce's answers tell of its limits, and what follows."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.salesforce.settings import DailySettings
from gateway.salesforce.usage import LOOK_SECONDS, Backoff, Daily, limit_of, usage

DAILY = b'[{"errorCode":"REQUEST_LIMIT_EXCEEDED","message":"TotalRequests Limit exceeded."}]'
CONCURRENT = (
    b'[{"errorCode":"REQUEST_LIMIT_EXCEEDED","message":"ConcurrentRequests (Concurrent API Requests) Limit exceeded."}]'
)
LONG = b'[{"errorCode":"REQUEST_LIMIT_EXCEEDED","message":"ConcurrentPerOrgLongTxn Limit exceeded"}]'
SOAP = b"<faultcode>sf:REQUEST_LIMIT_EXCEEDED</faultcode><faultstring>TotalRequests Limit exceeded.</faultstring>"


@pytest.mark.parametrize(
    ("value", "ratio"),
    [
        (b"api-usage=10018/100000", 0.10018),
        (b"api-usage=25/5000; per-app-api-usage=17/250(appName=sample-connected-app)", 0.005),
        (b"api-bursts=1/2, api-usage=3/4", 0.75),
        (b"per-app-api-usage=17/250(appName=x)", None),
        (b"api-usage=1/0", None),
        (b"api-usage=x/100", None),
        (b"", None),
    ],
)
def test_usage(value: bytes, ratio: float | None) -> None:
    """The organisation's usage is told, not that of one app; nonsense tells nothing."""
    assert usage(value) == ratio


@given(st.binary())
def test_any_field(value: bytes) -> None:
    """No field raises."""
    ratio = usage(value)
    assert ratio is None or ratio >= 0


@pytest.mark.parametrize(
    ("status", "content", "limit"),
    [
        (403, DAILY, "daily"),
        (403, CONCURRENT, "concurrency"),
        (403, LONG, "concurrency"),
        (500, SOAP, "daily"),
        (403, b'[{"errorCode":"INSUFFICIENT_ACCESS"}]', None),
        (200, DAILY, None),
    ],
)
def test_refusals(status: int, content: bytes, limit: str | None) -> None:
    """The two refusals have one code, and are told apart by their message."""
    assert limit_of(status, content) == limit


def test_the_guard_keeps_the_rest_of_the_day() -> None:
    """Above `stop` only the kept priorities pass; below it all do. A change of level is told once."""
    guard = Daily(DailySettings(warn=0.8, stop=0.95, keep_for=("high",)))
    assert not guard.seen(0.0, 0.5)
    assert guard.seen(0.0, 0.8)
    assert guard.refuse(0.0, "low") is None
    assert guard.seen(0.0, 0.95)
    assert not guard.seen(0.0, 0.96)
    assert guard.refuse(1.0, "high") is None
    assert guard.refuse(1.0, "normal") == LOOK_SECONDS - 1.0
    assert guard.seen(2.0, 0.1)
    assert guard.refuse(2.0, "low") is None


def test_other_settings_count_for_what_is_known() -> None:
    """What the vendor told before a change is judged by what is in force after it."""
    guard = Daily(DailySettings())
    guard.seen(0.0, 0.9)
    assert guard.level == "warn"
    guard.adapt(DailySettings(warn=0.5, stop=0.85))
    assert guard.refuse(1.0, "normal") is not None
    guard.adapt(DailySettings(warn=0.95, stop=1.0))
    assert (guard.level, guard.refuse(1.0, "normal")) == ("ok", None)


def test_one_call_looks_from_time_to_time() -> None:
    """When nothing is heard of the usage, one call passes, and the others wait for what it hears."""
    guard = Daily(DailySettings())
    guard.seen(0.0, 1.0)
    assert guard.refuse(LOOK_SECONDS, "normal") is None
    assert guard.refuse(LOOK_SECONDS, "normal") == LOOK_SECONDS


def test_backoff_grows_with_each_pause() -> None:
    """Refusals of calls sent before a pause do not lengthen it; one after it doubles it, and a call through ends it."""
    backoff = Backoff()
    assert backoff.refused(0.0, 1.0) == 1.0
    assert backoff.refused(0.5, 1.0) is None
    assert backoff.refused(1.0, 1.0) == 2.0
    backoff.passed(2.0)
    assert backoff.refused(3.0, 1.0) == 4.0
    backoff.passed(7.0)
    assert backoff.refused(7.0, 0.0) == 0.5


@given(st.lists(st.floats(0.01, 100)), st.floats(0, 1))
def test_pauses_are_bounded(gaps: list[float], chance: float) -> None:
    """No pause is longer than half a minute."""
    backoff, now = Backoff(), 0.0
    for gap in gaps:
        now += gap
        assert (backoff.refused(now, chance) or 0.0) <= 30.0
