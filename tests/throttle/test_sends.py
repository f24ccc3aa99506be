"""The log of sends, beside a plain list."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.throttle.sends import Sends

STEP = st.tuples(st.sampled_from(["slot", "push", "back", "drop"]), st.integers(0, 40))


@settings(derandomize=True)
@given(cap=st.integers(1, 4), span=st.integers(1, 30), steps=st.lists(STEP, max_size=60))
def test_any_sequence_is_as_a_plain_list_says(cap: int, span: int, steps: list[tuple[str, int]]) -> None:
    """Slots, pushes, reservations given back and entries dropped: the log holds what a list that is sorted anew at each
    step holds, and the next slot is the earliest that keeps the distance and comes after all others."""
    sends, model, now = Sends(), dict[str, int](), 100
    for number, (what, value) in enumerate(steps):
        now += value // 4
        if what == "slot":
            time = sends.next(now, cap, span)
            times = sorted(model.values())
            allowed = [t for t in range(now, time + 1) if not times or t >= times[-1]]
            assert time == next(t for t in allowed if len(times) < cap or t >= times[-cap] + span)
            sends.add(f"s:{number}", time)
            model[f"s:{number}"] = time
        elif what == "push":
            sends.add(f"a:{value}", now - value)
            model.setdefault(f"a:{value}", now - value)
        elif what == "back":
            sends.take_back(f"s:{value}", now)
            if model.get(f"s:{value}", now) > now:
                del model[f"s:{value}"]
        else:
            sends.drop(now - span)
            model = {member: time for member, time in model.items() if time > now - span}
        assert sends.entries == sorted((time, member) for member, time in model.items())
        assert len(sends) == len(model)
        assert all(sends.time_of(member) == time for member, time in model.items())


def test_a_view_says_whose_an_entry_is() -> None:
    """A replica's members begin with its id and a colon; an id that begins like another one is not that one."""
    sends = Sends()
    sends.add("ab:1", 2)
    sends.add("a:1", 1)
    assert sends.view("a") == ((1, True), (2, False))
