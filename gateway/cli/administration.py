"""What the verbs of `gateway tokens` do: load, connect, do it, tell it.

The one idea: the answer goes to stdout, as tables or as JSON; everything else (the bar, the audit trail, what went
wrong) goes to stderr, so that either can be piped away.
"""

from __future__ import annotations

import json
import logging
import re
import sys
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TextIO

from rich.console import Console
from rich.table import Table
from rich.text import Text

from gateway.cli.bar import screen
from gateway.cli.config import INVALID, report
from gateway.cli.options import Output
from gateway.cli.run import on_loop
from gateway.config import ConfigInvalid, FileSettings, load, locate
from gateway.errors import StartError, StoreUnavailable
from gateway.events import Emit, ignore
from gateway.observability import logs
from gateway.observability.journal import Journal
from gateway.redis_client.client import RedisClient
from gateway.redis_client.settings import EMBEDDED
from gateway.tokens import bulk, statistics
from gateway.tokens.claims import Mint
from gateway.tokens.cleanup import Cleanup
from gateway.tokens.events import audit_of
from gateway.tokens.keys import KeyProblem, Keys
from gateway.tokens.legacy_store import LegacyStore, nameless
from gateway.tokens.migrate import Migration
from gateway.tokens.redis_ledger import RedisLedger
from gateway.tokens.rotation import Policy
from gateway.tokens.sessions import described
from gateway.tokens.settings import TokenSettings

DONE: Final = 0
FAILED: Final = 1
_WIDE: Final = 250
_FAMILY: Final = re.compile(r"[0-9a-f]{24}", re.ASCII)
PATIENCE: Final = 10.0
"""Seconds that a command may take at least: a job that goes through everything can wait."""


@dataclass(frozen=True, slots=True)
class Office:
    """What a verb works with."""

    prefix: str
    policy: Policy
    ledger: RedisLedger
    store: LegacyStore
    emit: Emit
    progress: bulk.Progress


Work = Callable[[Office], Awaitable[int]]


def show(user: str, config: Path | None, output: Output, environ: Mapping[str, str]) -> int:
    """List a user's families; returns the exit code."""

    async def work(office: Office) -> int:
        live = (await office.ledger.families(user)).live
        newest_first = sorted(live.items(), key=lambda item: (-item[1].rotated_ms, item[0]))
        families = [
            {**described(name, record), "generation": record.generation, "legacy": record.generation == 0}
            for name, record in newest_first
        ]
        for family in families:
            del family["current"]
        _tell(output, {"user": user, "families": families}, lambda: _rows(families, f"{len(families)} sessions"))
        return DONE

    return _run(config, environ, output, work)


def revoke(user: str, family: str | None, config: Path | None, output: Output, environ: Mapping[str, str]) -> int:
    """End one family of a user or all; returns the exit code.

    A family that is not named as one ends nothing: an empty argument (a variable that was not set) is not "all".
    """
    if family is not None and not _FAMILY.fullmatch(family):
        print("FAMILY is 24 lower-case hexadecimal digits, as `gateway tokens list` shows it", file=sys.stderr)
        return FAILED

    async def work(office: Office) -> int:
        live = (await office.ledger.families(user)).live
        if family is None:
            closed: Sequence[str] = await office.ledger.close_all(user, "revoked")
        elif await office.ledger.close(user, family, "revoked"):
            closed = [family]
        else:
            print(f"{user} has no family {family}", file=sys.stderr)
            return FAILED
        for name in closed:  # before the old scheme's: what ended is told, even if the next step fails
            note = live[name].device if name in live else ""
            office.emit(audit_of("revoke", "revoked by the operator", user, name, note))
        old = await office.store.end_all(user) if family is None else 0
        text = f"{len(closed)} ended, and {old} of the old scheme"
        _tell(output, {"user": user, "revoked": list(closed), "old_scheme": old}, lambda: print(text))
        return DONE

    return _run(config, environ, output, work)


def stats(config: Path | None, output: Output, batch: int, environ: Mapping[str, str]) -> int:
    """Count what there is; returns the exit code."""

    async def work(office: Office) -> int:
        found = await statistics.count(office.ledger, office.store, office.prefix, batch, office.progress)
        _tell(output, found.as_json(), lambda: _tree(found.as_json()))
        return DONE

    return _run(config, environ, output, work)


