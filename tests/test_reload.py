"""Reading the configuration again while serving: what occasions it, what is put in force, and what a mistake leaves."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from gateway import reload as module
from gateway.app import Gateway
from gateway.config import GatewaySettings, load
from gateway.observability.metrics import Metrics
from gateway.reload import Reload, waits_for_restart

FIRST, SECOND = "hush-first-secret-of-at-least-32-bytes", "hush-second-secret-of-at-least-32-bytes"
CONFIG = "tokens:\n  enabled: true\n  keys:\n    - {kid: main, secret_file: keys/secret}\n"
NEVER = 3600.0
SOON = 0.02


class Place:
    """A folder with a configuration whose secret is in a file, and what a reload made of it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.file = folder / "config.yaml"
        self.secret = folder / "keys" / "secret"
        self.secret.parent.mkdir()
        self.write(self.file, CONFIG)
        self.write(self.secret, FIRST)
        self.metrics = Metrics()
        self.applied: list[GatewaySettings] = []
        self._changed = asyncio.Event()

    def write(self, path: Path, text: str) -> None:
        """Replace a file in one step, as editors and Kubernetes do."""
        new = path.with_name("new")
        new.write_text(text)
        new.replace(path)

    def prepare(self, settings: GatewaySettings) -> Callable[[], None]:
        def put_in_force() -> None:
            self.applied.append(settings)
            self._changed.set()

        return put_in_force

    @asynccontextmanager
    async def reloading(self, seconds: float, **changes: Any) -> AsyncIterator[Reload]:
        reload = Reload(load(self.file, {}), changes.get("prepare", self.prepare), self.metrics, seconds)
        async with asyncio.TaskGroup() as group:
            task = group.create_task(reload.run())
            try:
                yield reload
            finally:
                task.cancel()

    async def new_secret(self) -> str:
        """Wait for the next reload that was applied, and return the secret it brought."""
        async with asyncio.timeout(10):
            await self._changed.wait()
        self._changed.clear()
        secret = self.applied[-1].file.tokens.keys[0].secret
        assert secret is not None
        return secret.get_secret_value()

    def count(self, result: str) -> float:
        return float(self.metrics.registry.get_sample_value("gateway_config_reloads_total", {"result": result}) or 0)

    def successful(self) -> float | None:
        return self.metrics.registry.get_sample_value("gateway_config_last_reload_successful")

    async def counted(self, result: str, times: float) -> None:
        """Wait until so many reloads had a result."""
        async with asyncio.timeout(10):
            while self.count(result) < times:
                await asyncio.sleep(0.005)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


@pytest.fixture
def no_reports(monkeypatch: pytest.MonkeyPatch) -> None:
    """Folders that never report a change, as those of some mounts."""

    async def silent(*folders: Path, **options: Any) -> AsyncIterator[Any]:
        await asyncio.Event().wait()
        yield

    monkeypatch.setattr(module, "awatch", silent)


async def _watching(place: Place) -> None:
    """Return once the folders are watched: a change is then seen without the time passing."""
    async with asyncio.timeout(10):
        while not place.applied:
            (place.folder / "keys" / "probe").touch()
            place.write(place.secret, FIRST + "\n")
            with suppress(TimeoutError):
                async with asyncio.timeout(0.2):
                    await place.new_secret()


async def test_a_report_of_the_folder_is_enough(place: Place) -> None:
    """A secret file that is replaced is read again without the time passing."""
    async with place.reloading(NEVER):
        await _watching(place)
        place.write(place.secret, SECOND)
        assert (await place.new_secret() == SECOND) is True


async def test_a_link_beside_the_file_is_enough(place: Place) -> None:
    """The way Kubernetes swaps a Secret: `..data` is renamed over, and no path that is configured is touched."""
    place.secret.unlink()
    _mount(place.secret.parent, "1", FIRST)
    place.secret.symlink_to("..data/secret")
    async with place.reloading(NEVER):
        await asyncio.sleep(0)
        async with asyncio.timeout(10):
            number = 1
            while not place.applied:  # until the folder is watched
                number += 1
                _mount(place.secret.parent, str(number), SECOND)
                with suppress(TimeoutError):
                    async with asyncio.timeout(0.2):
                        assert (await place.new_secret() == SECOND) is True


def _mount(folder: Path, number: str, secret: str) -> None:
    (folder / f"..{number}").mkdir()
    (folder / f"..{number}" / "secret").write_text(secret)
    os.symlink(f"..{number}", folder / "..data_tmp")
    (folder / "..data_tmp").replace(folder / "..data")


@pytest.mark.usefixtures("no_reports")
async def test_without_reports_the_content_is_looked_at(place: Place) -> None:
    """A mount that reports nothing is read again when its content has changed, and only then."""
    async with place.reloading(SOON):
        place.secret.touch()
        place.write(place.secret, FIRST)
        place.write(place.secret, SECOND)
        assert (await place.new_secret() == SECOND) is True
        assert place.count("ok") == 1


