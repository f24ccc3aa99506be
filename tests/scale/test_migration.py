"""A hundred thousand sessions of the old scheme, taken over by the verb that an operator types.

The one idea: what a dry run leaves is compared with what was there, key by key, value and expiry; the run is watched on
a real terminal, because that is where operators are and where its lines cost most.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

import pytest
import redis

from tests.support.legacy import dump, seed_legacy
from tests.support.soak import SOAKING, short_or_long, tell
from tests.support.terminal import Seen, piped, watched
from tests.support.valkey import ValkeyServer
from tests.tokens.support import SECRET

FAMILIES: Final = 10
USERS: Final = short_or_long(300, 10_000)
SESSIONS: Final = USERS * FAMILIES
SECONDS: Final = 60.0
"""What the long form may take, and is held to; the short form only does the same work."""

Run = Callable[[Sequence[str], Mapping[str, str]], Seen]


@pytest.fixture
def command(tmp_path: Path, valkey: ValkeyServer) -> list[str]:
    """Give the start of a command line of `gateway tokens` on a server with the sessions of the old backend."""
    with redis.Redis.from_url(valkey.url, protocol=2) as plain:
        seed_legacy(plain, USERS, int(time.time()), families=FAMILIES)
    config = tmp_path / "config.yaml"
    tokens = f"tokens: {{keys: [{{kid: main, secret: {SECRET}}}]}}"
    config.write_text(f"redis: {{url: '{valkey.url}'}}\n{tokens}\n")
    return [sys.executable, "-m", "gateway", "tokens", "migrate", "--config", str(config)]


def test_a_dry_run_writes_nothing_and_the_run_takes_all_over(command: list[str], valkey: ValkeyServer) -> None:
    """given very many sessions / when dry run, then run, into a pipe / then the first changes no key, value or expiry,
    the second takes over each with an audit line and leaves the old keys as they were."""
    with redis.Redis.from_url(valkey.url, protocol=2) as plain:
        before = dump(plain)
        told, _ = _timed("dry run", piped, [*command, "--dry-run", "-o", "json"])
        assert dump(plain) == before
        done, trail = _timed("run", piped, [*command, "-o", "json"])
        after = dump(plain)
    assert json.loads(told.out)["taken_over"] == json.loads(done.out)["taken_over"] == SESSIONS
    assert len(trail) == SESSIONS
    assert {key: after[key] for key in before} == before
    assert len(after) == len(before) + USERS


def test_a_terminal_does_not_hold_it_up(command: list[str], valkey: ValkeyServer) -> None:
    """given very many sessions / when they are taken over on a terminal / then every audit line stands there whole, and
    what is drawn between them is a small part of it."""
    ran, trail = _timed("run on a terminal", watched, command)
    assert len(set(trail)) == SESSIONS
    assert ran.redrawn < SESSIONS / 5


def _timed(name: str, run: Run, command: list[str]) -> tuple[Seen, list[str]]:
    """Run a command; return how it ended and the families of its audit lines."""
    began = time.monotonic()
    seen = run(command, os.environ)
    took = time.monotonic() - began
    assert seen.code == 0, seen.terminal[-500:]
    tell(f"{name}: {SESSIONS} sessions in {took:.1f} s")
    assert took < SECONDS or not SOAKING
    return seen, [json.loads(line)["family"] for line in seen.lines if "Token audit" in line]
