"""The policy's settings."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from gateway.throttle.settings import QueueSettings, RateSettings
from tests.throttle.samples import policy


@pytest.mark.parametrize("guard", ["0s", "0.5ms"])
def test_a_guard_shorter_than_waking_a_call_is_refused(guard: str) -> None:
    """With such a guard every slot would be spent before its call is awake."""
    with pytest.raises(ValidationError):
        RateSettings.model_validate({"cap": 1, "guard": guard})


@pytest.mark.parametrize("name", ["", "X Tenant", "X-Tenant:", "Ténant"])
@pytest.mark.parametrize("key", ["priority_header", "fair_by"])
def test_what_is_no_header_name_is_refused(key: str, name: str) -> None:
    """No request could carry it."""
    with pytest.raises(ValidationError):
        QueueSettings.model_validate({key: name})


def test_the_long_lane_is_the_one_with_the_longest_timeout() -> None:
    """The first of equals."""
    lanes = [
        {"name": name, "match": [{"path": f"/{name}"}], "concurrency": 1, "timeout": timeout}
        for name, timeout in (("a", "10s"), ("b", "60s"), ("c", "60s"))
    ]
    assert policy(lanes=lanes).long_lane == "b"
    assert policy().long_calls is None


@pytest.mark.parametrize("budget", [{"limit": 0, "after": "20s"}, {"limit": 5}, {"limit": 5, "after": 20}])
def test_a_budget_needs_a_limit_and_a_duration(budget: dict[str, object]) -> None:
    """A lane that is never let in, or a duration without a unit, is a mistake."""
    with pytest.raises(ValidationError):
        policy(long_calls=budget)