def migrate(dry_run: bool, config: Path | None, output: Output, batch: int, environ: Mapping[str, str]) -> int:
    """Take the old scheme over; returns the exit code."""

    async def work(office: Office) -> int:
        migration = Migration(office.store, office.policy, office.emit, office.progress)
        done = (await migration.run(dry_run=dry_run, batch=batch)).as_json()
        _tell(output, done, lambda: _tree(done))
        return DONE

    return _run(config, environ, output, work)


def cleanup(dry_run: bool, config: Path | None, output: Output, batch: int, environ: Mapping[str, str]) -> int:
    """Remove what is left of the old scheme; returns the exit code."""

    async def work(office: Office) -> int:
        job = Cleanup(office.store, office.policy, office.emit, office.progress)
        done = (await job.run(dry_run=dry_run, batch=batch)).as_json()
        _tell(output, done, lambda: _tree(done))
        return DONE

    return _run(config, environ, output, work)


def _run(config: Path | None, environ: Mapping[str, str], output: Output, work: Work) -> int:
    try:
        settings = load(locate(config, environ), environ).settings.file
    except ConfigInvalid as invalid:
        report(invalid.problems, sys.stderr)
        return INVALID
    with screen(output) as shown, _audit_trail(settings, shown.trail) as emit:
        try:
            return on_loop(_at_work(settings, emit, shown.progress, work))
        except StartError as error:
            print(error, file=sys.stderr)
        except StoreUnavailable as away:
            print(f"Redis does not answer ({away}); what was done is done, run it again", file=sys.stderr)
    return FAILED


async def _at_work(settings: FileSettings, emit: Emit, progress: bulk.Progress, work: Work) -> int:
    redis = settings.redis
    if redis.url == EMBEDDED:
        raise StartError("redis.url is embedded, which only its gateway reaches; name a shared Redis (REDIS_URL)")
    patient = redis.model_copy(update={"command_timeout": max(PATIENCE, redis.command_timeout)})
    client = RedisClient.connect(patient, redis.url, emit=ignore)
    policy, prefix = settings.tokens.policy, redis.key_prefix
    ledger = RedisLedger(client, policy, prefix)
    store = LegacyStore(client, policy, prefix, emit, _token_names(settings.tokens))
    try:
        return await work(Office(prefix, policy, ledger, store, emit, progress))
    finally:
        await client.aclose()


def _token_names(settings: TokenSettings) -> Callable[[str], str]:
    """Return what the gateway calls tokens in its trail; without the keys they have no names."""
    try:
        keys = Keys(settings)
    except KeyProblem:  # keys are checked only while tokens are on
        return nameless
    return Mint(settings, keys).fingerprint if keys.ring.refresh else nameless


@contextmanager
def _audit_trail(settings: FileSettings, stream: TextIO) -> Iterator[Emit]:
    handler = logs.configure(settings.log, stream)
    try:
        yield Journal()
    finally:
        logging.getLogger().removeHandler(handler)


def _tell(output: Output, document: dict[str, Any], as_text: Callable[[], object]) -> None:
    if output is Output.json:
        json.dump(document, sys.stdout, indent=2)
        print()
    else:
        as_text()


def _rows(rows: Iterable[dict[str, Any]], caption: str) -> None:
    table = Table(caption=caption, caption_justify="left")
    for index, row in enumerate(rows):
        if index == 0:
            for name in row:
                table.add_column(name, overflow="fold")
        table.add_row(*(Text(str(value)) for value in row.values()))
    _print(table)


def _tree(document: dict[str, Any]) -> None:
    """Print numbers, one a line, those of a group under its name."""
    table = Table(show_header=False, box=None, pad_edge=False)
    for name, value in _flat(document, ""):
        table.add_row(Text(name), str(value))
    _print(table)


def _print(table: Table) -> None:
    """Print a table; what is piped away is not folded to the width of a screen."""
    Console(width=None if sys.stdout.isatty() else _WIDE).print(table)


def _flat(document: dict[str, Any], above: str) -> Iterator[tuple[str, Any]]:
    for name, value in document.items():
        label = f"{above}{name}".replace("_", " ")
        if isinstance(value, dict):
            yield from _flat(value, f"{label}: ")
        else:
            yield label, value
