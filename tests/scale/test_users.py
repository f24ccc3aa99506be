"""A million users cost what a thousand cost: every operation reads and writes the one hash of its user.

The one idea: time inside the server, as it counts it itself (`INFO commandstats`), over random users of a small and of
a large crowd in turn. Nothing here measures the network or this process.
"""

from __future__ import annotations

import os
import random
import statistics
from collections.abc import Awaitable, Callable
from typing import Any, Final

from gateway.tokens.client import MAX_DEVICE
from gateway.tokens.redis_ledger import RedisLedger
from gateway.tokens.rotation import Policy, Presented, Rotated
from tests.scale.crowd import Crowd
from tests.support.soak import short_or_long, tell
from tests.support.valkey import ValkeyServer
from tests.tokens.support import connect

SMALL: Final = 1000
LARGE: Final = short_or_long(50_000, 1_000_000)
CALLS: Final = short_or_long(200, SMALL)
ROUNDS: Final = short_or_long(3, 15)
RATIO: Final = short_or_long(2.0, 1.1)
"""The short form leaves room for a busy machine; that equal commands are run it holds exactly."""
BYTES_OF_TEN: Final = 2560


async def test_ten_families_fit(shared_valkey: ValkeyServer) -> None:
    """given a user with ten rotated families and the longest notes of their devices / then its hash takes at most
    2.5 KiB of memory; what a backend says of its claims comes on top."""
    client = connect(shared_valkey)
    ledger, user, note = RedisLedger(client, Policy()), "customer-12345678", "203.0.113.0/24 " + "d" * MAX_DEVICE
    for number in range(10):
        family = f"{number:024x}"
        opened = await ledger.issue(user, family, "main", note)
        token = Presented(family, 1, opened.auth_time, opened.rotated_ms // 1000, opened.expires)
        assert isinstance((await ledger.refresh(user, token, "main")).result, Rotated)
    await client.aclose()
    assert shared_valkey.command("HLEN", ledger.key(user)) == 10
    used = shared_valkey.command("MEMORY", "USAGE", ledger.key(user), "SAMPLES", 0)
    tell(f"ten families: {used} bytes")
    assert used <= BYTES_OF_TEN


Operation = Callable[[RedisLedger, str, Presented], Awaitable[Any]]
OPERATIONS: Final[dict[str, Operation]] = {
    "issue": lambda ledger, user, token: ledger.issue(user, os.urandom(12).hex(), "main", ""),
    "refresh": lambda ledger, user, token: ledger.refresh(user, token, "main"),
    "list": lambda ledger, user, token: ledger.families(user),
    "close all": lambda ledger, user, token: ledger.close_all(user, "revoked"),
    "end": lambda ledger, user, token: ledger.end(user, token, "revoked"),
}


async def test_an_operation_costs_the_same_in_a_large_crowd(valkey: ValkeyServer) -> None:
    """given a small and a large crowd of users with one family each / when random ones are served / then an operation
    takes the server as long in one as in the other, and runs as many commands."""
    rng = random.Random(7)
    async with Crowd(valkey, 0, SMALL) as small, Crowd(valkey, 1, LARGE) as large:
        tell(f"{SMALL} + {LARGE} users: {valkey.command('INFO', 'memory')['used_memory'] / 2**20:.0f} MiB")
        for name, operation in OPERATIONS.items():
            await _cost(valkey, small, operation, rng)  # the server learns the scripts
            ratios = []
            for _ in range(ROUNDS):
                few, many = await _cost(valkey, small, operation, rng), await _cost(valkey, large, operation, rng)
                assert few[1] == many[1], f"{name}: other commands are run in the large crowd"
                ratios.append(many[0] / few[0])
            ratio = statistics.median(ratios)
            tell(f"{name}: {LARGE} users ÷ {SMALL} users = {ratio:.3f}, {many[0]:.1f} µs a call")
            assert ratio <= RATIO, name


async def _cost(
    valkey: ValkeyServer, crowd: Crowd, operation: Operation, rng: random.Random
) -> tuple[float, dict[str, int]]:
    """Return µs of the server an operation, and how often which command was run, for random users.

    Who was served is restored afterwards and not before: that would bring just these users into the processor's cache.
    """
    users = crowd.some(rng, CALLS)
    valkey.command("CONFIG", "RESETSTAT")
    for user in users:
        await operation(crowd.ledger, crowd.name(user), crowd.token)
    counted = valkey.command("INFO", "commandstats")
    crowd.restore(users)
    return counted["cmdstat_evalsha"]["usec"] / CALLS, {name: row["calls"] for name, row in counted.items()}
