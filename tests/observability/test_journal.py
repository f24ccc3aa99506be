"""Events to log lines."""

from __future__ import annotations

from typing import Any

import pytest
from structlog.testing import capture_logs

from gateway.availability.events import RedisAvailable, RedisUnavailable
from gateway.events import Event
from gateway.maintenance.events import MaintenanceAnswered, MaintenanceChanged
from gateway.observability import journal
from gateway.observability.journal import Digest, Journal
from gateway.rescue import Refused
from gateway.throttle.events import SharingChanged
from gateway.tokens.events import (
    AttemptFailed,
    Audit,
    ClaimsNotGiven,
    ExcessFamiliesCleaned,
    NothingBrought,
    ReuseDetected,
)


class Steps:
    """A clock that stands where it is put."""

    now = 0.0

    def monotonic(self) -> float:
        return self.now

    def wall(self) -> float:
        return self.now


def lines(*events: Event | float, strict: bool = False) -> list[dict[str, Any]]:
    """Return what is logged when the events happen; a number moves the clock to that second."""
    clock = Steps()
    with capture_logs() as captured:
        told = Journal(clock, strict=strict)
        for event in events:
            if isinstance(event, Event):
                told(event)
            else:
                clock.now = event
    return [dict(line) for line in captured]


def test_a_digest_lets_the_first_through_and_then_one_a_minute_with_a_count() -> None:
    """Of many in a minute the first is told at once and the others as a count when the minute is over."""
    digest = Digest()
    assert [digest.note(now) for now in (0.0, 1.0, 59.9, 60.0, 60.1, 120.0)] == [1, None, None, 3, None, 2]
    assert digest.note(121.0) is None
    assert digest.end() == 1, "what was held back is not lost"
    assert digest.note(122.0) == 1


@pytest.mark.parametrize(
    ("change", "many", "text"),
    [
        (MaintenanceChanged(True), MaintenanceAnswered("other"), "Authentication service in maintenance mode"),
        (
            RedisUnavailable("timeout"),
            Refused("backend", "POST /r", "redis-required", "Redis: away"),
            "Redis required for token operations but not available",
        ),
    ],
)
def test_refusals_are_told_once_and_then_at_most_once_a_minute(change: Event, many: Event, text: str) -> None:
    """A thousand refusals in a minute make one line, and the next minute's line carries their count."""
    told = [line for line in lines(change, *[many] * 1000, 61.0, many) if line["event"] == text]
    assert len(told) == 2
    assert told[1]["count"] >= 1000


def test_strict_mode_tells_the_loss_at_once_and_the_rest_at_the_end() -> None:
    """The change itself is told in strict mode's words, and what was held back is told when Redis is back."""
    refused = Refused("backend", "POST /r", "redis-required", "Redis: away")
    told = lines(RedisUnavailable("timeout"), *[refused] * 5, RedisAvailable(50.0), strict=True)
    required = [line["count"] for line in told if line["event"].startswith("Redis required")]
    assert required == [1, 5]
    assert told[-1]["event"] == "Redis available"


def test_events_have_the_texts_that_alerts_look_for() -> None:
    """Redis coming and going, the cap at work and a reuse are logged verbatim, with fields beside them."""
    told = lines(
        RedisAvailable(1.5), RedisUnavailable("timeout"), ExcessFamiliesCleaned("u", ("f",)), ReuseDetected("u", "f", 3)
    )
    assert [line["event"] for line in told] == [
        "Redis available",
        "Redis unavailable",
        "Cleaned up excess user tokens",
        "Refresh token reuse detected",
    ]
    assert told[3]["family"] == "f"


def test_answers_with_nothing_to_guard_are_told_for_each_operation() -> None:
    """A warning for logins and one for refreshes, each once and then at most once a minute with a count."""
    login, refresh = NothingBrought("login"), NothingBrought("refresh")
    told = lines(refresh, *[refresh] * 9, login, 60.0, refresh)
    assert [(line["log_level"], line["operation"], line["count"]) for line in told] == [
        ("warning", "refresh", 1), ("warning", "login", 1), ("warning", "refresh", 10)
    ]  # fmt: skip


