"""One contract for both forms of the fleet's books."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from gateway.throttle.fleet import Answer, LaneAnswer
from tests.support.valkey import ValkeyServer
from tests.throttle.books_support import BLANK, SECOND, SPAN, START, A, B, C, InRedis, Memory, Voice, lane

Form = Memory | InRedis
Join = Callable[[str], Voice]


@pytest.fixture(params=["memory", "redis"])
def form(request: pytest.FixtureRequest, shared_valkey: ValkeyServer) -> Iterator[Form]:
    """Give the memory form, then the Redis form, at `START`."""
    form: Form = Memory() if request.param == "memory" else InRedis(shared_valkey)
    yield form
    form.close()


@pytest.fixture
def voice(form: Form) -> Join:
    """Return what makes a replica that has said nothing yet."""
    return lambda replica: Voice(form, replace(BLANK, replica=replica, number=0))


async def all_shared(*voices: Voice) -> None:
    """Have replicas join open books."""
    for voice in voices:
        assert (await voice.says()).verdict == "open"
        assert (await voice.says("shared")).verdict == "open"


def granted(answer: Answer) -> int:
    return answer.lanes[0].granted


# Epochs


async def test_the_first_start_opens_the_books_at_once(voice: Join) -> None:
    """given books that know nothing, when a new replica comes, then it is granted what it wants in the same answer."""
    answer = await voice(A).says(lanes=(lane(wants=2),), slots=1)
    assert (answer.verdict, answer.data_lost, answer.rank, answer.replicas) == ("open", False, 0, (A,))
    assert answer.lanes == (LaneAnswer(2, False, 3),)
    assert answer.slots == ((f"{A}:1:0", START),)
    assert answer.now == START


async def test_a_new_replica_joins_open_books_without_an_epoch_of_its_own(voice: Join) -> None:
    """given open books, when another replica starts, then the epoch stays and it is granted at once."""
    first, second = voice(A), voice(B)
    epoch = (await first.says()).epoch
    answer = await second.says(slots=1)
    assert (answer.epoch, answer.verdict, answer.rank, answer.replicas) == (epoch, "open", 1, (A, B))
    assert answer.slots


async def test_empty_books_wait_for_everybody_who_was_known(form: Form, voice: Join) -> None:
    """given two replicas that share, when the data is lost, then nobody is granted until both have pushed while they
    send by their share, and both have stopped and pushed the rest."""
    first, second = voice(A), voice(B)
    await all_shared(first, second)
    form.lose()
    answer = await first.says("sharing", known=(B,), sends=((f"{A}:x", START - 5),), lanes=(lane(wants=1),), slots=1)
    assert (answer.verdict, answer.data_lost, answer.slots, granted(answer)) == ("gathering", True, (), 0)
    assert (await second.says("sharing", sends=((f"{B}:x", START - 4),))).verdict == "closing"
    assert (await first.says("held")).verdict == "closing"
    opened = await second.says("held", sends=((f"{B}:y", START - 3),), view=True)
    assert (opened.verdict, opened.log) == ("open", ((START - 5, False), (START - 4, True), (START - 3, True)))
    assert (await first.says("shared", slots=1)).slots


async def test_who_was_known_and_does_not_come_is_waited_for_until_it_is_absent(form: Form, voice: Join) -> None:
    """given books that came back empty and a known replica that is gone, then gathering lasts 10 s and no longer."""
    first = voice(A)
    await all_shared(first)
    form.lose()
    await first.says("sharing", known=(C,))
    form.set_time(START + 10 * SECOND)
    assert (await first.says("sharing")).verdict == "gathering"
    form.set_time(START + 10 * SECOND + 1)
    assert (await first.says("sharing")).verdict == "closing"


async def test_gathering_lasts_no_longer_than_a_span(form: Form, voice: Join) -> None:
    """given a span of 2 s and a known replica that does not come, then gathering ends with the span."""
    first = voice(A)
    await all_shared(first)
    form.lose()
    await first.says("sharing", known=(C,), span=2 * SECOND)
    form.set_time(START + 2 * SECOND - 1)
    assert (await first.says("sharing")).verdict == "gathering"
    form.set_time(START + 2 * SECOND)
    assert (await first.says("sharing")).verdict == "closing"


async def test_whoever_sends_by_its_share_closes_open_books(voice: Join) -> None:
    """given open books, when a replica that was cut off comes back sending by its share, then a new epoch begins that
    waits for all live replicas, and a replica that still shares hears of it and is granted nothing."""
    first, second = voice(A), voice(B)
    await all_shared(first, second)
    former = first.statement.epoch
    answer = await first.says("sharing")
    assert answer.verdict == "gathering"
    assert answer.epoch != former
    heard = await second.says("shared", lanes=(lane(wants=1),), slots=1)
    assert (heard.verdict, heard.epoch, heard.slots, granted(heard)) == ("gathering", answer.epoch, (), 0)
    assert (await second.says("sharing")).verdict == "closing"


async def test_whoever_resumes_after_it_had_stopped_begins_anew(voice: Join) -> None:
    """given closing books, when a replica that counted as stopped sends by its share again, then a new epoch begins."""
    first, second = voice(A), voice(B)
    await all_shared(first, second)
    await first.says("sharing")
    await second.says("sharing")
    closing = await first.says("held")
    answer = await first.says("sharing")
    assert (closing.verdict, answer.verdict) == ("closing", "gathering")
    assert answer.epoch != closing.epoch


async def test_who_stopped_for_another_epoch_has_not_stopped_for_this_one(form: Form, voice: Join) -> None:
    """given a replica that stopped before the data was lost, when it says so again, then that does not count."""
    first = voice(A)
    await all_shared(first)
    await first.says("sharing")
    form.lose()
    answer = await first.says("held")
    assert answer.verdict == "closing"
    assert (await first.says("held")).verdict == "open"


async def test_a_live_replica_that_has_not_pushed_keeps_the_books_closing(form: Form, voice: Join) -> None:
    """given a span so short that gathering ended without a live replica, then the books do not open without it until it
    is absent."""
    first, second = voice(A), voice(B)
    first.statement = replace(first.statement, span=SECOND)
    second.statement = replace(second.statement, span=SECOND)
    await all_shared(first, second)
    await first.says("sharing")
    form.set_time(START + SECOND)
    assert (await first.says("sharing")).verdict == "closing"
    assert (await first.says("held")).verdict == "closing"
    form.set_time(START + 10 * SECOND)
    assert (await first.says("held")).verdict == "closing"
    form.set_time(START + 10 * SECOND + 1)
    assert (await first.says("held")).verdict == "open"


async def test_a_new_replica_waits_while_the_books_are_not_open_and_delays_nobody(voice: Join) -> None:
    """given gathering books, when a new replica comes, then it is granted nothing and counts as stopped."""
    first, second = voice(A), voice(B)
    await all_shared(first)
    await first.says("sharing")
    answer = await second.says(lanes=(lane(wants=1),), slots=1)
    assert (answer.verdict, answer.slots, granted(answer)) == ("closing", (), 0)
    assert (await first.says("held")).verdict == "open"
    assert granted(await second.says("new", slots=1)) == 1


async def test_books_older_than_what_was_acknowledged_begin_anew(form: Form, voice: Join) -> None:
    """given books that hold an older statement of a replica than one they answered, then data was lost: a new epoch."""
    first = voice(A)
    await all_shared(first)
    former = first.statement.epoch
    first.statement = replace(first.statement, number=9, acknowledged=9)
    answer = await first.says("shared", slots=1)
    assert (answer.verdict, answer.data_lost, answer.slots) == ("gathering", True, ())
    assert answer.epoch != former


async def test_a_replica_that_open_books_do_not_know_begins_a_new_epoch(form: Form, voice: Join) -> None:
    """given books that came back empty and were opened by a new replica, when one comes that knows another epoch, then
    its sends may be missing: a new epoch begins."""
    first, second = voice(A), voice(B)
    await all_shared(first)
    form.lose()
    await all_shared(second)
    answer = await first.says("shared", slots=1)
    assert (answer.verdict, answer.data_lost, answer.slots) == ("gathering", True, ())


async def test_a_jump_of_the_clock_forgets_everything_once(form: Form, voice: Join) -> None:
    """given a clock that went back by an hour, when both replicas report it, then the books begin anew once."""
    first, second = voice(A), voice(B)
    await all_shared(first, second)
    await first.says("shared", slots=2)
    form.set_time(START - 3600 * SECOND)
    answer = await first.says("sharing", reset=True, known=(B,), view=True)
    assert (answer.verdict, answer.used, answer.log, answer.replicas) == ("gathering", 0, (), (A,))
    assert (await second.says("sharing", reset=True)).epoch == answer.epoch


async def test_each_change_of_phase_is_told(form: Form, voice: Join) -> None:
    """Beginning, closing and opening are told on the channel; what changes nothing is not."""
    first, second = voice(A), voice(B)
    await all_shared(first, second)
    form.news()
    for speaker, standing, told in (
        (first, "sharing", 1),
        (first, "sharing", 0),
        (second, "sharing", 1),
        (first, "held", 0),
        (second, "held", 1),
        (first, "shared", 0),
    ):
        await speaker.says(standing)  # type: ignore[arg-type]
        assert form.news() == told


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
    await second.says("shared", lanes=(lane(wants=3),))
    assert form.news() == 0
    await first.says("shared", lanes=(lane(held=1),))
    assert form.news() == 1


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
    assert answer.lanes == (LaneAnswer(1, False, 3), LaneAnswer(1, False, 1))
    answer = await second.says("shared", aged=9)
    assert [heard.limit for heard in answer.lanes] == [3, 0]


# Slots


async def test_slots_keep_the_span_to_the_cap_th_newest(form: Form, voice: Join) -> None:
    """given a cap of 2, then two slots are now, two a span later, and the next another span later."""
    first = voice(A)
    answer = await first.says(cap=2, slots=5)
    assert [time - START for _, time in answer.slots] == [0, 0, SPAN, SPAN, 2 * SPAN]
    assert [member for member, _ in answer.slots] == [f"{A}:1:{index}" for index in range(5)]
    assert (answer.used, answer.next) == (5, START + 2 * SPAN)
    form.set_time(START + SPAN)
    assert (await first.says("shared")).used == 3


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
