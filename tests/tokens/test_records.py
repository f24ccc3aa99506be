"""A user's hash, read back."""

from __future__ import annotations

import pytest

from gateway.tokens.records import Held, held, parse_hash, split_note, user_key, user_of
from gateway.tokens.rotation import Family, Tombstone

LIVE = Family(3, "k1", 1_800_000_000_000, 1_799_999_000, 1_800_600_000, True, "2001:db8::/48 a:b", True)
ENDED = Tombstone("revoked", 1_800_086_400, 1_799_999_000)


def test_a_hash_is_read_as_it_is_written() -> None:
    """Live and ended families come back whole, colons of the device included; other fields are no records."""
    records, floor = parse_hash(
        {
            b"aa": b"L:3:k1:1800000000000:1799999000:1800600000:1:1:2001:db8::/48 a:b",
            b"bb": b"T:revoked:1800086400:1799999000",
            b"floor": b"17",
            b"claims": b'1800000000:{"role":"admin"}',
        }
    )
    assert (records, floor) == ({"aa": LIVE, "bb": ENDED}, 17)


def test_what_is_past_its_time_is_not_held() -> None:
    """Live and ended families alike go at their last second."""
    assert held(1_800_000_000_000, {"aa": LIVE, "bb": ENDED}, 5) == Held(
        1_800_000_000_000, {"aa": LIVE}, {"bb": ENDED}, 5
    )
    assert held(1_800_086_400_000, {"aa": LIVE, "bb": ENDED}).ended == {}
    assert held(1_800_600_000_000, {"aa": LIVE}).live == {}


@pytest.mark.parametrize(
    ("family", "issued_at", "over"),
    [("aa", 10, False), ("bb", 99, True), ("lost", 17, True), ("lost", 18, False), ("aa", 17, False)],
)
def test_a_session_is_over_when_that_is_known(family: str, issued_at: int, over: bool) -> None:
    """given a tombstone, or a floor that an unknown family's token is not above, then it is over."""
    assert Held(0, {"aa": LIVE}, {"bb": ENDED}, 17).has_ended(family, issued_at) is over


@pytest.mark.parametrize("user", ["42", "a}b{", "ü /:%", "", "x" * 256])
def test_a_key_names_its_user(user: str) -> None:
    """Whatever a user is called, its key leads back to it."""
    assert user_of("gw", user_key("gw", user)) == user


@pytest.mark.parametrize("key", ["gw:t:birth", "gw:t:{42}:x", "other:t:{42}"])
def test_other_keys_name_nobody(key: str) -> None:
    """The birth mark and what hangs on a user's key are no user's hash."""
    assert user_of("gw", key) is None


@pytest.mark.parametrize(
    ("note", "parts"),
    [
        ("192.0.2.0/24 Mozilla/5.0 (X11)", ("192.0.2.0/24", "Mozilla/5.0 (X11)")),
        ("2001:db8:1::/48 phone", ("2001:db8:1::/48", "phone")),
        (" 192.0.2.0/24 phone", ("", "192.0.2.0/24 phone")),
        (" ", ("", "")),
        ("", ("", "")),
        ("Mozilla/5.0 (X11)", ("", "Mozilla/5.0 (X11)")),
    ],
)
def test_a_note_has_a_network_and_a_device(note: str, parts: tuple[str, str]) -> None:
    """A device cannot pass its own words off as its network."""
    assert split_note(note) == parts
