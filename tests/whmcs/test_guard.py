"""How often wrong credentials are tried."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from gateway.whmcs.guard import ALLOWED, PAUSE, Admitted, Guard, Refused, Verdict, Wait


def admitted(guard: Guard, now: float = 0.0) -> Admitted:
    answer = guard.admit(now)
    assert isinstance(answer, Admitted)
    return answer


def paused() -> Guard:
    """A guard whose pause began at 0."""
    guard = Guard()
    assert [guard.settle(0.0, admitted(guard), "wrong") for _ in range(ALLOWED)] == [False, True]
    return guard


def test_a_burst_at_the_start_waits_for_the_first_answers() -> None:
    """No more calls go than may fail; one that is accepted lets everybody through."""
    guard = Guard()
    first, _ = admitted(guard), admitted(guard)
    assert guard.admit(0.0) == Wait()
    guard.settle(1.0, first, "accepted")
    assert all(isinstance(guard.admit(1.0), Admitted) for _ in range(20))


def test_an_answer_that_says_nothing_makes_room_for_another_call() -> None:
    """A vendor that is away opens no pause."""
    guard = Guard()
    for _ in range(10):
        assert not guard.settle(0.0, admitted(guard), "unknown")


def test_the_pause_and_its_probe() -> None:
    """Two failures in a row hold everybody back; then one call goes, and its outcome decides."""
    guard = paused()
    assert guard.admit(1.0) == Refused(PAUSE - 1.0)
    probe = admitted(guard, PAUSE)
    assert guard.admit(PAUSE) == Wait()
    assert guard.settle(PAUSE + 1.0, probe, "wrong")
    assert guard.admit(PAUSE + 2.0) == Refused(PAUSE - 1.0)
    guard.settle(2 * PAUSE + 2.0, admitted(guard, 2 * PAUSE + 1.0), "accepted")
    assert all(isinstance(guard.admit(2 * PAUSE + 3.0), Admitted) for _ in range(20))


def test_credentials_that_end_while_many_calls_are_out() -> None:
    """Late failures open one pause, and a success from before the first of them does not end it."""
    guard = Guard()
    guard.settle(0.0, admitted(guard), "accepted")
    calls = [admitted(guard) for _ in range(5)]
    assert [guard.settle(1.0, one, "wrong") for one in calls[:4]] == [False, True, False, False]
    assert not guard.settle(2.0, calls[4], "accepted")
    assert isinstance(guard.admit(3.0), Refused)


def test_other_credentials_begin_anew() -> None:
    """New credentials end a pause, and what is told of the old ones later says nothing of them."""
    guard = paused()
    late = Admitted(1, 0, True)
    guard.renew()
    first, second = admitted(guard), admitted(guard)
    guard.settle(1.0, late, "wrong")
    guard.settle(1.0, late, "accepted")
    assert guard.admit(1.0) == Wait()
    assert not guard.settle(1.0, first, "wrong")
    assert guard.settle(1.0, second, "wrong")


class GuardMachine(RuleBasedStateMachine):
    """Wrong credentials from the start, whatever else happens to calls: the vendor sees few failures a pause."""

    def __init__(self) -> None:
        super().__init__()
        self.guard = Guard()
        self.now = 0.0
        self.out: list[Admitted] = []
        self.failures: list[float] = []

    @rule()
    def arrive(self) -> None:
        answer = self.guard.admit(self.now)
        if isinstance(answer, Admitted):
            self.out.append(answer)

    @rule(verdict=st.sampled_from(["wrong", "unknown"]), data=st.data())
    def end(self, verdict: Verdict, data: st.DataObject) -> None:
        if self.out:
            one = self.out.pop(data.draw(st.integers(0, len(self.out) - 1)))
            self.guard.settle(self.now, one, verdict)
            self.failures += [self.now] if verdict == "wrong" else []

    @rule(seconds=st.sampled_from([1.0, PAUSE / 2, PAUSE]))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @invariant()
    def few_failures(self) -> None:
        assert len(self.failures) <= ALLOWED + self.now // PAUSE
        assert len(self.out) <= ALLOWED


TestGuard = GuardMachine.TestCase
