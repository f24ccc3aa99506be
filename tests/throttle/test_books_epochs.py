"""One contract for both forms of the fleet's books: when they are open."""

from __future__ import annotations

from dataclasses import replace

from gateway.throttle.fleet import LaneAnswer
from tests.throttle.books_support import SECOND, START, A, B, C, Form, Join, all_shared, granted, lane


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


async def test_who_was_known_and_does_not_come_is_waited_for_though_it_is_absent(form: Form, voice: Join) -> None:
    """given books that came back empty and a known replica that is gone, then gathering lasts while what it may have
    sent still counts, and not only until it is absent."""
    first = voice(A)
    await all_shared(first)
    form.lose()
    await first.says("sharing", known=(C,))
    form.set_time(START + 10 * SECOND)
    assert (await first.says("sharing")).verdict == "gathering"
    for second in range(20, 60, 10):
        form.set_time(START + second * SECOND)
        assert (await first.says("sharing")).verdict == "gathering"
    form.set_time(START + 60 * SECOND)
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
