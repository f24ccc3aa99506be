"""Closed, open, half-open."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from gateway.retry.breaker import Admitted, Breaker, Refused, Verdict


def run(breaker: Breaker, now: float, *verdicts: Verdict) -> None:
    """Let calls through one after the other, and settle each at once."""
    for verdict in verdicts:
        admitted = breaker.admit(now)
        assert isinstance(admitted, Admitted)
        breaker.settle(now, admitted, verdict)


def test_it_opens_at_the_last_of_so_many_failures_in_the_window() -> None:
    """Failures that lie further apart than the window never open it, and successes between them close nothing."""
    breaker = Breaker(3, 30.0, 15.0)
    for now in (0.0, 15.0, 30.0, 45.0):
        run(breaker, now, "failure", "success")
    assert not breaker.open
    run(breaker, 46.0, "unknown", "failure")
    assert breaker.open
    assert breaker.admit(50.0) == Refused(11.0)


def test_half_open_lets_one_probe_through() -> None:
    """When the time is up one call goes and all others are refused, until its success closes the breaker."""
    breaker = Breaker(1, 30.0, 15.0)
    run(breaker, 0.0, "failure")
    probe = breaker.admit(15.0)
    assert isinstance(probe, Admitted)
    assert breaker.admit(15.0) == Refused(15.0)
    assert breaker.open
    breaker.settle(16.0, probe, "success")
    assert not breaker.open
    assert isinstance(breaker.admit(16.0), Admitted)


def test_a_probe_that_fails_keeps_it_open() -> None:
    """Then it is as long again until the next probe."""
    breaker = Breaker(1, 30.0, 15.0)
    run(breaker, 0.0, "failure")
    run(breaker, 20.0, "failure")
    assert breaker.admit(34.0) == Refused(1.0)
    assert isinstance(breaker.admit(35.0), Admitted)


def test_a_probe_that_did_not_get_there_makes_room_for_the_next() -> None:
    """A probe that the queue refused, or whose client left, says nothing, and the next call goes in its place."""
    breaker = Breaker(1, 30.0, 15.0)
    run(breaker, 0.0, "failure")
    run(breaker, 15.0, "unknown", "success")
    assert not breaker.open


def test_a_probe_that_is_never_heard_of_is_followed_by_another() -> None:
    """A vendor that hangs cannot keep the breaker half-open for longer than a probe may take."""
    breaker = Breaker(1, 30.0, 15.0)
    run(breaker, 0.0, "failure")
    first = breaker.admit(15.0)
    assert isinstance(first, Admitted)
    assert breaker.admit(29.0) == Refused(1.0)
    assert isinstance(breaker.admit(30.0), Admitted)
    breaker.settle(31.0, first, "success")
    assert not breaker.open


def test_calls_from_before_it_opened_change_nothing() -> None:
    """Late answers neither close an open breaker nor count when it is closed again."""
    breaker = Breaker(2, 30.0, 15.0)
    late = [breaker.admit(0.0) for _ in range(3)]
    run(breaker, 0.0, "failure", "failure")
    assert isinstance(late[0], Admitted)
    assert isinstance(late[1], Admitted)
    assert isinstance(late[2], Admitted)
    breaker.settle(1.0, late[0], "success")
    assert breaker.open
    run(breaker, 15.0, "success")
    breaker.settle(15.0, late[1], "failure")
    breaker.settle(15.0, late[2], "failure")
    assert not breaker.open


class BreakerMachine(RuleBasedStateMachine):
    """Calls in any order and of any length, beside a model in plain words."""

    @initialize(failures=st.integers(1, 4))
    def start(self, failures: int) -> None:
        self.limit = failures
        self.breaker = Breaker(failures, 8.0, 4.0)
        self.now = 0.0
        self.calls: list[tuple[Admitted, int]] = []
        self.failed: list[float] = []
        self.open = False
        self.stretch = 0
        self.next_probe = 0.0

    def turn(self, is_open: bool) -> None:
        self.open, self.stretch, self.failed = is_open, self.stretch + 1, []
        self.next_probe = self.now + 4.0

    @rule()
    def a_call_comes(self) -> None:
        admitted = self.breaker.admit(self.now)
        if self.open and self.now < self.next_probe:
            assert admitted == Refused(self.next_probe - self.now)
            return
        assert isinstance(admitted, Admitted)
        self.calls.append((admitted, self.stretch))
        if self.open:
            self.next_probe = self.now + 4.0

    @rule(data=st.data(), verdict=st.sampled_from(["success", "failure", "unknown"]))
    def a_call_ends(self, data: st.DataObject, verdict: Verdict) -> None:
        if not self.calls:
            return
        call, stretch = self.calls.pop(data.draw(st.integers(0, len(self.calls) - 1)))
        self.breaker.settle(self.now, call, verdict)
        if stretch != self.stretch:
            return
        if self.open and verdict == "success":
            self.turn(False)
        elif self.open:
            self.next_probe = self.now + (4.0 if verdict == "failure" else 0.0)
        elif verdict == "failure":
            self.failed.append(self.now)
            if sum(time > self.now - 8.0 for time in self.failed) >= self.limit:
                self.turn(True)

    @rule(steps=st.integers(1, 64))
    def time_passes(self, steps: int) -> None:
        self.now += steps / 8

    @invariant()
    def agrees(self) -> None:
        if hasattr(self, "breaker"):
            assert self.breaker.open is self.open
            wait = max(0.0, self.next_probe - self.now) if self.open else 0.0
            assert self.breaker.remaining(self.now) == wait


TestBreaker = BreakerMachine.TestCase
TestBreaker.settings = settings(max_examples=200, stateful_step_count=50, deadline=None)
TestBreaker.__doc__ = (
    "It is open when it should be, lets one call through at a time then, and is closed by nothing else."
)
