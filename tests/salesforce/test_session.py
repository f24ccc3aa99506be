"""The state of the session: who gets it, who waits, who is refused, and when the next login is due."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from gateway.salesforce.session import PAUSES, Failure, Refused, Session, SessionState, Wait

TTL, BUFFER = 720.0, 60.0


def opened(at: float = 0.0) -> SessionState:
    """A state with a session since `at`."""
    state = SessionState(TTL, BUFFER)
    state.begin(at)
    state.granted("t1", "https://a")
    return state


def test_the_first_login_is_due_at_once() -> None:
    """Nobody has to call first: a login is due at the start, and its reason is `initial`."""
    state = SessionState(TTL, BUFFER)
    assert state.due(5.0) == 5.0
    assert isinstance(state.ask(5.0), Wait)
    assert state.begin(5.0) == "initial"


def test_renewal_is_due_before_the_end() -> None:
    """The next login is due `refresh_buffer` before the session's `ttl` is over, counted from the login's begin."""
    state = opened(100.0)
    assert state.due(101.0) == 100.0 + TTL - BUFFER
    assert state.begin(760.0) == "renewal"
    answer = state.ask(819.0)
    assert isinstance(answer, Session)
    assert answer.number == 1


def test_no_call_waits_for_a_late_renewal() -> None:
    """Past its `ttl` a session is used while a login is under way, so that none waits for it; told no, it is not."""
    state = opened()
    state.begin(700.0)
    assert isinstance(state.ask(TTL + 10.0), Session)
    state.denied(TTL + 11.0, "fatal", 1.0)
    assert isinstance(state.ask(TTL + 11.0), Refused)


def test_a_session_past_its_ttl_is_used_while_logins_fail_for_a_passing_reason() -> None:
    """An outage of the token endpoint alone costs no call; told no, the gateway stops at the `ttl`."""
    failures: tuple[tuple[Failure, bool], ...] = (
        ("transient", True), ("timeout", True), ("rate", True), ("fatal", False)
    )  # fmt: skip
    for failure, used in failures:
        state = opened()
        state.begin(719.0)
        state.denied(719.9, failure, 1.0)
        assert isinstance(state.ask(TTL), Session) is used, failure


def test_an_expiry_is_news_once() -> None:
    """Who fails with the current session has a login begun; who failed with an older one does not."""
    state = opened()
    state.worked(1, "rest")
    assert state.expired(10.0, 1, "rest", 0.5) == "ended"
    assert state.expired(10.0, 1, "rest", 0.5) == "known"
    assert state.due(10.0) == 10.0
    assert state.begin(10.0) == "expired"
    state.granted("t1", "https://a")  # the same token again
    assert state.expired(11.0, 1, "rest", 0.5) == "known"
    assert state.current is not None
    assert state.current.number == 2


def test_told_no_nobody_asks_again_unasked() -> None:
    """A fatal failure is tried again only for a call, and not before the pause is over."""
    state = SessionState(TTL, BUFFER)
    state.begin(0.0)
    pause = state.denied(1.0, "fatal", 1.0)
    assert state.due(10_000.0) is None
    refused = state.ask(1.0 + pause - 1)
    assert isinstance(refused, Refused)
    assert (refused.failure, round(refused.retry_after)) == ("fatal", 1)
    assert isinstance(state.ask(1.0 + pause), Wait)
    assert state.due(1.0 + pause) == 1.0 + pause


def test_another_secret_ends_the_pause_of_a_refused_one() -> None:
    """Told no, the next login may begin at once when it is another one; a pause for any other reason goes on."""
    failures: tuple[tuple[Failure, bool], ...] = (("fatal", True), ("rate", False), ("transient", False))
    for failure, at_once in failures:
        state = SessionState(TTL, BUFFER)
        state.begin(0.0)
        pause = state.denied(0.0, failure, 1.0)
        state.renewed()
        assert state.due(0.5) == (0.5 if at_once else pause), failure


def test_pauses_grow_to_a_bound() -> None:
    """Each further failure of a kind pauses twice as long, up to its bound; chance takes away at most a half."""
    for failure, (first, most) in PAUSES.items():
        state = SessionState(TTL, BUFFER)
        pauses = []
        for _ in range(12):
            state.begin(0.0)
            pauses.append(state.denied(0.0, failure, 1.0))
        assert pauses == [min(most, first * 2**n) for n in range(12)]
        state.begin(0.0)
        assert state.denied(0.0, failure, 0.0) == most / 2


def test_sessions_that_never_work_stop_the_logins() -> None:
    """When session after session is refused before its first good call, logins pause; one that works ends the count."""
    state = opened()
    for _ in range(2):
        assert state.current is not None
        state.expired(1.0, state.current.number, "rest", 1.0)
        assert isinstance(state.ask(1.0), Wait)
        state.begin(1.0)
        state.granted("t", "https://a")
    assert state.current is not None
    state.expired(1.0, state.current.number, "rest", 1.0)
    refused = state.ask(1.0)
    assert isinstance(refused, Refused)
    assert refused.failure == "useless"
    assert state.due(1.0) == 6.0


def test_an_api_that_takes_no_session_ends_it_for_no_other() -> None:
    """Given SOAP that refuses one session after the other, whatever REST says, then from the third on its word ends
    nothing, for five minutes; once it takes a session it is believed as before."""
    state = opened()
    for now in (1.0, 2.0):
        assert state.current is not None
        assert state.expired(now, state.current.number, "soap", 1.0) == "ended"
        state.begin(now)
        state.granted("t", "https://a")
        state.worked(state.current.number, "rest")
    number = state.current.number
    assert state.expired(3.0, number, "soap", 1.0) == "refused"
    assert isinstance(state.ask(3.0), Session)
    assert state.expired(2.0 + 300.0, number, "soap", 1.0) == "ended"
    state.begin(303.0)
    state.granted("t", "https://a")
    state.worked(state.current.number, "soap")
    assert state.expired(304.0, state.current.number, "soap", 1.0) == "ended"


class Sessions(RuleBasedStateMachine):
    """Whatever happens in whatever order, these hold."""

    def __init__(self) -> None:
        super().__init__()
        self.state = SessionState(TTL, BUFFER)
        self.now = 0.0
        self.busy = False
        self.number = 0

    @rule(seconds=st.floats(0.001, 2000))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    def somebody_asks(self) -> None:
        answer = self.state.ask(self.now)
        if isinstance(answer, Wait) and not self.busy:
            due = self.state.due(self.now)
            assert due == self.now  # who waits is never left waiting
        if isinstance(answer, Refused):
            assert answer.retry_after > 0

    @precondition(lambda self: not self.busy)
    @rule()
    def login_begins_when_due(self) -> None:
        due = self.state.due(self.now)
        if due is not None and due <= self.now:
            self.state.begin(self.now)
            self.busy = True

    @precondition(lambda self: self.busy)
    @rule()
    def login_ends_well(self) -> None:
        self.state.granted("same", "https://a")
        self.busy = False
        self.number += 1
        assert isinstance(self.state.ask(self.state.current.since), Session)  # type: ignore[union-attr]

    @precondition(lambda self: self.busy)
    @rule(failure=st.sampled_from(sorted(PAUSES)), chance=st.floats(0, 1))
    def login_fails(self, failure: Failure, chance: float) -> None:
        pause = self.state.denied(self.now, failure, chance)
        self.busy = False
        assert PAUSES[failure].first / 2 <= pause <= PAUSES[failure].most
        assert not isinstance(self.state.ask(self.now), Wait)  # all who waited know now

    @rule(back=st.integers(0, 3), chance=st.floats(0, 1))
    def session_expires(self, back: int, chance: float) -> None:
        current = self.state.current
        news = self.state.expired(self.now, self.number - back, "rest", chance) == "ended"
        assert news == (current is not None and back == 0)

    @rule(back=st.integers(0, 1))
    def session_works(self, back: int) -> None:
        self.state.worked(self.number - back, "rest")

    @invariant()
    def a_session_is_the_last_one(self) -> None:
        if self.state.current is not None:
            assert self.state.current.number == self.number


Sessions.TestCase.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
test_sessions = Sessions.TestCase
