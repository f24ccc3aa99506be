"""Rotations a second: one gateway through HTTP, beside what is left when everything but the rotation is taken away.

The one idea: the same Valkey, the same script and the same number of families in flight for all, measured in turn. The
gateway (and each thing it is compared with) has one core, Valkey and the clients the other. A rate per CPU second of
the measured process does not suffer when the machine has other things to do.
"""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import sys
import tempfile
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.processes import cpu, output, pin, process
from bench.token_families import SECRET, seats
from bench.token_load import load
from tests.support.valkey import ValkeyServer, free_port

SECONDS: Final = 1.5
IN_FLIGHT: Final = 32
ROUNDS: Final = 5
_CORES: Final = sorted(os.sched_getaffinity(0))
MEASURED: Final = _CORES[:1]
OTHERS: Final = _CORES[1:2] or _CORES


@dataclass(frozen=True, slots=True)
class Figure:
    """One measurement."""

    rate: float
    """Rotations a second."""
    per_cpu: float
    """Rotations a CPU second of the measured process."""


Measurement = Callable[[], Awaitable[Figure]]


async def main() -> None:
    """Measure all in turn, round after round, and print the medians."""
    valkey = ValkeyServer()
    await valkey.start()
    pin(valkey.pid, OTHERS)
    try:
        with tempfile.TemporaryDirectory(prefix="gwbench") as name:
            port, command = _gateway(Path(name), valkey.url)
            async with process(*command, cores=MEASURED, stdout=asyncio.subprocess.DEVNULL) as gateway:
                await _until_it_rotates(port, valkey.port)
                await _compare(
                    {
                        "raw EVALSHA, one at a time": _bare("raw", valkey.port, 1),
                        f"raw EVALSHA, {IN_FLIGHT} in flight": _bare("raw", valkey.port, IN_FLIGHT),
                        "bare loop: verify, script, sign": _bare("bare", valkey.port, 1),
                        f"the same, {IN_FLIGHT} in flight": _bare("bare", valkey.port, IN_FLIGHT),
                        f"by PyJWT, {IN_FLIGHT} in flight": _bare("pyjwt", valkey.port, IN_FLIGHT),
                        f"by our Redis client, {IN_FLIGHT} in flight": _bare("ledger", valkey.port, IN_FLIGHT),
                        "gateway, through HTTP": _http(gateway.pid, port, valkey.port),
                    }
                )
    finally:
        await valkey.stop()


async def _compare(measurements: dict[str, Measurement]) -> None:
    figures: dict[str, list[Figure]] = {name: [] for name in measurements}
    for number in range(ROUNDS + 1):  # the first round warms up
        for name, measure in measurements.items():
            figure = await measure()
            if number:
                figures[name].append(figure)
    print(f"tokens: rotations; {IN_FLIGHT} families, {SECONDS} s each, one core, median of {ROUNDS} rounds")
    gateway = _median(figures["gateway, through HTTP"])
    for name, values in figures.items():
        median = _median(values)
        shares = f"gateway ÷ it = {gateway.rate / median.rate:.2f}, a CPU second {gateway.per_cpu / median.per_cpu:.2f}"
        print(f"  {name:<32} {median.rate:7.0f}/s {median.per_cpu:7.0f}/CPU s   {shares}")


def _median(figures: list[Figure]) -> Figure:
    return Figure(
        statistics.median(figure.rate for figure in figures), statistics.median(figure.per_cpu for figure in figures)
    )


def _bare(form: str, port: int, in_flight: int) -> Measurement:
    async def measure() -> Figure:
        words = ("-m", "bench.token_bare", form, str(port), str(SECONDS), str(in_flight))
        rate = json.loads(await output(sys.executable, *words, cores=MEASURED))
        return Figure(rate["rotations"] / rate["wall"], rate["rotations"] / rate["cpu"])

    return measure


def _http(pid: int, port: int, redis_port: int) -> Measurement:
    async def measure() -> Figure:
        tokens = "\n".join(seat.token for seat in await seats(redis_port, IN_FLIGHT))
        before = cpu(pid)
        words = ("-m", "bench.token_load", str(port), str(SECONDS))
        rotations, seconds = (await output(sys.executable, *words, text=tokens, cores=OTHERS)).split()
        return Figure(int(rotations) / float(seconds), int(rotations) / (cpu(pid) - before))

    return measure


def _gateway(folder: Path, redis_url: str) -> tuple[int, list[str]]:
    port = free_port()
    config = {
        "ingress": {"listen": f"127.0.0.1:{port}", "backend": "http://127.0.0.1:9"},
        "admin": {"listen": "127.0.0.1:0"},
        "redis": {"url": redis_url},
        "tokens": {"enabled": True, "keys": [{"kid": "main", "secret": SECRET}]},
        "shutdown": {"wait": "0s", "timeout": "1s"},
    }
    path = folder / "gateway.yaml"
    path.write_text(json.dumps(config))
    return port, [sys.executable, "-m", "gateway", "run", "--config", str(path)]


async def _until_it_rotates(port: int, redis_port: int) -> None:
    token = (await seats(redis_port, 1))[0].token.encode()
    async with asyncio.timeout(20):
        while True:
            try:
                await load(port, 0, [token])
            except (OSError, RuntimeError):  # not listening yet, or Redis is not known to be there
                await asyncio.sleep(0.05)
            else:
                return
