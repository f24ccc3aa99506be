"""The exact sliding window."""

from __future__ import annotations

from bisect import bisect_left

from hypothesis import given
from hypothesis import strategies as st

from gateway.throttle.window import Taken, Wait, Window

# Multiples of 1/64, so that sums are exact and a boundary is hit as often as missed.
steps = st.integers(0, 400).map(lambda n: n / 64)
caps = st.integers(1, 7)


def busiest(writes: list[float], per: float) -> int:
    """The most writes in any half-open window of `per`; the fullest window starts at a write."""
    return max((bisect_left(writes, start + per) - place for place, start in enumerate(writes)), default=0)


@given(caps, st.lists(st.tuples(steps, st.integers(0, 16)), max_size=120))
def test_no_window_holds_more_than_the_cap(cap: int, arrivals: list[tuple[float, int]]) -> None:
    """Whatever the times of the calls, and with writes that lag by up to the guard, no window wherever it starts is
    over the cap."""
    window, now, writes = Window(cap, per=4.0, guard=0.25), 100.0, []
    for step, lag in arrivals:
        now += step
        if window.take(now) == Taken(now):
            writes.append(now + lag / 64)
    assert busiest(sorted(writes), 4.0) <= cap


@given(caps, st.lists(steps, max_size=80))
def test_a_slot_is_refused_only_when_it_must_be(cap: int, arrivals: list[float]) -> None:
    """A call is refused exactly when `cap` slots were taken less than `per + guard` ago, and told when that ends."""
    window, now, log = Window(cap, per=4.0, guard=0.25), 100.0, []
    for step in arrivals:
        now += step
        counting = [taken for taken in log if now < taken + 4.25]
        assert window.used(now) == len(counting)
        assert window.free(now) == cap - len(counting)
        assert window.next_free(now) == (counting[0] + 4.25 if counting else None)
        if len(counting) < cap:
            assert window.take(now) == Taken(now)
            log.append(now)
        else:
            assert window.take(now) == Wait(counting[0] + 4.25 - now)


@given(caps, st.lists(steps, max_size=20), st.integers(0, 30))
def test_the_estimate_is_when_the_slot_comes(cap: int, arrivals: list[float], ahead: int) -> None:
    """The estimate for a call behind `ahead` others is the very time it gets its slot when all take theirs at once."""
    window, now = Window(cap, per=4.0, guard=0.25), 100.0
    for step in arrivals:
        now += step
        window.take(now)
    estimate = window.slot_after(now, ahead)
    for _ in range(ahead + 1):
        while isinstance(verdict := window.take(now), Wait):
            now += verdict.seconds
    assert now == estimate


@given(caps, st.lists(st.tuples(steps, st.booleans()), max_size=60), st.data())
def test_a_refund_takes_back_that_slot_and_no_other(
    cap: int, arrivals: list[tuple[float, bool]], data: st.DataObject
) -> None:
    """A slot given back stops counting at once; every other one counts as long as before."""
    window, now, log = Window(cap, per=4.0, guard=0.25), 100.0, []
    for step, refund in arrivals:
        now += step
        if window.take(now) == Taken(now):
            log.append(now)
        if refund and log:
            granted = data.draw(st.sampled_from(log))
            window.refund(granted)
            log.remove(granted)
        counting = [taken for taken in log if now < taken + 4.25]
        assert window.used(now) == len(counting)
        assert window.next_free(now) == (counting[0] + 4.25 if counting else None)


def test_a_refund_of_a_slot_that_aged_out_changes_nothing() -> None:
    """Giving back what counts no longer makes no room for a call too many."""
    window = Window(1, per=4.0, guard=0.25)
    assert window.take(0.0) == Taken(0.0)
    assert window.take(10.0) == Taken(10.0)
    window.refund(0.0)
    assert window.used(10.0) == 1


def test_the_window_slides_over_a_fixed_boundary() -> None:
    """Given 59 idle seconds, when 300 calls come on each side of the minute, then only 300 of them get a slot."""
    window = Window(300, per=60.0, guard=0.05)
    before = [window.take(59.0) for _ in range(300)]
    after = [window.take(61.0) for _ in range(300)]
    assert before.count(Taken(59.0)) == 300
    assert after.count(Taken(61.0)) == 0


@given(
    caps,
    st.lists(steps, max_size=40),
    st.lists(st.tuples(caps, st.sampled_from([1.0, 4.0, 16.0]), st.lists(steps, max_size=20)), min_size=1, max_size=3),
)
def test_other_limits_count_what_was_sent_before(
    cap: int, arrivals: list[float], changes: list[tuple[int, float, list[float]]]
) -> None:
    """Whatever limits follow each other, a slot is given only when the new window, with all that was sent before the
    change, has room for it."""
    window, now, log, per = Window(cap, per=4.0, guard=0.25), 100.0, [], 4.0
    for new_cap, new_per, more in [(cap, per, arrivals), *changes]:
        if (new_cap, new_per) != (cap, per):
            cap, per = new_cap, new_per
            window.resize(cap, per, 0.25)
        for step in more:
            now += step
            verdict = window.take(now)
            counting = [taken for taken in log if now < taken + per + 0.25]
            if isinstance(verdict, Taken):
                assert len(counting) < cap
                log.append(now)
            else:
                assert verdict.seconds > 0
                assert window.free(now) == 0
            free_again = window.next_free(now)
            assert free_again is None or free_again > now


def test_a_wider_window_counts_again_what_had_aged_out() -> None:
    """Given a slot that counts no more, when the window is made longer, then it counts until that has passed."""
    window = Window(2, per=1.0, guard=0.25)
    window.take(0.0)
    assert window.used(5.0) == 0
    window.resize(2, 9.75, 0.25)
    assert window.used(5.0) == 1
    assert window.used(10.0) == 0


def test_what_has_aged_out_does_not_count_again_in_a_wider_window() -> None:
    """Given a window that has forgotten an entry which had aged out, when it is resized to more calls, then that entry
    counts only if the new window reaches back to it; and a window without entries may be resized as well."""
    window = Window(2, 4.0, 0.25)
    for at in (100.0, 101.0, 104.25):
        assert isinstance(window.take(at), Taken)
    window.resize(3, 4.0, 0.25)
    assert window.free(104.25) == 1
    window.resize(3, 8.0, 0.25)
    assert window.free(104.25) == 0
    empty = Window(1, 4.0, 0.25)
    empty.take(100.0)
    empty.take(104.25)
    empty.refund(104.25)
    empty.resize(1, 4.0, 0.25)
    assert empty.free(104.25) == 1
