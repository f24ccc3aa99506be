"""How many retries there may be."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from gateway.retry.budget import FLOOR, WINDOW, Budget


def test_a_quiet_upstream_may_be_retried_a_little() -> None:
    """However few calls there are, a minute has room for a few retries, and not for more."""
    budget = Budget(0.1)
    budget.deposit(0.0)
    assert [budget.withdraw(0.5) for _ in range(FLOOR + 1)] == [True] * FLOOR + [False]


def test_retries_are_a_share_of_the_calls() -> None:
    """Of a thousand calls, a tenth may be made again."""
    budget = Budget(0.1)
    for number in range(1000):
        budget.deposit(number / 20)
    assert sum(budget.withdraw(50.0) for _ in range(1000)) == 100


def test_what_is_over_gives_room_again() -> None:
    """Retries of more than a minute ago count no more, and neither do the calls."""
    budget = Budget(1.0)
    for _ in range(10):
        budget.deposit(0.0)
    assert sum(budget.withdraw(0.0) for _ in range(20)) == 10
    assert not budget.withdraw(WINDOW + 0.5)
    assert sum(budget.withdraw(WINDOW + 1.0) for _ in range(20)) == FLOOR


class BudgetMachine(RuleBasedStateMachine):
    """Calls and retries at any time, beside plain lists of all of them."""

    @initialize(share=st.floats(0, 1))
    def start(self, share: float) -> None:
        self.share = share
        self.budget = Budget(share)
        self.now = 0.0
        self.calls: list[float] = []
        self.retries: list[float] = []

    def counted(self, times: list[float]) -> int:
        return sum(time // 1 >= self.now // 1 - WINDOW for time in times)

    @rule(times=st.integers(1, 30))
    def calls_come(self, times: int) -> None:
        for _ in range(times):
            self.budget.deposit(self.now)
            self.calls.append(self.now)

    @rule(times=st.integers(1, 10))
    def retries_are_wanted(self, times: int) -> None:
        for _ in range(times):
            most = max(FLOOR, int(self.share * self.counted(self.calls)))
            allowed = self.budget.withdraw(self.now)
            assert allowed is (self.counted(self.retries) < most)
            if allowed:
                self.retries.append(self.now)

    @rule(seconds=st.floats(0, 90))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds


TestBudget = BudgetMachine.TestCase
TestBudget.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)
TestBudget.__doc__ = "In no minute are there more retries than the share of its calls, or the floor."
