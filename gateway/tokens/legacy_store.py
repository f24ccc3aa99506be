"""Old tokens in Redis: where the old backend left them, and where they stand here.

The one idea: a family that was not taken over yet is taken over when its holder comes, by the same rules as the
migration, so it does not matter whether the migration ran before, runs now, or comes later.

One token is one script on the user's hash, then the ordinary rotation. The keys of the old scheme are read, and never
changed, but for `end_all`: whoever ends all sessions means those as well.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any, Final

from gateway.events import Emit, ignore
from gateway.redis_client.client import RedisClient
from gateway.redis_client.scripts import load
from gateway.tokens.events import Audit, audit_of
from gateway.tokens.legacy import Legacy
from gateway.tokens.migration import (
    FAMILY,
    TOKEN,
    USER,
    OldFamily,
    Skipped,
    TakeOver,
    is_digest,
    mark_of,
    name_of,
    own_of,
    read_family,
    read_token,
    take_over,
)
from gateway.tokens.records import parse_hash, user_key
from gateway.tokens.redis_ledger import evicted_of
from gateway.tokens.rotation import Evicted, Expired, Policy, Presented, Record, Refused, Reused, Tombstone, Unknown

_PACKAGE: Final = "gateway.tokens"
_LIVE: Final = ("taken", "renewed")


def texts(found: Iterable[bytes]) -> Iterator[str]:
    """Yield what is UTF-8."""
    for value in found:
        with contextlib.suppress(UnicodeDecodeError):
            yield value.decode()


def nameless(mark: str) -> str:
    """Call no token anything."""
    return ""


class LegacyStore:
    """See `OldTokens`.

    Args:
        client: the way to Redis.
        policy: lifetimes and limits.
        prefix: of the gateway's own keys.
        emit: told the audit lines.
        name: what the audit trail calls an old token, by its mark (`Mint.fingerprint`).
    """

    def __init__(
        self,
        client: RedisClient,
        policy: Policy,
        prefix: str = "gw",
        emit: Emit = ignore,
        name: Callable[[str], str] = nameless,
    ) -> None:
        self._client = client
        self._policy = policy
        self._prefix = prefix
        self._emit = emit
        self._name = name
        self._legacy = load(_PACKAGE, "legacy", prelude="families")
        self._takeover = load(_PACKAGE, "takeover", prelude="families")
        self._list = load(_PACKAGE, "list", prelude="families")
        self._peek = load(_PACKAGE, "peek")
        self._members = load(_PACKAGE, "members")
        self._drop = load(_PACKAGE, "drop")
        self._discard = load(_PACKAGE, "discard")

    async def place(self, user: str, presented: Presented, old: Legacy) -> Presented | Refused:
        """Take the token's family over when it has to be, and say where the token stands, see `OldTokens`."""
        place, auth_time = await self._ask(user, presented, old)
        if place in (b"unknown", b"stale") and await self._taken_over(user, old):
            place, auth_time = await self._ask(user, presented, old)
        if place == b"unknown":
            return Unknown()
        if place == b"expired":
            return Expired()
        if place != b"current":
            return Reused(Tombstone("reused", presented.expires, auth_time))
        return replace(presented, auth_time=auth_time)

    async def end_all(self, user: str) -> int:
        """End the user's sessions of the old scheme, by the set that it kept of them; return how many there were.

        A family that cannot be read ends nobody else's turn: it is passed over. Keys of another type than the old
        scheme's are somebody else's, whatever they are called, and stay.
        """
        ended = 0
        for name in await self.members(f"{USER}{user}"):
            _, [(value, _)] = await self.peek([f"{FAMILY}{name}"])
            family = read_family(value)
            if isinstance(family, OldFamily) and family.user == user:
                await self._client.run(self._discard, [f"{TOKEN}{family.digest}"], ["string"])
                await self._client.run(self._discard, [f"{FAMILY}{name}"], ["string"])
                token = self.token_name(family.digest)
                self._emit(Audit("revoke", "old-scheme", user, name_of(name), token, family.device))
                ended += 1
        await self._client.run(self._discard, [f"{USER}{user}"], ["set"])
        return ended

    def token_name(self, digest: str) -> str:
        """Return what the audit trail calls an old token, by its SHA-256; nothing for what is none."""
        return self._name(mark_of(digest)) if is_digest(digest) else ""

    async def take_over(
        self, user: str, families: Sequence[TakeOver], mode: str
    ) -> tuple[list[str], tuple[Evicted, ...]]:
        """Write families of one user; returns what became of each, and which others were ended for them.

        `mode` is `dry`, `bulk` or `live`, see `takeover.lua`.
        """
        arguments: list[Any] = [self._policy.max_families, mode]
        for family in families:
            times = (family.rotated_ms, family.auth_time, family.expires, family.began)
            arguments += [family.name, family.mark, *times, family.own, family.note]
        count, *told = await self._client.run(self._takeover, [self.key(user)], arguments)
        return [state.decode() for state in told[:count]], evicted_of(told[count:])

    async def peek(self, keys: Sequence[str]) -> tuple[int, list[tuple[bytes | None, int]]]:
        """Return the time (ms), and the value and PTTL of each key; what is no text counts as empty.

        On a cluster the keys are of one slot.
        """
        now, *found = await self._client.run(self._peek, keys, [])
        return now, list(zip(found[::2], found[1::2], strict=True))

    async def members(self, key: str) -> list[str]:
        """Return what a set holds. What is no set counts as empty; members that are no UTF-8 are left out."""
        return sorted(texts(await self._client.run(self._members, [key], [])))

    async def records(self, user: str) -> dict[str, Record]:
        """Return what is known of a user here."""
        _, *fields = await self._client.run(self._list, [self.key(user)], [])
        records, _ = parse_hash(dict(zip(fields[::2], fields[1::2], strict=True)))
        return records

    async def drop(self, key: str, value: bytes) -> bool:
        """Remove a key of the old scheme that holds `value` still; return whether it did."""
        return bool(await self._client.run(self._drop, [key], [value]))

    async def leave(self, key: str, member: str) -> bool:
        """Take a member out of a set; return whether it was in it."""
        return bool(await self._client.call("SREM", key, member))

    def scan(self, pattern: str, count: int) -> AsyncIterator[list[bytes]]:
        """Yield the keys that match a pattern, see `RedisClient.scan`."""
        return self._client.scan(pattern, count)

    @property
    def whole(self) -> bool:
        """Whether `peek` takes any keys."""
        return self._client.whole

    def key(self, user: str) -> str:
        """Return the key of a user's hash."""
        return user_key(self._prefix, user)

    async def _ask(self, user: str, presented: Presented, old: Legacy) -> tuple[bytes, int]:
        arguments = (presented.family, own_of(old.digest), mark_of(old.digest), presented.expires)
        place, auth_time = await self._client.run(self._legacy, [self.key(user)], arguments)
        return place, auth_time

    async def _taken_over(self, user: str, old: Legacy) -> bool:
        now, [(value, ttl)] = await self.peek([f"{TOKEN}{old.digest}"])
        token = read_token(old.digest, value)
        if isinstance(token, Skipped) or (token.user, token.family) != (user, old.family):
            return False
        _, [(value, _)] = await self.peek([f"{FAMILY}{old.family}"])
        verdict = take_over(token, read_family(value), ttl, now, self._policy)
        if isinstance(verdict, Skipped):
            return False
        [state], evicted = await self.take_over(user, [verdict], "live")
        self._emit(audit_of("migrate", state, user, verdict.name, verdict.note, self.token_name(old.digest)))
        for family, device in evicted:
            self._emit(audit_of("evict", "evicted", user, family, device))
        return state in _LIVE
