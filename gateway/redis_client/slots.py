"""Where a cluster keeps a key: its slot, who owns which slots, and how to name a key for a slot.

The one idea: a key's slot is that of its hash tag (the text in its first braces), so a short tag found for each slot
once is enough to name keys that are always kept, moved and lost together with any other key of that slot.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import count
from typing import Any, Final

from redis.crc import REDIS_CLUSTER_HASH_SLOTS, key_slot

from gateway.redis_client.url import Server

SLOTS: Final = REDIS_CLUSTER_HASH_SLOTS


@dataclass(frozen=True, slots=True)
class Shard:
    """Some slots in a row, who owns them, and who has copies."""

    first: int
    last: int
    master: Server
    replicas: tuple[Server, ...] = ()


def slot_of(key: str) -> int:
    """Return the slot of a key (Redis Cluster specification, "Hash tags")."""
    return int(key_slot(key.encode()))


def name_in(slot: int, name: str) -> str:
    """Return `name` with the tag that puts it into a slot. The same one for ever: other gateways look there too."""
    return f"{name}:{{{_tags()[slot]}}}"


def read_shards(told_by: Server, reply: Any) -> tuple[Shard, ...]:
    """Read the reply to CLUSTER SLOTS of the node `told_by`, which others leave out where they mean it."""
    return tuple(_shards(told_by[0], reply))


def _shards(host: str, reply: Any) -> Iterator[Shard]:
    for first, last, *nodes in reply:
        master, *replicas = (address(host, node[0], node[1]) for node in nodes)
        yield Shard(first, last, master, tuple(replicas))


def address(told_by: str, host: bytes | str | None, port: int) -> Server:
    """Return where a node is; one that has no name of its own is found where it was told of."""
    name = host.decode() if isinstance(host, bytes) else host
    return (told_by if name in (None, "", "?") else str(name), int(port))


@cache
def _tags() -> tuple[str, ...]:
    """Return the smallest number whose decimal text has the slot, for each slot (some 30 ms, once)."""
    found: dict[int, str] = {}
    for number in count():
        if len(found) == SLOTS:
            break
        text = str(number)
        found.setdefault(int(key_slot(text.encode())), text)
    return tuple(found[slot] for slot in range(SLOTS))
