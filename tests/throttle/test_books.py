"""One contract for both forms of the fleet's books: replicas, permits, slots."""

from __future__ import annotations

from dataclasses import replace

from gateway.throttle.fleet import LaneAnswer
from tests.throttle.books_support import SECOND, SPAN, START, A, B, C, Form, Join, all_shared, granted, lane

# Replicas


async def test_a_stale_statement_changes_nothing(voice: Join) -> None:
    """given a statement that comes after a later one, then it is answered `stale` and grants nothing."""
    first = voice(A)
    await all_shared(first)
    late = replace(first.statement, number=1, slots=1, lanes=(lane(wants=3),))
    answer = await first.form.fleet.tell(late)
    assert (answer.verdict, answer.slots, answer.lanes) == ("stale", (), ())
    assert (await first.says("shared")).used == 0


async def test_a_repeated_statement_reserves_once_and_grants_once(form: Form, voice: Join) -> None:
    """given a statement whose reply was lost, when it is repeated, then it is given the same slots and permits."""
    first = voice(A)
    await all_shared(first)
    said = replace(first.statement, number=7, slots=2, lanes=(lane(wants=2),))
    lost = await form.fleet.tell(said)
    form.set_time(START + SECOND)
    answer = await form.fleet.tell(said)
    assert answer.slots == lost.slots
    assert (answer.used, answer.lanes) == (2, lost.lanes)


async def test_a_silent_replica_is_absent_after_10_s_and_forgotten_after_15(form: Form, voice: Join) -> None:
    """A replica that says nothing is live for 10 s and holds its permits for 15 s; its rank is then free again."""
    first, second = voice(A), voice(B)
    await all_shared(first, second)
    assert granted(await first.says("shared", lanes=(lane(wants=3),))) == 3
    for seconds, live, permits in ((10, (A, B), 0), (10.000001, (B,), 0), (15, (B,), 0), (15.000001, (B,), 3)):
        form.set_time(START + round(seconds * SECOND))
        answer = await second.says("shared", lanes=(lane(wants=3),))
        assert (answer.replicas, granted(answer)) == (live, permits)
    assert (await voice(C).says()).rank == 0


async def test_a_replica_that_leaves_frees_what_it_had(form: Form, voice: Join) -> None:
    """given a replica with all permits and a reservation, when it leaves, then all is free at once, its sends stay and
    the rest are told."""
    first, second = voice(A), voice(B)
    await all_shared(first, second)
    await first.says("shared", lanes=(lane(wants=3),), cap=1, slots=1)
    reserved = (await first.says("shared", slots=1)).slots
    form.news()
    answer = await first.says("leaving", back=(reserved[0][0],), sends=((f"{A}:x", START),))
    assert (answer.verdict, answer.lanes, form.news()) == ("open", (), 1)
    heard = await second.says("shared", lanes=(lane(wants=3),))
    assert (granted(heard), heard.used, heard.replicas) == (3, 2, (B,))


async def test_the_last_one_to_leave_closes_nothing(voice: Join) -> None:
    """given the only replica, when it leaves, then its sends still count for the next one, which is granted at once."""
    first = voice(A)
    await all_shared(first)
    await first.says("shared", slots=2)
    await first.says("leaving")
    answer = await voice(B).says(slots=1)
    assert (answer.verdict, answer.used, len(answer.slots)) == ("open", 3, 1)


async def test_leaving_while_others_wait_lets_them_go_on(voice: Join) -> None:
    """given closing books that wait for one replica, when it leaves, then they open."""
    first, second = voice(A), voice(B)
    await all_shared(first, second)
    await first.says("sharing")
    await second.says("sharing")
    await first.says("held")
    assert (await second.says("leaving")).verdict == "open"


async def test_the_lowest_live_cap_and_the_longest_span_rule(form: Form, voice: Join) -> None:
    """During a rollout the strictest numbers of all live replicas hold, and no longer than they are live."""
    first, second = voice(A), voice(B)
    await first.says(cap=10, span=SPAN)
    answer = await second.says(cap=4, span=2 * SPAN, lanes=(lane(limit=2),))
    assert (answer.cap, answer.span, answer.lanes[0].limit) == (4, 2 * SPAN, 2)
    form.set_time(START + 11 * SECOND)
    answer = await first.says("shared")
    assert (answer.cap, answer.span, answer.lanes[0].limit) == (10, SPAN, 3)


