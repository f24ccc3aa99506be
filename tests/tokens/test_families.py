"""Room for a new family, and the bounds of what is kept for a user."""

from __future__ import annotations

from gateway.tokens.families import MAX_TOMBSTONES, User, admit, drop_dead, end
from gateway.tokens.rotation import Family, Policy, Presented, Tombstone

NOW_S = 1_800_000_000
NOW = NOW_S * 1000
POLICY = Policy(max_families=3)


def _family(rotated_s: int = NOW_S, expires: int = NOW_S + 1000) -> Family:
    return Family(1, "k", rotated_s * 1000, NOW_S - 500, expires)


def test_the_least_recently_rotated_makes_room() -> None:
    """Oldest out means least recently rotated, not least recently begun."""
    user = User({"a": _family(NOW_S - 1), "b": _family(NOW_S - 9), "c": _family(NOW_S - 5)})
    assert admit(user, "d", _family(), NOW, POLICY) == ("b",)
    assert set(user.live()) == {"a", "c", "d"}
    assert user.records["b"] == Tombstone("evicted", NOW_S + 1000, NOW_S - 500)


def test_the_dead_make_room_before_the_living() -> None:
    """An expired family is dropped without a trace, and nobody living has to go for it."""
    user = User({"a": _family(NOW_S - 1), "b": _family(NOW_S - 9), "c": _family(NOW_S - 5, expires=NOW_S)})
    assert admit(user, "d", _family(), NOW, POLICY) == ()
    assert set(user.records) == {"a", "b", "d"}


def test_a_lowered_cap_evicts_as_many_as_it_takes() -> None:
    """Eviction goes on while there are too many, oldest first."""
    user = User({name: _family(NOW_S - age) for name, age in zip("abcdef", range(1, 7), strict=True)})
    assert admit(user, "g", _family(), NOW, POLICY) == ("f", "e", "d", "c")


def test_tombstones_are_bounded_and_leave_a_floor() -> None:
    """However many families end, a bounded number is remembered; the rest stays refused through the floor."""
    user = User()
    for index in range(MAX_TOMBSTONES + 10):
        began = NOW_S - 500 + index
        family = Family(1, "k", began * 1000, began, began + 10_000)
        admit(user, f"{index:03}", family, NOW, Policy(max_families=1))
    assert sum(isinstance(record, Tombstone) for record in user.records.values()) == MAX_TOMBSTONES
    assert user.floor == NOW_S - 500 + 8  # 41 have ended, 32 are remembered: 0 to 8 are not


def test_ending_is_remembered_for_a_family_nobody_knows() -> None:
    """A logout of an unknown family leaves a tombstone as long as its token lives, and none for an expired token."""
    user = User()
    token = Presented("f", 3, NOW_S - 500, NOW_S - 100, NOW_S + 1000)
    assert end(user, token, "revoked", NOW)
    assert user.records == {"f": Tombstone("revoked", NOW_S + 1000, NOW_S - 500)}
    assert not end(user, token, "revoked", NOW)
    assert end(User(), token, "revoked", (NOW_S + 1000) * 1000)


def test_the_dead_are_dropped_to_the_millisecond() -> None:
    """A family and a tombstone are kept up to their last millisecond."""
    user = User({"a": _family(expires=NOW_S + 1), "b": Tombstone("revoked", NOW_S + 1, NOW_S)})
    drop_dead(user, NOW + 999)
    assert set(user.records) == {"a", "b"}
    drop_dead(user, NOW + 1000)
    assert user.records == {}
