"""What can be changed of a vendor, the faults it was told to have, and the hashes of what it saw."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.demo import faults
from gateway.demo.behaviour import SalesforceBehaviour, WhmcsBehaviour, changed
from gateway.demo.credentials import Credentials, fingerprint


def test_a_change_leaves_the_rest_alone() -> None:
    """Only what is named changes, and whole numbers are good seconds."""
    before = SalesforceBehaviour(latency=1.0)
    after = changed(before, {"fault": "daily", "latency": 2})
    assert (before.fault, before.latency) == ("none", 1.0)
    assert (after.fault, after.latency, after.job_seconds) == ("daily", 2.0, 1.0)


@pytest.mark.parametrize(
    "changes",
    [
        {"mood": 1}, {"latency": -1}, {"latency": "1"}, {"latency": float("inf")}, {"slow_probability": 1.1},
        {"fault": "meteor"}, {"allow_ip": 1}, [1], None,
    ],
)  # fmt: skip
def test_what_may_not_be_is_refused(changes: Any) -> None:
    """Unknown names, wrong types and values out of range."""
    with pytest.raises((ValueError, TypeError)):
        changed(WhmcsBehaviour(), changes)


def test_a_fault_with_a_number_is_used_up() -> None:
    """It is met as often as it was told to, then no more; without a number it stays."""
    behaviour = WhmcsBehaviour(fault="rate_limit", fault_times=2)
    assert [faults.take(behaviour) for _ in range(3)] == ["rate_limit", "rate_limit", "none"]
    behaviour = WhmcsBehaviour(fault="rate_limit")
    assert [faults.take(behaviour) for _ in range(3)] == ["rate_limit"] * 3


def test_credentials_are_kept_as_hashes_alone() -> None:
    """Each distinct one once, in the order seen; an empty one is none."""
    seen = Credentials()
    for credential in ("hush-a", "hush-b", "hush-a", ""):
        seen.see("secret", credential)
    assert seen.report() == {"secret": [fingerprint("hush-a"), fingerprint("hush-b")]}
    shown = "hush-" in str(vars(seen))
    assert not shown
