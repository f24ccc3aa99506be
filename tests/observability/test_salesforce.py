"""What is told of Salesforce: log lines with the texts that alerts look for, and metrics."""

from __future__ import annotations

import pytest

from gateway.events import Event
from gateway.observability.metrics import Metrics
from gateway.observability.recorder import Recorder
from gateway.salesforce.events import (
    ClientLoginTimedOut,
    ConcurrencyLimited,
    LoginFinished,
    SessionExpired,
    UsageLevelChanged,
    UsageSeen,
)
from tests.observability.test_journal import lines


@pytest.mark.parametrize(
    ("event", "level", "text"),
    [
        (LoginFinished("salesforce", "initial", "ok", 0.25), "info", "Salesforce authentication"),
        (LoginFinished("salesforce", "renewal", "ok", 0.25), "info", "Salesforce re-authentication"),
        (LoginFinished("salesforce", "expired", "ok", 0.25), "info", "Salesforce re-authentication"),
        (
            LoginFinished("salesforce", "renewal", "timeout", 0.25, "no answer in time", 1.0),
            "error",
            "Salesforce authentication timeout",
        ),
        (
            LoginFinished("salesforce", "renewal", "failed", 0.25, "status 400", 60.0),
            "error",
            "Salesforce authentication failed",
        ),
    ],
)
def test_logins(event: LoginFinished, level: str, text: str) -> None:
    """Each login is a line with its duration and its reason; one that failed tells why, and when the next may be."""
    (line,) = lines(event)
    assert (line["log_level"], line["event"], line["duration"]) == (level, text, 0.25)
    assert line["reason"] == event.reason
    assert line.get("problem", "") == event.problem


@pytest.mark.parametrize(
    ("event", "level", "text"),
    [
        (ClientLoginTimedOut("salesforce", 30.0), "error", "Salesforce authentication timeout"),
        (SessionExpired("salesforce"), "info", "Salesforce session expired"),
        (UsageLevelChanged("salesforce", "warn", 0.8), "warning", "Salesforce daily API usage"),
        (UsageLevelChanged("salesforce", "ok", 0.1), "info", "Salesforce daily API usage"),
        (ConcurrencyLimited("salesforce", 2.0), "warning", "Salesforce has too many long calls, its lane pauses"),
    ],
)
def test_other_lines(event: Event, level: str, text: str) -> None:
    """What else an operator wants to know is a line on the change."""
    (line,) = lines(event)
    assert (line["log_level"], line["event"]) == (level, text)


def test_metrics() -> None:
    """Logins are counted by result and reason and timed; expiries are counted; the usage is a ratio."""
    metrics = Metrics()
    recorder = Recorder(metrics)
    recorder(LoginFinished("salesforce", "initial", "ok", 0.5))
    recorder(LoginFinished("salesforce", "expired", "timeout", 30.0))
    recorder(SessionExpired("salesforce"))
    recorder(UsageSeen("salesforce", 0.25))
    get = metrics.registry.get_sample_value
    assert get("gateway_salesforce_auth_total", {"result": "ok", "reason": "initial"}) == 1
    assert get("gateway_salesforce_auth_total", {"result": "timeout", "reason": "expired"}) == 1
    assert get("gateway_salesforce_auth_duration_seconds_sum") == 30.5
    assert get("gateway_salesforce_session_expired_total") == 1
    assert get("gateway_salesforce_api_usage_ratio") == 0.25