async def test_folders_that_cannot_be_watched(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """No watches left in the system: the content is still looked at."""

    async def exhausted(*folders: Path, **options: Any) -> AsyncIterator[Any]:
        raise OSError(28, "No space left on device")
        yield

    monkeypatch.setattr(module, "awatch", exhausted)
    async with place.reloading(SOON):
        place.write(place.secret, SECOND)
        assert (await place.new_secret() == SECOND) is True


@pytest.mark.usefixtures("no_reports")
async def test_asked_for_it_is_read_again_unchanged(place: Place) -> None:
    """SIGHUP reads everything again, at once, changed or not."""
    async with place.reloading(NEVER) as reload:
        reload.ask()
        assert (await place.new_secret() == FIRST) is True
        assert (place.count("ok"), place.successful()) == (1, 1)


@pytest.mark.usefixtures("no_reports")
async def test_a_mistake_changes_nothing_and_is_told_once(place: Place) -> None:
    """A weak secret, looked at many times: one failed reload, nothing applied; mended, it is in force."""
    async with place.reloading(SOON) as reload:
        place.write(place.secret, "hush-short")
        await place.counted("failed", 1)
        assert (place.applied, place.successful()) == ([], 0)
        for _ in range(3):
            reload._look.set()
            await asyncio.sleep(SOON)
        assert place.count("failed") == 1
        place.write(place.secret, "hush-short-too")
        await place.counted("failed", 2)
        place.write(place.secret, SECOND)
        assert (await place.new_secret() == SECOND) is True
        await place.counted("ok", 1)
        assert place.successful() == 1


@pytest.mark.usefixtures("no_reports")
async def test_a_file_that_is_late_is_found(place: Place) -> None:
    """A configuration that names a file before it is there takes effect when the file comes."""
    async with place.reloading(SOON):
        place.write(place.file, CONFIG.replace("keys/secret", "late"))
        await place.counted("failed", 1)
        place.write(place.folder / "late", SECOND)
        assert (await place.new_secret() == SECOND) is True


@pytest.mark.usefixtures("no_reports")
async def test_a_file_named_later_is_looked_after(place: Place) -> None:
    """After a reload the files of the new configuration count, wherever they are."""
    (place.folder / "other").mkdir()
    other = place.folder / "other" / "secret"
    place.write(other, FIRST)
    async with place.reloading(SOON):
        place.write(place.file, CONFIG.replace("keys/secret", "other/secret"))
        assert (await place.new_secret() == FIRST) is True
        place.write(other, SECOND)
        assert (await place.new_secret() == SECOND) is True


@pytest.mark.usefixtures("no_reports")
async def test_what_goes_wrong_unforeseen_ends_nothing(place: Place) -> None:
    """Whatever is raised while a reload is put in force is a failed reload, and the next one may succeed."""
    failures = [RuntimeError("hush-detail")]

    def prepare(settings: GatewaySettings) -> Callable[[], None]:
        if failures:
            raise failures.pop()
        return place.prepare(settings)

    async with place.reloading(SOON, prepare=prepare):
        place.write(place.secret, SECOND)
        assert (await place.new_secret() == SECOND) is True
        assert (place.count("failed"), place.count("ok")) == (1, 1)


def test_keys_wait_for_nothing_and_all_else_is_named(place: Place) -> None:
    """Sections that differ by more than keys are named in the order of the file."""
    place.write(place.folder / "other", SECOND)
    running = load(place.file, {}).settings
    place.write(place.file, CONFIG.replace("keys/secret", "other"))
    assert waits_for_restart(running, load(place.file, {}).settings) == []
    place.write(place.file, CONFIG + "  issuer: other\nlog: {level: debug}\n")
    assert waits_for_restart(running, load(place.file, {}).settings) == ["tokens", "log"]


async def test_keys_for_another_mode_wait_with_it(place: Place) -> None:
    """A sound file for `mode: guard` without access keys leaves a gateway that issues its own; tokens are named."""
    loaded = load(place.file, {})
    gateway = Gateway(loaded)
    try:
        assert gateway._keys is not None
        before = gateway._keys.ring
        guard = f"tokens:\n  enabled: true\n  mode: guard\n  keys: []\n  refresh_secret: {SECOND}\n"
        place.write(place.file, guard)
        found = load(place.file, {}).settings
        gateway._prepare_reload(found)()
        assert gateway._keys.ring is before
        assert waits_for_restart(loaded.settings, found) == ["tokens"]
        place.write(place.file, CONFIG)
        place.write(place.secret, SECOND)
        gateway._prepare_reload(load(place.file, {}).settings)()
        assert gateway._keys.ring is not before
    finally:
        await gateway.aclose()