# Permits


async def test_permits_never_exceed_the_limit(voice: Join) -> None:
    """given a limit of 3 and one replica with 2, when another wants 3, then it is granted 1."""
    first, second = voice(A), voice(B)
    await all_shared(first, second)
    assert granted(await first.says("shared", lanes=(lane(wants=2),))) == 2
    assert granted(await second.says("shared", lanes=(lane(wants=3),))) == 1
    assert granted(await first.says("shared", lanes=(lane(held=2, wants=1),))) == 0


async def test_permits_go_round(voice: Join) -> None:
    """given two replicas that both wait, when permits come free, then they are granted one each in turn."""
    first, second, third = voice(A), voice(B), voice(C)
    await all_shared(first, second, third)
    await third.says("shared", lanes=(lane(wants=3),))
    for waiting in (first, second):
        assert granted(await waiting.says("shared", lanes=(lane(wants=2),))) == 0
    await third.says("shared", lanes=(lane(held=0),))
    assert granted(await second.says("shared")) == 0
    answer = await first.says("shared")
    assert answer.lanes == (LaneAnswer(1, True, 3),)
    first.statement = replace(first.statement, lanes=(lane(held=1, wants=1),))
    assert granted(await first.says("shared")) == 0
    assert granted(await second.says("shared")) == 1


async def test_a_waiting_replica_that_falls_silent_keeps_nobody_waiting(form: Form, voice: Join) -> None:
    """given the first in line silent for more than 1.5 s, then the next one is granted all that it wants."""
    first, second, third = voice(A), voice(B), voice(C)
    await all_shared(first, second, third)
    await third.says("shared", lanes=(lane(wants=3),))
    await first.says("shared", lanes=(lane(wants=2),))
    form.set_time(START + 1_500_000)
    await third.says("shared", lanes=(lane(held=1),))
    assert granted(await second.says("shared", lanes=(lane(wants=2),))) == 0
    form.set_time(START + 1_500_001)
    assert (await second.says("shared")).lanes == (LaneAnswer(2, False, 3),)


async def test_freed_permits_are_told_when_somebody_waits_for_them(form: Form, voice: Join) -> None:
    """A permit that comes free is told only while another waits; so is room that a grant leaves for the next."""
    first, second = voice(A), voice(B)
    await all_shared(first, second)
    await first.says("shared", lanes=(lane(wants=3),))
    form.news()
    await first.says("shared", lanes=(lane(held=2),))
    assert form.news() == 0
    await first.says("shared", lanes=(lane(held=2, wants=1),))
    assert form.news() == 0
    await first.says("shared", lanes=(lane(held=1),))
    await second.says("shared", lanes=(lane(wants=2),))
    assert form.news() == 0
    await second.says("shared", lanes=(lane(held=2, wants=1),))
    assert form.news() == 1  # what the first may keep in reserve is wanted
    await second.says("shared", lanes=(lane(held=2, wants=1),))
    assert form.news() == 0
    await first.says("shared", lanes=(lane(held=0),))
    assert form.news() == 1


async def test_what_is_kept_in_reserve_is_granted_only_where_nobody_waits(form: Form, voice: Join) -> None:
    """given room, then permits to spare are granted after those that are wanted; given somebody who waits, none are,
    and to ask for them is not to wait."""
    first, second = voice(A), voice(B)
    await all_shared(first, second)
    assert granted(await first.says("shared", lanes=(lane(wants=1, spare=1),))) == 2
    assert granted(await second.says("shared", lanes=(lane(spare=3),))) == 1
    answer = await first.says("shared", lanes=(lane(held=2, wants=1),))
    assert (granted(answer), answer.lanes[0].contended) == (0, False)
    answer = await second.says("shared", lanes=(lane(held=0, spare=3),))
    assert (granted(answer), answer.lanes[0].contended) == (0, True)


