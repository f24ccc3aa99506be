"""The demo from its start to its end, as a newcomer meets it: a process, its output, and a shell."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import re
import shutil
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from aiohttp import ClientSession, web
from aiohttp.test_utils import TestServer

from tests.support import leaks

SECONDS = 30.0
_numbers = itertools.count(1)


@dataclass
class Demo:
    """A running demo and its tour, line by line."""

    process: asyncio.subprocess.Process
    tour: list[str]
    folder: Path

    @property
    def commands(self) -> list[str]:
        return [line for line in self.tour if line.startswith("curl ")]

    @property
    def ingress(self) -> str:
        found = re.search(r"clients ──▶ (\S+)", "\n".join(self.tour))
        assert found is not None
        return found[1]

    async def paste(self, number: int) -> str:
        """Return what a shell prints for the tour's line `number`."""
        shell = await asyncio.create_subprocess_exec(
            "sh", "-c", self.commands[number - 1], stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
        )
        async with asyncio.timeout(SECONDS):
            printed, _ = await shell.communicate()
        return printed.decode()

    async def end(self, number: signal.Signals) -> int:
        """Signal the whole group, as a terminal does; return the exit code."""
        os.killpg(self.process.pid, number)
        async with asyncio.timeout(SECONDS):
            return await self.process.wait()

    def left_over(self) -> list[str]:
        """Return what stayed: files in the temporary folder, and whether a process of the group did."""
        files = [str(path) for path in self.folder.iterdir()]
        try:
            os.killpg(self.process.pid, 0)
        except ProcessLookupError:
            return files
        return [*files, "a process"]


@asynccontextmanager
async def demo(folder: Path, *arguments: str, **environ: str) -> AsyncIterator[Demo]:
    """Run `gateway demo`; its log lines go where they are searched for secrets, its tour is not one."""
    log = leaks.FOLDER / f"demo-{os.getpid()}-{next(_numbers)}.log"
    with log.open("wb") as stderr:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "gateway", "demo", *arguments,
            stdout=asyncio.subprocess.PIPE, stderr=stderr, start_new_session=True,
            env={"PATH": os.environ["PATH"], "TMPDIR": str(folder), **environ},
        )  # fmt: skip
    running = Demo(process, [], folder)
    try:
        assert process.stdout is not None
        async with asyncio.timeout(SECONDS):
            while len(running.commands) < 5 and (line := await process.stdout.readline()):
                running.tour.append(line.decode().rstrip("\n"))
        yield running
    finally:
        if process.returncode is None:
            os.killpg(process.pid, signal.SIGKILL)
        await process.communicate()


@pytest.mark.skipif(shutil.which("curl") is None, reason="the tour is for curl")
async def test_every_line_of_the_tour_shows_what_it_says(tmp_path: Path) -> None:
    """Each line, pasted by itself, shows its job at work; Ctrl-C then leaves neither process nor file."""
    async with demo(tmp_path) as running:
        login = json.loads(await running.paste(1))
        assert login["user"]["id"] == "u-1"
        assert {"accessToken", "refreshToken", "expiresIn"} <= login.keys()
        refreshed = json.loads(await running.paste(2))
        assert {"accessToken", "refreshToken"} <= refreshed.keys()
        profile = json.loads(await running.paste(3))
        assert profile["user"]["sub"] == "u-1"
        assert profile["received"]["X-Forwarded-For"] == "127.0.0.1"
        throttled = (await running.paste(4)).splitlines()
        assert [line.split()[0] for line in throttled[:-1]] == ["200"] * 15
        report = json.loads(throttled[-1])
        assert (report["calls"], report["busiest_window"]) == (15, 10)
        metrics = await running.paste(5)
        assert re.search(r"^gateway_throttle_calls_total\{.*whmcs.*\} 15", metrics, re.MULTILINE)
        assert re.search(r"^gateway_redis_up 1", metrics, re.MULTILINE)
        assert re.search(r"^gateway_token_operations_total\{.*refresh.*\} 1", metrics, re.MULTILINE)
        assert await running.end(signal.SIGINT) == 0
        assert running.left_over() == []


async def test_maintenance_is_switched_by_its_variable(tmp_path: Path, client: ClientSession) -> None:
    """With the operator's variable set, logins get the message and everything else goes on."""
    message = "Back at noon."
    environ = {"AUTH_MAINTENANCE_MODE": "true", "AUTH_MAINTENANCE_MESSAGE": message}
    async with demo(tmp_path, **environ) as running:
        async with client.post(f"{running.ingress}/api/auth/login", json={}) as response:
            assert response.status == 503
            assert (await response.json(content_type=None))["detail"] == message
        async with client.get(f"{running.ingress}/api/profile") as response:
            assert response.status == 200
        assert await running.end(signal.SIGTERM) == 0
        assert running.left_over() == []


async def test_an_own_backend_is_put_behind_the_gateway(tmp_path: Path, client: ClientSession) -> None:
    """The address given by hand is where clients arrive, and no demo backend runs."""

    async def hello(_: web.Request) -> web.Response:
        return web.Response(text="mine")

    application = web.Application()
    application.router.add_get("/", hello)
    async with TestServer(application) as server:
        address = str(server.make_url("")).rstrip("/")
        async with demo(tmp_path, "--backend", address) as running:
            assert address in "\n".join(running.tour)
            async with client.get(f"{running.ingress}/") as response:
                assert await response.text() == "mine"
            assert await running.end(signal.SIGINT) == 0
            assert running.left_over() == []


async def test_a_wrong_variable_ends_with_2(tmp_path: Path) -> None:
    """A value that is none starts nothing, and nothing stays."""
    async with demo(tmp_path, WHMCS_QUEUE_CONCURRENCY="many") as running:
        assert running.tour == []
        assert await running.process.wait() == 2
        assert running.left_over() == []


@pytest.mark.skipif(shutil.which("curl") is None, reason="the guide is for curl")
@pytest.mark.parametrize(("vendor", "told"), [("salesforce", "access_token"), ("whmcs", "totalresults")])
async def test_a_simulator_alone_tells_how_to_drive_it(tmp_path: Path, vendor: str, told: str) -> None:
    """Its first line, pasted, shows the vendor at work; no gateway runs, and Ctrl-C leaves nothing."""
    async with demo(tmp_path, "--only", vendor) as running:
        assert told in await running.paste(1)
        if vendor == "salesforce":
            assert json.loads(await running.paste(2))["totalSize"] == 12
        assert await running.end(signal.SIGINT) == 0
        assert running.left_over() == []


async def test_a_simulator_alone_has_no_backend(tmp_path: Path) -> None:
    """Asking for both is a mistake of the command line."""
    async with demo(tmp_path, "--only", "whmcs", "--backend", "http://127.0.0.1:1") as running:
        assert running.tour == []
        assert await running.process.wait() == 2
