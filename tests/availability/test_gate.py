"""The gate's rules, by example and against a model that is too simple to be wrong."""

from __future__ import annotations

import hypothesis.strategies as st
import pytest
from hypothesis import given

from gateway.availability.gate import BecameAvailable, BecameUnavailable, Gate


def test_nothing_known_counts_as_away_and_the_first_answer_decides() -> None:
    """Strict mode is honest before the first answer, and one answer is enough to begin."""
    gate = Gate(failures=3, successes=3)
    assert (gate.available, gate.undecided) == (False, True)
    assert gate.succeeded(5.0) == BecameAvailable(0.0)
    assert (gate.available, gate.undecided) == (True, False)


def test_a_first_failure_is_told_once() -> None:
    """Redis away from the start is an outage that is reported, and its end needs the whole series."""
    gate = Gate(failures=3, successes=2)
    assert gate.failed(1.0, "connection") == BecameUnavailable("connection")
    assert gate.failed(2.0, "connection") is None
    assert gate.succeeded(3.0) is None
    assert gate.succeeded(4.0) == BecameAvailable(3.0)


def test_a_good_answer_in_between_starts_the_count_again() -> None:
    """Only failures in a row decide, and the last one gives the reason."""
    gate = Gate(failures=2, successes=1)
    gate.succeeded(0.0)
    assert gate.failed(1.0, "timeout") is None
    assert gate.undecided
    assert gate.succeeded(2.0) is None
    assert not gate.undecided
    assert gate.failed(3.0, "timeout") is None
    assert gate.failed(4.0, "loading") == BecameUnavailable("loading")


def test_the_time_away_counts_from_the_first_missed_answer_of_the_series() -> None:
    """A single failure long before does not lengthen the outage."""
    gate = Gate(failures=2, successes=2)
    gate.succeeded(0.0)
    gate.failed(1.0, "timeout")
    gate.succeeded(2.0)
    gate.failed(10.0, "timeout")
    gate.failed(11.0, "timeout")
    gate.succeeded(14.0)
    assert gate.succeeded(15.0) == BecameAvailable(5.0)


@given(
    failures=st.integers(1, 4),
    successes=st.integers(1, 4),
    answers=st.lists(st.booleans(), max_size=40),
)
def test_the_verdict_is_what_the_last_long_enough_run_of_equal_answers_says(
    failures: int, successes: int, answers: list[bool]
) -> None:
    """After every answer: the model looks at the whole history; changes are told exactly when the verdict changes."""
    gate = Gate(failures, successes)
    for count in range(1, len(answers) + 1):
        before, known = gate.available, count > 1
        now = float(count)
        change = gate.succeeded(now) if answers[count - 1] else gate.failed(now, f"kind{count}")
        verdict = modelled(answers[:count], failures, successes)
        assert gate.available == verdict
        if verdict == before and known:
            assert change is None
        elif verdict:
            assert change == BecameAvailable(now - lost_at(answers[:count], failures, successes, now))
        else:
            assert change == BecameUnavailable(f"kind{count}")


def modelled(answers: list[bool], failures: int, successes: int) -> bool:
    """Return the verdict by reading the answers from the first to the last."""
    verdict = answers[0]
    for end in range(1, len(answers) + 1):
        needed = successes if answers[end - 1] else failures
        run = answers[max(0, end - needed) : end]
        if len(run) == needed and len(set(run)) == 1:
            verdict = answers[end - 1]
    return verdict


def lost_at(answers: list[bool], failures: int, successes: int, default: float) -> float:
    """Return the number of the first failure of the run that ended the last time Redis was available."""
    verdicts = [modelled(answers[:end], failures, successes) for end in range(1, len(answers))]
    turned = len(verdicts)
    while turned and not verdicts[turned - 1]:
        turned -= 1
    if turned == len(verdicts):
        return default
    while turned and not answers[turned - 1]:
        turned -= 1
    return float(turned + 1)


@pytest.mark.parametrize("kind", ["timeout", "connection"])
def test_one_of_each_is_no_hysteresis_at_all(kind: str) -> None:
    """With thresholds of one every answer decides."""
    gate = Gate(1, 1)
    assert gate.succeeded(0.0) == BecameAvailable(0.0)
    assert gate.failed(1.0, kind) == BecameUnavailable(kind)
    assert gate.succeeded(1.5) == BecameAvailable(0.5)