async def test_lanes_do_not_share(voice: Join) -> None:
    """A lane that is full leaves another as it is, and answers come in the order of what was stated."""
    first = voice(A)
    answer = await first.says(lanes=(lane(wants=9, limit=3), lane(wants=9, limit=4, name="reports")))
    assert [heard.granted for heard in answer.lanes] == [3, 4]


async def test_calls_that_run_for_long_shrink_the_long_lane(voice: Join) -> None:
    """given a budget of 4 long calls and 3 aged ones in the fleet, then the long lane has room for 1, and when they
    outnumber the budget for none; other lanes keep theirs."""
    first, second = voice(A), voice(B)
    budget = {"long_lane": "reports", "long_limit": 4}
    lanes = (lane(wants=1), lane(wants=3, name="reports"))
    await first.says(aged=2, **budget)
    answer = await second.says(aged=1, lanes=lanes, **budget)
    assert answer.lanes == (LaneAnswer(1, False, 3), LaneAnswer(1, False, 3))
    answer = await second.says("shared", aged=9, lanes=(lane(), lane(held=1, wants=1, name="reports")))
    assert [(heard.granted, heard.contended, heard.limit) for heard in answer.lanes] == [(0, False, 3), (0, True, 3)]


async def test_where_more_is_out_than_is_allowed_nobody_keeps_what_comes_free(voice: Join) -> None:
    """given a replica that holds a lane's limit, when another joins with a lower one and wants nothing, then the first
    hears that its permits are contended."""
    first, second = voice(A), voice(B)
    await all_shared(first, second)
    assert granted(await first.says("shared", lanes=(lane(wants=3),))) == 3
    await second.says("shared", lanes=(lane(limit=1),))
    assert (await first.says("shared", lanes=(lane(held=3, wants=1),))).lanes == (LaneAnswer(0, True, 1),)


# Slots


async def test_slots_keep_the_span_to_the_cap_th_newest(form: Form, voice: Join) -> None:
    """given a cap of 2, then two slots are now, two a span later, and the next another span later."""
    first = voice(A)
    answer = await first.says(cap=2, slots=5)
    assert [time - START for _, time in answer.slots] == [0, 0, SPAN, SPAN, 2 * SPAN]
    assert [member for member, _ in answer.slots] == [f"{A}:1:{index}" for index in range(5)]
    assert (answer.used, answer.next) == (5, START + 2 * SPAN)
    for second in range(10, 70, 10):
        form.set_time(START + second * 1_000_000)
        answer = await first.says("shared")
    assert answer.used == 3


async def test_no_slot_comes_before_one_that_was_given_out(voice: Join) -> None:
    """given a reservation in the future, when another replica asks under a higher cap, then its slot is not before."""
    first, second = voice(A), voice(B)
    await first.says(cap=1, slots=2)
    await first.says("leaving")
    assert (await second.says(cap=5, slots=1)).slots == ((f"{B}:1:0", START + SPAN),)


async def test_a_reservation_for_later_can_be_given_back_and_one_for_now_cannot(voice: Join) -> None:
    """given a slot now and two later, when all are given back, then only those in the future are free again."""
    first = voice(A)
    slots = (await first.says(cap=1, slots=3)).slots
    answer = await first.says("shared", back=tuple(member for member, _ in slots), view=True)
    assert (answer.log, answer.next) == (((START, True),), START + SPAN)


async def test_pushed_sends_count_once_and_an_aged_one_not_at_all(form: Form, voice: Join) -> None:
    """given sends that are pushed twice, then each counts once, at its first time, until it is a span old."""
    first = voice(A)
    sends = ((f"{A}:1", START - SPAN), (f"{A}:2", START - SPAN + 1), (f"{A}:3", START))
    answer = await first.says(sends=sends, view=True)
    assert answer.log == ((START - SPAN + 1, True), (START, True))
    again = await first.says("shared", sends=((f"{A}:3", START - 7),), view=True)
    assert again.log == answer.log


async def test_a_view_tells_whose_the_sends_are(voice: Join) -> None:
    """The log holds everybody's sends in order and says which are the asker's; without a view there is none."""
    first, second = voice(A), voice(B)
    await first.says(slots=1)
    answer = await second.says(slots=1, cap=1, view=True)
    assert answer.log == ((START, False), (START + SPAN, True))
    assert (await second.says("shared")).log is None
