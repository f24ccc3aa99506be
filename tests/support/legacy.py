"""The old backend: its refresh tokens and the keys it kept them under, one session or a hundred thousand.

The one idea: what it writes here is what the migration finds in production, so nothing of the gateway takes part in it.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import jwt
import redis

SECRET = "hush-secret-of-the-old-backend-0123456789"
TTL = 604_800
_PIPELINE = 10_000


@dataclass(frozen=True)
class OldSession:
    """A session of the old backend."""

    user: str
    family: str
    token: str = field(repr=False)

    @property
    def digest(self) -> str:
        return hashlib.sha256(self.token.encode()).hexdigest()


def old_token(user: Any, family: str, issued_at: int, ttl: int = TTL, secret: str = SECRET, **claims: Any) -> str:
    """Return a refresh token as the old backend minted it."""
    payload = {
        "userId": user,
        "tokenId": family,
        "deviceId": "device-1",
        "userAgent": "Old Browser/1.0",
        "type": "refresh",
        "iat": issued_at,
        "exp": issued_at + ttl,
        **claims,
    }
    return jwt.encode(payload, secret, "HS256")


def written(session: OldSession, user: Any, created: int, expires: int, agent: str) -> list[tuple[Any, ...]]:
    """Return the commands by which the old backend wrote a session down."""
    token = {"familyId": session.family, "userId": user, "valid": True}
    family = {
        "userId": user,
        "tokenHash": session.digest,
        "deviceId": "device-1",
        "userAgent": agent,
        "createdAt": datetime.fromtimestamp(created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
    }
    return [
        ("SET", f"refresh_token:{session.digest}", json.dumps(token), "EXAT", expires),
        ("SET", f"refresh_family:{session.family}", json.dumps(family), "EXAT", expires),
        ("SADD", f"refresh_user:{session.user}", session.family),
        ("EXPIREAT", f"refresh_user:{session.user}", expires),
    ]


def write_session(
    client: redis.Redis, user: Any, family: str, issued_at: int, *, ttl: int = TTL, age: int = 0, agent: str = "Old/1.0"
) -> OldSession:
    """Write a session that was used at `issued_at` and began `age` seconds before; return it with its token."""
    session = OldSession(str(user), family, old_token(user, family, issued_at, ttl))
    for command in written(session, user, issued_at - age, issued_at + ttl, agent):
        client.execute_command(*command)
    return session


def seed_legacy(client: redis.Redis, users: int, now: int, families: int = 1, ttl: int = TTL) -> int:
    """Write `families` sessions for each of `users` users and return how many keys that made.

    The tokens are hashes of nothing anybody holds: enough for the migration, which never sees a token.
    """
    commands: list[tuple[Any, ...]] = []
    for user in range(users):
        for number in range(families):
            session = OldSession(f"user-{user}", f"family-{user}-{number}", f"hush-{user}-{number}")
            commands += written(session, session.user, now - 3600 - number, now + ttl - number, "Old Browser/1.0")
        if len(commands) >= _PIPELINE:
            _send(client, commands)
            commands = []
    _send(client, commands)
    return users * (2 * families + 1)


def dump(client: redis.Redis) -> dict[bytes, tuple[bytes, int]]:
    """Return every key with its value and the moment it expires (ms; -1: never), for comparing two states."""
    keys = sorted(client.scan_iter(count=10_000))
    state: dict[bytes, tuple[bytes, int]] = {}
    for start in range(0, len(keys), _PIPELINE):
        part = keys[start : start + _PIPELINE]
        with client.pipeline(transaction=False) as pipeline:
            for key in part:
                pipeline.dump(key)
                pipeline.execute_command("PEXPIRETIME", key)
            replies = pipeline.execute()
        state.update(zip(part, zip(replies[::2], replies[1::2], strict=True), strict=True))
    return state


def _send(client: redis.Redis, commands: list[tuple[Any, ...]]) -> None:
    with client.pipeline(transaction=False) as pipeline:
        for command in commands:
            pipeline.execute_command(*command)
        pipeline.execute()
