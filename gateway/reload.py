"""Reading the configuration again, while the gateway serves.

The one idea: what is in force gives way only to a whole configuration that is sound. Files count by their content. A
folder's report, SIGHUP or the time that has passed are only occasions to look: a mounted Secret changes by a symbolic
link beside it (`..data`), and some mounts (`subPath`, network file systems) never report anything.

In force at once are the keys of the tokens, the limits of the policies, and the secrets of logins to vendors. What
else has changed is named, and waits for a restart.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import structlog
from watchfiles import awatch

from gateway.config import ConfigInvalid, FileSettings, GatewaySettings, Loaded, Problem
from gateway.config.document import digest
from gateway.observability.metrics import Metrics

LOOK_SECONDS: Final = 30.0
_AT_ONCE: Final[dict[str, Any]] = {"keys": (), "refresh_secret": None, "refresh_secrets": ()}
"""Keys of `tokens:` that a reload puts in force, with what stands for them when the rest is compared."""

log = structlog.stdlib.get_logger("gateway.config")


class Reload:
    """Looks after the files that a configuration was read from.

    Args:
        loaded: what the gateway was started with.
        prepare: makes what can be changed, in another thread, since reading a key may take long; what it returns is
            called on the event loop and puts all of it in force.
        metrics: where the outcomes are counted.
        seconds: how often files are looked at without an occasion.
    """

    def __init__(
        self,
        loaded: Loaded,
        prepare: Callable[[GatewaySettings], Callable[[], None]],
        metrics: Metrics,
        seconds: float = LOOK_SECONDS,
    ) -> None:
        self._running = loaded.settings
        self._loaded = loaded
        self._seen: Mapping[Path, bytes] = loaded.sources
        self._prepare = prepare
        self._metrics = metrics
        self._seconds = seconds
        self._look = asyncio.Event()
        self._asked = False
        self._told: tuple[Problem, ...] = ()
        metrics.config_last_reload_successful.set(1)

    def ask(self) -> None:
        """Read everything again now, changed or not: what SIGHUP does."""
        self._asked = True
        self._look.set()

    async def run(self) -> None:
        """Look after the files until cancelled."""
        async with asyncio.TaskGroup() as group:
            while True:
                folders = self._folders()
                watching = group.create_task(self._watch(folders))
                self._look.set()  # for what has changed before anybody watched
                while folders == self._folders():
                    with suppress(TimeoutError):
                        async with asyncio.timeout(self._seconds):
                            await self._look.wait()
                    self._look.clear()
                    await self._when_changed()
                watching.cancel()

    def _folders(self) -> frozenset[Path]:
        return frozenset(path.parent for path in self._loaded.sources)

    async def _watch(self, folders: Iterable[Path]) -> None:
        """Look whenever something changes in a folder, whatever its name: it may be a link on the way to a file."""
        try:
            async for _ in awatch(*folders, watch_filter=None, recursive=False):
                self._look.set()
        except (OSError, RuntimeError) as error:  # no inotify left, or a folder that is gone
            log.warning("Files are not watched", reason=str(error), looked_at_every=self._seconds)

    async def _when_changed(self) -> None:
        """Reload when asked, when a content is another one, or when the last time failed, for whatever is mended."""
        now = await asyncio.to_thread(_digests, self._loaded.sources)
        if not (self._asked or self._told or now != self._seen):
            return
        if self._asked or now != self._seen:
            self._told = ()
        self._asked, self._seen = False, now
        try:
            loaded, put_in_force = await asyncio.to_thread(self._read)
            put_in_force()
        except ConfigInvalid as invalid:
            self._failed(invalid.problems)
        except Exception as error:  # the border: nothing about a reload may end the gateway
            self._failed((Problem("", 0, 0, "", f"unexpected: {type(error).__name__}"),))
        else:
            self._done(loaded)

    def _read(self) -> tuple[Loaded, Callable[[], None]]:
        loaded = self._loaded.again()
        return loaded, self._prepare(loaded.settings)

    def _done(self, loaded: Loaded) -> None:
        self._loaded, self._seen, self._told = loaded, loaded.sources, ()
        self._metrics.config_last_reload_successful.set(1)
        self._metrics.config_reloads_total.labels("ok").inc()
        waiting = waits_for_restart(self._running, loaded.settings)
        tell = log.warning if waiting else log.info
        tell("Configuration reloaded", waits_for_restart=waiting)

    def _failed(self, problems: tuple[Problem, ...]) -> None:
        if problems == self._told:
            return
        self._told = problems
        self._metrics.config_last_reload_successful.set(0)
        self._metrics.config_reloads_total.labels("failed").inc()
        for problem in problems:
            place = f"{problem.file}:{problem.line}:{problem.column}" if problem.line else problem.file
            log.error("Configuration not reloaded, the one before stays", file=place, key=problem.key, why=problem.text)


def waits_for_restart(running: GatewaySettings, found: GatewaySettings) -> list[str]:
    """Return the sections that differ between two configurations by more than what a reload puts in force."""
    before, after = _rest(running.file), _rest(found.file)
    names = [name for name in FileSettings.model_fields if getattr(before, name) != getattr(after, name)]
    same = [policy.lasting for policy in running.policies] == [policy.lasting for policy in found.policies]
    return names if same else list(dict.fromkeys([*names, "policies"]))


def _rest(file: FileSettings) -> FileSettings:
    return file.model_copy(update={"tokens": file.tokens.model_copy(update=_AT_ONCE)})


def _digests(paths: Iterable[Path]) -> dict[Path, bytes]:
    found = {}
    for path in paths:
        try:
            found[path] = digest(path.read_bytes())
        except OSError:  # gone, or not to be read: other than it was
            found[path] = b""
    return found
