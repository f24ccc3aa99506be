"""The table of `mode: guard`: rows by hand, and generated lives of one token."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.tokens import guard
from gateway.tokens.families import User
from gateway.tokens.guard import Busy, Claimed, Kept, Lineage, Overtaken, Spent, Token, Turned
from gateway.tokens.rotation import Ended, Family, Policy, Tombstone

NOW = 1_800_000_000_000
GRACE = 30_000
ANN = Lineage("ann", "f" * 24, 1_799_999_000, 3)
POLICY = Policy(refresh_ttl=7200, max_families=2)


@pytest.mark.parametrize(
    ("token", "expected"),
    [
        (None, Claimed(None)),
        (Token(), Claimed(None)),
        (Token(ANN), Claimed(ANN)),
        (Token(ANN, owner="b", claimed_until=NOW + 1), Busy(ANN, NOW + 1)),
        (Token(owner="b", claimed_until=NOW + 1), Busy(None, NOW + 1)),
        (Token(ANN, owner="b", claimed_until=NOW), Claimed(ANN)),
        (Token(ANN, owner="me", claimed_until=NOW + 1), Claimed(ANN)),
        (Token(ANN, spent=True, kept=True, traded=NOW - GRACE), Kept(ANN)),
        (Token(ANN, spent=False, kept=True, traded=NOW - GRACE), Kept(ANN)),
        (Token(ANN, spent=True, kept=True, traded=NOW - GRACE - 1), Spent(ANN)),
        (Token(ANN, spent=True, kept=True, promised=True, traded=NOW - GRACE - 1), Kept(ANN)),
        (Token(ANN, spent=True, kept=False, promised=True, traded=NOW - GRACE - 1), Claimed(ANN)),
        (Token(ANN, spent=True, kept=False, traded=NOW - GRACE - 1), Spent(ANN)),
        (Token(ANN, spent=False, kept=True, traded=NOW - GRACE - 1), Claimed(ANN)),
        (Token(ANN, spent=True, kept=False, traded=NOW), Claimed(ANN)),
        (Token(ANN, spent=True, kept=True, traded=NOW, owner="b", claimed_until=NOW + 9), Kept(ANN)),
        (Token(ANN, spent=True, traded=NOW - GRACE - 1, owner="b", claimed_until=NOW + 9), Spent(ANN)),
    ],
)
def test_table(token: Token | None, expected: object) -> None:
    """Each row of the table, with its edges to the millisecond."""
    assert guard.present(token, "me", NOW, GRACE) == expected


def test_a_lost_answer_is_asked_for_again() -> None:
    """given a kept answer that is not there, then the backend is asked, in grace; afterwards the token is spent."""
    token = Token(ANN, spent=True, kept=True, traded=NOW)
    assert guard.present(token, "me", NOW + GRACE, GRACE, again=True) == Claimed(ANN)
    assert guard.present(token, "me", NOW + GRACE + 1, GRACE, again=True) == Spent(ANN)


def test_grace_stands_still_in_pauses() -> None:
    """given an outage after the trade, then its time does not count."""
    token = Token(ANN, spent=True, kept=True, traded=NOW)
    late = NOW + GRACE + 60_000
    assert guard.present(token, "me", late, GRACE, pauses=((10, 60_000),)) == Kept(ANN)
    assert guard.present(token, "me", late + 1, GRACE, pauses=((11, 60_000),)) == Spent(ANN)


def test_a_promise_is_kept_to_a_token_that_was_in_grace() -> None:
    """given a spent token that was given back as good, then it matters whether its grace was over when it came."""
    token, ago = Token(ANN, spent=True, kept=True, traded=NOW - GRACE - 60_000), 60_000
    assert guard.promise(token, NOW, GRACE, ((0, ago),)) == replace(token, promised=True)
    assert guard.promise(token, NOW, GRACE, ((0, ago - 1),)) == token
    assert guard.promise(Token(ANN), NOW, GRACE, ()) == Token(ANN)
    assert guard.promise(None, NOW, GRACE, ()) is None


def test_a_claim_that_is_released_leaves_the_rest() -> None:
    """A token that was never good is forgotten, a known one keeps all but the claim, another's claim stays."""
    assert guard.release(guard.claim(None, "me", NOW, 10), "me") is None
    spent = Token(ANN, spent=True, traded=NOW)
    assert guard.release(guard.claim(spent, "me", NOW, 10), "me") == spent
    assert guard.release(guard.claim(spent, "me", NOW, 10), "you") == guard.claim(spent, "me", NOW, 10)


def test_a_retry_does_not_extend_the_grace() -> None:
    """given a spent token, when another forward of it succeeds too, then it keeps the time it was spent at."""
    first = guard.trade(Token(ANN), "me", ANN, NOW, spent=True, kept=False)
    second = guard.trade(first, "you", ANN, NOW + 9000, spent=True, kept=True)
    assert second == Token(ANN, spent=True, kept=True, traded=NOW)


def test_a_token_that_the_backend_does_not_replace_stays_good() -> None:
    """given an answer without a new token, then the old one is answered again in grace, and forwarded afterwards."""
    token = guard.trade(Token(ANN), "me", ANN, NOW, spent=False, kept=True)
    assert guard.present(token, "me", NOW + GRACE, GRACE) == Kept(ANN)
    assert guard.present(token, "me", NOW + GRACE + 1, GRACE) == Claimed(ANN)


