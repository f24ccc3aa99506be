"""Whether Redis may drop sessions when its memory is full: asked once, when it first answers.

The one idea: this is advice and never an obstacle. A service that forbids CONFIG is asked for INFO, and one that
forbids that as well is left alone.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

from gateway.errors import StoreUnavailable
from gateway.events import Emit
from gateway.redis_client.client import RedisClient
from gateway.redis_client.events import EvictionUnknown, KeysMayBeEvicted

SAFE: Final = "noeviction"
_REFUSED: Final = frozenset({"auth", "other"})
"""Kinds of an answer: it will be the same the next time."""
_FIELD: Final = b"maxmemory_policy:"


async def watch_eviction(client: RedisClient, emit: Emit, pause: float) -> None:
    """Report a `maxmemory-policy` other than `noeviction` on any master; wait `pause` seconds while Redis is away."""
    while True:
        try:
            policies = await _policies(client)
        except StoreUnavailable as error:
            if error.kind in _REFUSED:
                emit(EvictionUnknown(error.kind))
                return
            await asyncio.sleep(pause)
            continue
        if risky := next((policy for policy in policies if policy != SAFE), None):
            emit(KeysMayBeEvicted(risky))
        return


async def _policies(client: RedisClient) -> list[str]:
    try:
        replies = await client.inspect("CONFIG", "GET", "maxmemory-policy")
    except StoreUnavailable as error:
        if error.kind not in _REFUSED:
            raise
        return [_from_info(reply) for reply in await client.inspect("INFO", "memory")]
    return [reply[1].decode() for reply in replies if len(reply) == 2]


def _from_info(reply: Any) -> str:
    lines = (line for line in bytes(reply).splitlines() if line.startswith(_FIELD))
    return next(lines, _FIELD + SAFE.encode()).removeprefix(_FIELD).decode()