def test_audit_lines_are_marked_and_carry_the_hash_under_a_name_that_redaction_leaves() -> None:
    """Every audit event is one line with `audit: true`, never held back."""
    audit = Audit("refresh", "rotated", "u", "f", token="9f2c", device="d")
    told = lines(audit, audit)
    assert len(told) == 2
    assert told[0]["audit"] is True
    assert told[0]["token_hash"] == "9f2c"
    assert "token" not in told[0]


def test_guesses_are_audited_by_network_once_a_minute_with_a_count() -> None:
    """given guesses from two networks / then each has a line at once and then one a minute, that names no family."""
    one, other = (AttemptFailed("refresh", "invalid", network) for network in ("192.0.2.0/24", "198.51.100.0/24"))
    limited = AttemptFailed("refresh", "too-many-attempts", "192.0.2.0/24")
    told = lines(one, *[one] * 20, other, limited, *[limited] * 1000, 60.0, one, limited)
    assert [(line["outcome"], line["network"], line["count"]) for line in told] == [
        ("invalid", "192.0.2.0/24", 1),
        ("invalid", "198.51.100.0/24", 1),
        ("too-many-attempts", "192.0.2.0/24", 1),
        ("invalid", "192.0.2.0/24", 21),
        ("too-many-attempts", "192.0.2.0/24", 1001),
    ]
    assert {(line["event"], line["audit"], line["action"]) for line in told} == {("Token audit", True, "refresh")}
    assert {line["family"] for line in told} == {line["user"] for line in told} == {""}


def test_guesses_from_many_networks_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """given more networks than are told apart / then the others share one line a minute, until there is room again."""
    monkeypatch.setattr(journal, "MOST_KEYS", 2)
    guesses = [AttemptFailed("refresh", "invalid", str(number)) for number in range(5)]
    told = lines(*guesses, *guesses, 60.0, guesses[4], guesses[0], 120.0, *guesses)
    assert [(line["network"], line["count"]) for line in told] == [
        ("0", 1), ("1", 1), ("other", 1), ("other", 6), ("0", 2), ("0", 1), ("1", 2), ("other", 1)
    ]  # fmt: skip


def test_failures_of_upstreams_are_warned_about_in_digest_and_client_errors_are_quiet() -> None:
    """502s make one warning a minute; a client's malformed request is a matter for debug."""
    told = lines(*[Refused("backend", "other", "upstream-unreachable", "connect: refused")] * 50)
    assert [line["log_level"] for line in told] == ["warning"]
    told = lines(*[Refused(name, "other", "upstream-timeout", "") for name in ("whmcs", "salesforce")])
    assert [line["upstream"] for line in told] == ["whmcs", "salesforce"], "one vendor must not hide another"
    told = lines(Refused("backend", "other", "invalid-token", ""))
    assert [line["log_level"] for line in told] == ["debug"]


def test_a_backend_that_gives_no_claims_is_told_of_once_a_minute() -> None:
    """Every refresh may meet it; the line says why and how often."""
    told = lines(*[ClaimsNotGiven("timeout")] * 100, 61.0, ClaimsNotGiven("status"))
    assert [line["event"] for line in told] == ["Backend gave no claims, older ones are used"] * 2
    assert [(line["reason"], line["count"]) for line in told] == [("timeout", 1), ("status", 100)]


def test_limits_that_are_kept_by_shares_are_told_of() -> None:
    """That the fleet's books cannot be asked is a warning with the upstream's name; that they can be again, a note."""
    assert lines(SharingChanged("crm", True), SharingChanged("crm", False)) == [
        {"event": "Queue limits kept by shares", "log_level": "warning", "upstream": "crm"},
        {"event": "Queue limits shared again", "log_level": "info", "upstream": "crm"},
    ]
