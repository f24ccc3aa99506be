"""Families to rotate, with tokens like those of a gateway that has these settings."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Any, Final

from pydantic import SecretStr

from gateway.events import ignore
from gateway.redis_client.client import RedisClient
from gateway.redis_client.settings import RedisSettings
from gateway.tokens.claims import Login, Mint, new_family
from gateway.tokens.redis_ledger import RedisLedger
from gateway.tokens.rotation import Family, Presented
from gateway.tokens.settings import KeySettings, TokenSettings

SECRET: Final = "benchmark-key-of-at-least-32-bytes"
SETTINGS: Final = TokenSettings(enabled=True, keys=(KeySettings(kid="main", secret=SecretStr(SECRET)),))
MINT: Final = Mint(SETTINGS)
POLICY: Final = SETTINGS.policy
NOTE: Final = "127.0.0.0/24 bench/1"


@dataclass(frozen=True, slots=True)
class Seat:
    """A new family of a new user, and its first token."""

    user: str
    family: str
    auth_time: int
    issued_at: int
    expires: int
    token: str = field(repr=False)


def connect(port: int) -> tuple[RedisClient, RedisLedger]:
    """Return a client as a gateway has one, and the ledger on it."""
    client = RedisClient.connect(RedisSettings(), f"redis://127.0.0.1:{port}/0", emit=ignore)
    return client, RedisLedger(client, POLICY)


async def seats(port: int, count: int) -> list[Seat]:
    """Log so many users in."""
    client, ledger = connect(port)
    made = []
    for _ in range(count):
        user, family = f"customer-{os.urandom(4).hex()}", new_family()
        opened = await ledger.issue(user, family, MINT.key_id, NOTE)
        record = Family(1, MINT.key_id, opened.rotated_ms, opened.auth_time, opened.expires)
        token = MINT.refresh(Login(user, {"email": f"{user}@example.org", "role": "customer"}), family, record)
        made.append(Seat(user, family, opened.auth_time, opened.rotated_ms // 1000, opened.expires, token))
    await client.aclose()
    return made


def presented(token: Any, generation: int) -> Presented:
    """Return what a ledger is told of a token, a seat's or a verified one."""
    return Presented(token.family, generation, token.auth_time, token.issued_at, token.expires, device=NOTE)
