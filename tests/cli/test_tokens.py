"""`gateway tokens …`, as an operator types it, against a real server."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import redis
from typer.testing import CliRunner

from gateway.cli import app
from gateway.tokens.claims import Mint
from gateway.tokens.migration import mark_of, name_of
from gateway.tokens.redis_ledger import RedisLedger
from gateway.tokens.rotation import Policy
from tests.support import leaks
from tests.support.legacy import dump, seed_legacy, write_session
from tests.support.terminal import watched
from tests.support.valkey import ValkeyServer
from tests.tokens.support import SECRET, connect, token_settings

FAMILY = "0123456789abcdef01234567"


@dataclass
class Ran:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        assert self.code == 0, self.err[-500:]
        document: dict[str, Any] = json.loads(self.out)
        return document

    @property
    def trail(self) -> list[dict[str, Any]]:
        return [line for line in map(json.loads, self.err.splitlines()) if line.get("audit")]


Run = Callable[..., Ran]


@pytest.fixture
def gateway(tmp_path: Path, shared_valkey: ValkeyServer) -> Run:
    """Give a way to run `gateway tokens` on the session's server."""
    config = tmp_path / "config.yaml"
    keys = f"tokens: {{keys: [{{kid: main, secret: {SECRET}}}]}}\n"
    config.write_text(f"redis: {{url: '{shared_valkey.url}'}}\n{keys}")

    def run(*arguments: str, config: Path = config) -> Ran:
        result = CliRunner().invoke(app, ["tokens", *arguments, "--config", str(config)])
        assert result.exception is None or isinstance(result.exception, SystemExit)
        with (leaks.FOLDER / "tokens-verbs.log").open("a") as log:
            log.write(result.stdout + result.stderr)
        return Ran(result.exit_code, result.stdout, result.stderr)

    return run


@pytest.fixture
def plain(shared_valkey: ValkeyServer) -> redis.Redis:
    """Give the old backend's own way to the server."""
    return redis.Redis.from_url(shared_valkey.url, protocol=2)


def test_list_and_revoke(gateway: Run, shared_valkey: ValkeyServer) -> None:
    """A user's sessions as JSON and as a table; one is ended, then all, with an audit line each; one of nobody is 1."""

    async def log_in(ledger: RedisLedger) -> None:
        await ledger.issue("42", FAMILY, "k", "192.0.2.0/24 [bold]phone")
        await ledger.issue("42", "f" * 24, "k", " laptop")

    _at(shared_valkey, log_in)
    listed = (gateway("list", "42", "-o", "json")).json
    assert listed["user"] == "42"
    assert {family["family"] for family in listed["families"]} == {FAMILY, "f" * 24}
    (phone,) = (family for family in listed["families"] if family["family"] == FAMILY)
    assert (phone["device"], phone["ipPrefix"], phone["generation"]) == ("[bold]phone", "192.0.2.0/24", 1)
    table = gateway("list", "42")
    assert (table.code, "[bold]phone" in table.out, "2 sessions" in table.out) == (0, True, True)
    one = gateway("revoke", "42", FAMILY, "-o", "json")
    assert (one.code, one.json) == (0, {"user": "42", "revoked": [FAMILY], "old_scheme": 0})
    told = [tuple(line[name] for name in ("action", "user", "family", "device", "network")) for line in one.trail]
    assert told == [("revoke", "42", FAMILY, "[bold]phone", "192.0.2.0/24")]
    nobody = gateway("revoke", "42", "e" * 24)
    assert (nobody.code, nobody.out) == (1, "")
    everything = gateway("revoke", "42")
    assert (everything.code, everything.out) == (0, "1 ended, and 0 of the old scheme\n")
    assert _at(shared_valkey, lambda ledger: ledger.families("42")).live == {}


def _at(server: ValkeyServer, work: Callable[[RedisLedger], Awaitable[Any]]) -> Any:
    """Do something with the ledger of a server."""

    async def main() -> Any:
        client = connect(server)
        try:
            return await work(RedisLedger(client, Policy()))
        finally:
            await client.aclose()

    return asyncio.run(main())


def test_revoke_ends_what_was_never_migrated(gateway: Run, plain: redis.Redis) -> None:
    """given sessions of the old scheme, when all of the user's are revoked, then those are ended too."""
    write_session(plain, "42", "old", int(time.time()))
    ran = gateway("revoke", "42", "-o", "json")
    assert (ran.json["revoked"], ran.json["old_scheme"]) == ([], 1)
    assert plain.keys("refresh_*") == []


