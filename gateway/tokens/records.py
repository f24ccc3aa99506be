"""A user's hash as text, read back: for whoever lists families rather than deciding about one.

The one idea: the scripts write the records and this only reads them, so a listing changes nothing and needs no rule of
its own. The format is documented, and written, in `families.lua`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import quote, unquote

from gateway.tokens.rotation import Family, Record, Tombstone

FLOOR: Final = b"floor"
_NOTE: Final = re.compile(r"([0-9a-f.:]*(?:/\d+)?) (.*)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Held:
    """What is held of one user at `now` (ms), without what is past its time."""

    now: int
    live: dict[str, Family] = field(default_factory=dict)
    ended: dict[str, Tombstone] = field(default_factory=dict)
    floor: int = 0

    def has_ended(self, family: str, issued_at: int) -> bool:
        """Tell whether a token issued at `issued_at` (s) belongs to a session that is known to be over."""
        return family in self.ended or (family not in self.live and issued_at <= self.floor)


def user_key(prefix: str, user: str) -> str:
    """Return the key of a user's hash. The user is its hash tag, percent-encoded: no name can leave the braces."""
    return f"{prefix}:t:{{{quote(user, safe='')}}}"


def user_of(prefix: str, key: str) -> str | None:
    """Return whose hash a key is, None when it is none."""
    start, end = f"{prefix}:t:{{", "}"
    return unquote(key[len(start) : -1]) if key.startswith(start) and key.endswith(end) else None


def held(now: int, records: Mapping[str, Record], floor: int = 0) -> Held:
    """Sort a user's records into the live and the ended, leaving out those that may be forgotten."""
    live = {name: r for name, r in records.items() if isinstance(r, Family) and 1000 * r.expires > now}
    ended = {name: r for name, r in records.items() if isinstance(r, Tombstone) and 1000 * r.until > now}
    return Held(now, live, ended, floor)


def parse_hash(fields: Mapping[bytes, bytes]) -> tuple[dict[str, Record], int]:
    """Return a user's records and its floor; a field that is no record is left out."""
    records: dict[str, Record] = {}
    for name, value in fields.items():
        if name != FLOOR and (record := _parse(value.decode())) is not None:
            records[name.decode()] = record
    return records, int(fields.get(FLOOR, b"0"))


def _parse(value: str) -> Record | None:
    kind, _, rest = value.partition(":")
    if kind == "T":
        reason, until, auth_time = rest.split(":")
        return Tombstone(reason, int(until), int(auth_time))
    if kind != "L":
        return None
    generation, key_id, rotated_ms, auth_time, expires, adopted, kept, device = rest.split(":", 7)
    times = (int(rotated_ms), int(auth_time), int(expires))
    return Family(int(generation), key_id, *times, adopted == "1", device, kept == "1")


def split_note(note: str) -> tuple[str, str]:
    """Return network and device of what a record remembers of its user (`Client.note`); a network may be missing."""
    match = _NOTE.fullmatch(note)
    return (match[1], match[2]) if match else ("", note)
