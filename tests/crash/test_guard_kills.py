"""Gateways in `mode: guard` and Valkey killed at random, before a backend that rotates: nobody is logged out."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.crash.checker import Checker
from tests.crash.portal import GUARD
from tests.crash.storm import storm
from tests.crash.test_kills import MOST_DOUBTFUL, Kills, durable  # noqa: F401  # the fixture
from tests.support.soak import short_or_long, tell
from tests.support.valkey import ValkeyServer


async def test_kills_log_nobody_out_of_a_guarded_backend(tmp_path: Path, durable: ValkeyServer) -> None:  # noqa: F811
    """given strict guard mode and clients on two gateways / when gateways and Valkey are killed and answers are lost /
    then nobody is logged out, no token is at the backend twice at once, and nothing that was ended is alive."""
    kills = Kills(durable, gateways=(0.5, 3.0), server=(2.0, 4.0))  # slower: a client waits longer for an open fate
    history = await storm(tmp_path, durable.url, kills, seconds=short_or_long(4.5, 30.0), scene=GUARD)
    happened = history.counted()
    checker = Checker(fate=GUARD.habits.fate)
    doubtful, caught = checker.doubtful(history.events), checker.caught(history.events)
    again = len(history.forwards) - len({forward.token for forward in history.forwards})
    tell(f"kills: {kills.of_gateways} of gateways, {kills.of_valkey} of valkey; {dict(happened)}")
    tell(f"forwards: {len(history.forwards)}, of which {again} of a token that had come before")
    tell(f"doubtful: {len(doubtful)}; thieves caught: {len(caught)}; users with an adopted token: {len(history.split)}")
    assert len(doubtful) <= MOST_DOUBTFUL
    assert len(caught) > GUARD.clients / 2
    assert kills.of_valkey >= 1
    assert kills.of_gateways >= 1
    assert happened["refresh 200"] > 100
    assert happened["refresh None"] > 0


def test_hasty_gateways_have_the_products_relations() -> None:
    """A claim of theirs outlives the forward as the product's does, only sooner."""
    code = (
        "from gateway.tokens import guard_store as s; from tests.crash.hasty import hurry; hurry();"
        "from gateway.tokens import guard_claim, guard_promises, guard_refresh;"
        "assert s.CLAIM_MS == 750 == 1000 * (s.FORWARD_SECONDS + s.COMMIT_SECONDS);"
        "assert guard_claim.COMMIT_SECONDS == 0.25; assert guard_refresh.FORWARD_SECONDS == 0.5;"
        "assert guard_promises.PATIENCE == 0.75"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
