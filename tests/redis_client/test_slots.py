"""Where a cluster keeps a key."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gateway.redis_client.slots import SLOTS, Shard, address, name_in, read_shards, slot_of


@given(st.text(max_size=40), st.text(st.characters(codec="utf-8", exclude_characters="{"), max_size=20))
def test_a_name_for_the_slot_of_a_key_is_in_that_slot(key: str, name: str) -> None:
    """Whatever the key, the name made for its slot is kept beside it."""
    assert slot_of(name_in(slot_of(key), name)) == slot_of(key)


def test_every_slot_has_a_name_of_its_own_that_never_changes() -> None:
    """No two slots share a mark; and the names are the ones that gateways of other versions use."""
    names = [name_in(slot, "gw:t:birth") for slot in range(SLOTS)]
    assert [slot_of(name) for name in names] == [*range(SLOTS)]
    assert (names[0], names[1], names[SLOTS - 1]) == ("gw:t:birth:{3560}", "gw:t:birth:{22179}", "gw:t:birth:{39296}")


def test_the_slot_is_that_of_the_first_braces() -> None:
    """The examples of the cluster specification, section "Hash tags"."""
    assert slot_of("{user1000}.following") == slot_of("{user1000}.followers") == slot_of("user1000")
    assert slot_of("foo{{bar}}zap") == slot_of("{bar")
    assert slot_of("foo{bar}{zap}") == slot_of("bar")
    assert slot_of("123456789") == 0x31C3


def test_a_map_is_read_with_what_nodes_leave_out() -> None:
    """A node without a name of its own is found where it was told of; whatever else is told of it is skipped."""
    reply = [
        [0, 5, [b"10.0.0.1", 7000, b"id", [b"hostname", b"a"]], [b"", 7001, b"id"]],
        [6, 9, [None, 7002, b"id"], [b"?", 7003, b"id"]],
    ]
    assert read_shards(("c1", 1), reply) == (
        Shard(0, 5, ("10.0.0.1", 7000), (("c1", 7001),)),
        Shard(6, 9, ("c1", 7002), (("c1", 7003),)),
    )
    assert address("c1", "", 7) == ("c1", 7)