def test_a_known_token_is_learned_anew_from_a_login_only() -> None:
    """A backend that replays its own answer does not make a spent successor good again; a login does."""
    other = Lineage("bob", "a" * 24, 5)
    spent = Token(ANN, spent=True, traded=NOW)
    assert guard.learn(spent, other, fresh=False) == spent
    assert guard.learn(spent, other, fresh=True) == Token(other)
    claimed = guard.claim(None, "me", NOW, 10)
    assert guard.learn(claimed, ANN, fresh=False) == Token(ANN, owner="me", claimed_until=NOW + 10)


def test_a_tombstone_wins_over_a_turn() -> None:
    """given a family that ended while its refresh was in flight, when it commits, then it stays ended."""
    user = User({ANN.family: Tombstone("revoked", NOW, ANN.auth_time)})
    assert guard.turn(user, ANN, "", NOW, POLICY) == Ended("revoked")
    assert isinstance(user.records[ANN.family], Tombstone)


def test_a_tombstone_lasts_as_long_as_a_successor_in_flight() -> None:
    """given a family that ended while its refresh was in flight, then its tombstone lasts `refresh_ttl` from then, and
    none is ever shortened."""
    for until, kept_until in ((NOW // 1000 + 5, NOW // 1000 + 7200), (NOW // 1000 + 9000, NOW // 1000 + 9000)):
        user = User({ANN.family: Tombstone("revoked", until, ANN.auth_time)})
        guard.turn(user, ANN, "", NOW, POLICY)
        assert user.records[ANN.family] == Tombstone("revoked", kept_until, ANN.auth_time)


@pytest.mark.parametrize(
    ("generation", "expected"), [(2, None), (3, None), (4, None), (5, Overtaken()), (9, Overtaken())]
)
def test_a_family_leaves_its_tokens_behind(generation: int, expected: object) -> None:
    """given a token of generation 3, then it is overtaken once its successor, the fourth, has been traded too."""
    user = User({ANN.family: Family(generation, "guard", NOW, ANN.auth_time, NOW, adopted=True, device="")})
    assert guard.standing(user, ANN) == expected


@pytest.mark.parametrize("result", [Kept(ANN), Claimed(ANN), Busy(ANN, NOW), Spent(ANN)])
def test_an_overtaken_token_is_reuse_once_it_was_spent(result: guard.Presented) -> None:
    """Whatever its record says; the family's end wins, and one that was never spent is the backend's to judge."""
    assert guard.judge(result, True, Overtaken()) == Spent(ANN)
    assert guard.judge(result, False, Overtaken()) == result
    assert guard.judge(result, True, None) == result
    assert guard.judge(result, True, Ended("revoked")) == Ended("revoked")


def test_a_floor_wins_over_a_turn_of_the_unknown() -> None:
    """given a revoke-all, then an unknown family that began before it is not admitted; a login afterwards is."""
    user = User({}, floor=ANN.auth_time)
    assert guard.turn(user, ANN, "", NOW, POLICY) == Ended("revoked")
    assert guard.standing(user, ANN) == Ended("revoked")
    assert guard.turn(user, Lineage("ann", "b" * 24, 0), "", NOW, POLICY) == Turned(NOW // 1000, 1)
    assert guard.standing(user, Lineage("ann", "b" * 24, NOW // 1000)) is None


def test_the_cap_holds() -> None:
    """given as many families as may be, when another begins, then the one that had its turn least recently goes."""
    user = User()
    for index, name in enumerate("abc"):
        turned = guard.turn(user, Lineage("ann", name * 24, 0), "phone", NOW + index, POLICY)
    assert turned == Turned(NOW // 1000, 2, ("a" * 24,))
    assert guard.standing(user, Lineage("ann", "a" * 24, NOW // 1000)) == Ended("evicted")
    family = user.records["c" * 24]
    assert isinstance(family, Family)
    assert (family.adopted, family.device, family.expires) == (True, "phone", NOW // 1000 + 7200)


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("claim"), st.sampled_from("abc")),
        st.tuples(st.just("release"), st.sampled_from("abc")),
        st.tuples(st.sampled_from(["traded", "renewed"]), st.sampled_from("abc")),
        st.tuples(st.just("wait"), st.sampled_from([1, 4_999, 5_000, 15_000, 29_999, 30_000, 30_001])),
    ),
    max_size=30,
)


@settings(max_examples=300, deadline=None, derandomize=True, database=None)
@given(STEPS)
def test_generated_lives_of_a_token(steps: list[tuple[str, object]]) -> None:
    """Against a model that only remembers: one claim at a time, an answer in grace, and reuse for good afterwards."""
    token: Token | None = None
    now, holder, until, spent_at, answered_at = NOW, "", 0, None, None
    for step, argument in steps:
        owner = str(argument)
        if step == "wait":
            now += int(str(argument))
            continue
        if step == "release":
            token = guard.release(token, owner)
            holder = "" if holder == owner else holder
            continue
        if step in ("traded", "renewed"):  # whoever was forwarding comes back, however late
            token = guard.trade(token, owner, ANN, now, spent=step == "traded", kept=True)
            holder = "" if holder == owner else holder
            if spent_at is None:
                answered_at = now
                spent_at = now if step == "traded" else None
            continue
        result = guard.present(token, owner, now, GRACE)
        in_grace = answered_at is not None and now - answered_at <= GRACE
        taken = holder not in ("", owner) and now < until
        if in_grace:
            assert isinstance(result, Kept)
        elif spent_at is not None:
            assert isinstance(result, Spent)
        else:
            assert isinstance(result, Busy if taken else Claimed)
        if isinstance(result, Claimed):
            token = guard.claim(token, owner, now, 15_000)
            holder, until = owner, now + 15_000