def test_revoke_goes_on_past_a_key_of_another_type(
    gateway: Run, plain: redis.Redis, shared_valkey: ValkeyServer
) -> None:
    """given a set that names a hash, when all are revoked, then the rest is ended, and each has its audit line."""
    _at(shared_valkey, lambda ledger: ledger.issue("42", FAMILY, "k", " test"))
    old = write_session(plain, "42", "old", int(time.time()))
    plain.hset("refresh_family:another-type", "a", "b")
    plain.sadd("refresh_user:42", "another-type")
    ran = gateway("revoke", "42", "-o", "json")
    assert (ran.json["revoked"], ran.json["old_scheme"]) == ([FAMILY], 1)
    assert [line["family"] for line in ran.trail] == [FAMILY, name_of("old")]
    token = Mint(token_settings()).fingerprint(mark_of(old.digest))
    assert [(line["token_hash"], line["device"]) for line in ran.trail] == [("", "test"), (token, "Old/1.0")]


@pytest.mark.parametrize("family", ["", " ", "floor", FAMILY.upper(), FAMILY + "\n", "e" * 23])
def test_revoke_refuses_what_names_no_family(gateway: Run, shared_valkey: ValkeyServer, family: str) -> None:
    """An empty or misspelled name is 1 with the reason, and ends nothing: only a missing one means all."""
    _at(shared_valkey, lambda ledger: ledger.issue("42", FAMILY, "k", ""))
    ran = gateway("revoke", "42", family)
    assert (ran.code, ran.out, "24 lower-case hexadecimal digits" in ran.err) == (1, "", True)
    assert _at(shared_valkey, lambda ledger: ledger.families("42")).live.keys() == {FAMILY}


def test_rollout_dry_run_then_migration_then_clean_up(gateway: Run, plain: redis.Redis) -> None:
    """The dry run writes nothing and tells what the run does; each step is in the trail; then nothing old is left."""
    seed_legacy(plain, 30, int(time.time()), families=2)
    plain.set("refresh_token:" + "0" * 64, "{")
    before = dump(plain)
    dry = gateway("migrate", "--dry-run", "-o", "json", "--batch", "7")
    assert dump(plain) == before
    assert (dry.code, dry.trail) == (0, [])
    done = gateway("migrate", "-o", "json")
    assert done.json == dry.json | {"dry_run": False}
    assert (done.json["taken_over"], done.json["skipped"]) == (60, {"unreadable": 1})
    assert len(done.trail) == 61
    assert {line["action"] for line in done.trail} == {"migrate"}
    stats = (gateway("stats", "-o", "json")).json
    assert (stats["users"], stats["families"], stats["waiting"]) == (30, 60, 60)
    assert stats["old_scheme"] == {"tokens": 61, "families": 60, "users": 30}
    would = gateway("cleanup", "--dry-run")
    assert (would.code, "token: taken over" in would.out) == (0, True)
    assert len(plain.keys("refresh_*")) == 151  # type: ignore[arg-type]
    plain.delete("refresh_token:" + "0" * 64)
    cleaned = gateway("cleanup", "-o", "json")
    assert (cleaned.json["removed"], len(cleaned.trail)) == (180, 180)
    assert plain.keys("refresh_*") == []


def test_what_keeps_a_verb_from_working(gateway: Run, tmp_path: Path) -> None:
    """A bad configuration is 2; an embedded Redis, which nobody else reaches, or one that is not there, is 1."""
    bad, embedded, gone = (tmp_path / f"{name}.yaml" for name in ("bad", "embedded", "gone"))
    bad.write_text("tokenz: {}\n")
    embedded.write_text("redis: {url: embedded}\n")
    gone.write_text("redis: {url: 'redis://:hush-password@127.0.0.1:1/0'}\n")
    ran = [gateway("stats", config=config) for config in (bad, embedded, gone)]
    assert [each.code for each in ran] == [2, 1, 1]
    assert "did you mean tokens?" in ran[0].err
    assert "REDIS_URL" in ran[1].err
    assert "Redis does not answer (connection: scan" in ran[2].err
    assert all(each.out == "" for each in ran)


def test_audit_lines_and_the_bar_share_a_terminal(gateway: Run, plain: redis.Redis, tmp_path: Path) -> None:
    """given many sessions / when they are migrated on a terminal / then every audit line stands there whole, and the
    bar is not drawn again for each of them."""
    sessions = 1000
    seed_legacy(plain, sessions, int(time.time()))
    command = [sys.executable, "-m", "gateway", "tokens", "migrate", "--batch", "250", "--config"]
    ran = watched([*command, str(tmp_path / "config.yaml")], os.environ)
    assert ran.code == 0, ran.terminal[-500:]
    assert "taken over" in ran.out
    trail = [json.loads(line) for line in ran.lines if "Token audit" in line]
    assert len({line["family"] for line in trail}) == sessions
    assert "taking over" in ran.lines[-2]
    assert ran.redrawn < sessions / 5
