"""The defaults of the retry room's keys."""

from __future__ import annotations

from gateway.config.policy import Policy
from gateway.retry.settings import BreakerSettings, RetrySettings

LIMITS = {
    "upstream": "crm",
    "listen": "127.0.0.1:0",
    "rate": {"cap": 10},
    "lanes": [{"name": "default", "concurrency": 2, "timeout": "1s"}],
}


def test_a_policy_asks_for_none_of_it() -> None:
    """Nothing is made again, left alone or annotated unless the policy says so."""
    policy = Policy.model_validate(LIMITS)
    assert (policy.retry, policy.breaker, policy.annotate) == (None, None, False)


def test_what_an_empty_key_means() -> None:
    """`retry: {}` and `breaker: {}` turn both on with the contract's values."""
    policy = Policy.model_validate(LIMITS | {"retry": {}, "breaker": {}})
    assert policy.retry == RetrySettings(max_attempts=2, statuses=(429, 503), budget=0.1)
    assert policy.breaker == BreakerSettings(failures=10, window=30.0, open_for=15.0)
