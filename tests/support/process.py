"""A gateway in a process of its own, as an operator would run it.

The one idea: every address is port 0, and the real ones are read from the gateway's own log lines, so that suites may
run side by side and nothing is guessed.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Mapping
from itertools import count
from pathlib import Path
from typing import Any

import yaml

from tests.support import leaks

START_SECONDS = 20.0
_numbers = count(1)


class GatewayProcess:
    """`python -m gateway run` with a configuration made for one test."""

    def __init__(
        self,
        folder: Path,
        config: Mapping[str, Any],
        policies: Mapping[str, Mapping[str, Any]] | None = None,
        environ: Mapping[str, str] | None = None,
        module: str = "gateway",
    ) -> None:
        self.folder = folder
        self.lines: list[dict[str, Any]] = []
        self.addresses: dict[str, str] = {}
        self.ended = False
        self._config = {
            **config,
            "ingress": {"listen": "127.0.0.1:0", **config.get("ingress", {})},
            "admin": {"listen": "127.0.0.1:0", **config.get("admin", {})},
            "shutdown": {"wait": "0s", **config.get("shutdown", {})},
        }
        self._policies = policies or {}
        self._module = module
        self._environ = {"PATH": os.environ["PATH"], "PYTHONUNBUFFERED": "1", **(environ or {})}
        self._log = leaks.FOLDER / f"gateway-{os.getpid()}-{next(_numbers)}.log"
        self._process: asyncio.subprocess.Process | None = None
        self._changed = asyncio.Condition()
        self._reader: asyncio.Task[None] | None = None

    async def __aenter__(self) -> GatewayProcess:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def url(self, name: str = "ingress") -> str:
        return f"http://{self.addresses[name]}"

    async def start(self) -> None:
        """Start and wait until the last door is bound and the gateway is ready."""
        policies = self.folder / "policies"
        policies.mkdir(parents=True, exist_ok=True)
        for name, policy in self._policies.items():
            (policies / f"{name}.yaml").write_text(
                yaml.safe_dump({"upstream": name, "listen": "127.0.0.1:0", **policy})
            )
        path = self.folder / "config.yaml"
        path.write_text(yaml.safe_dump({**self._config, "policies": "policies"}))
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", self._module, "run", "--config", str(path),
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT, env=self._environ, limit=2**20,
        )  # fmt: skip
        self._reader = asyncio.create_task(self._read())
        try:
            await self.logged("Ready", START_SECONDS)
        except BaseException:
            await self.stop()
            raise

    async def logged(self, event: str, seconds: float, times: int = 1) -> list[dict[str, Any]]:
        """Return the lines of an event once there are so many; fails when the process ends before."""

        def found() -> list[dict[str, Any]]:
            return [line for line in self.lines if line.get("event") == event]

        def settled() -> bool:
            return len(found()) >= times or self.ended

        async with asyncio.timeout(seconds), self._changed:
            await self._changed.wait_for(settled)
        assert len(found()) >= times, f"the gateway ended without logging {event!r}: {self.lines[-5:]}"
        return found()

    async def signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    async def wait(self, seconds: float = 40.0) -> int:
        """Return the exit code once the process has ended."""
        assert self._process is not None
        async with asyncio.timeout(seconds):
            return await self._process.wait()

    async def stop(self) -> int:
        """End it with SIGINT, which skips the waiting; SIGKILL when that takes too long."""
        assert self._process is not None
        if self._process.returncode is None:
            self._process.send_signal(signal.SIGINT)
            try:
                await self.wait()
            except TimeoutError:
                self._process.kill()
                await self._process.wait()
        if self._reader is not None:
            await self._reader
        assert self._process.returncode is not None
        return self._process.returncode

    def rss(self) -> int:
        """Return the resident bytes of the process."""
        return int(Path(f"/proc/{self.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    async def _read(self) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        with self._log.open("ab") as log:
            async for raw in self._process.stdout:
                log.write(raw)
                log.flush()
                try:
                    line = json.loads(raw)
                except ValueError:
                    line = {"event": raw.decode("utf-8", "replace").rstrip()}
                if line.get("event") == "Listening":
                    self.addresses[line["name"]] = line["address"]
                async with self._changed:
                    self.lines.append(line)
                    self._changed.notify_all()
        self.ended = True
        async with self._changed:
            self._changed.notify_all()
