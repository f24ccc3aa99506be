"""CPU a request: the gateway beside HAProxy, nginx, Caddy and a bare aiohttp proxy, with the same load in turn.

The one idea: the proxy's own CPU time (user and system, its children included) divided by the requests it carried does
not depend on how fast the client is, and hardly on what else the machine does.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import statistics
import sys
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from bench.wire import load

REQUESTS = 10_000
CONNECTIONS = 32
ROUNDS = 5


@asynccontextmanager
async def _process(*command: str) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.terminate()
        await process.communicate()


async def _line(process: asyncio.subprocess.Process) -> str:
    assert process.stdout is not None
    async with asyncio.timeout(20):
        return (await process.stdout.readline()).decode().strip()


def _cpu(pid: int) -> float:
    """Return the CPU seconds of a process and its live children."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    own = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return own + sum(_cpu(int(child)) for child in children)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


async def _until_open(port: int) -> None:
    async with asyncio.timeout(20):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.05)
                continue
            writer.close()
            return


def _gateway(folder: Path, port: int, backend: int) -> list[str]:
    config = folder / "gateway.yaml"
    config.write_text(
        f"ingress: {{listen: '127.0.0.1:{port}', backend: 'http://127.0.0.1:{backend}'}}\n"
        "admin: {listen: '127.0.0.1:0'}\nshutdown: {wait: 0s, timeout: 1s}\n"
    )
    return [sys.executable, "-m", "gateway", "run", "--config", str(config)]


def _haproxy(folder: Path, port: int, backend: int) -> list[str]:
    config = folder / "haproxy.cfg"
    config.write_text(
        "global\n  nbthread 1\n"
        "defaults\n  mode http\n  timeout connect 5s\n  timeout client 60s\n  timeout server 60s\n"
        "  option forwardfor\n  http-reuse always\n"
        f"frontend f\n  bind 127.0.0.1:{port}\n  default_backend b\nbackend b\n  server s 127.0.0.1:{backend}\n"
    )
    return ["haproxy", "-db", "-f", str(config)]


def _nginx(folder: Path, port: int, backend: int) -> list[str]:
    config = folder / "nginx.conf"
    config.write_text(
        f"daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log stderr;\n"
        "events {}\nhttp { access_log off;\n"
        f"  upstream b {{ server 127.0.0.1:{backend}; keepalive 64; }}\n  server {{ listen 127.0.0.1:{port};\n"
        "    location / { proxy_pass http://b; proxy_http_version 1.1; proxy_set_header Connection '';\n"
        "      proxy_set_header Host $host; proxy_set_header X-Forwarded-For $remote_addr; } } }\n"
    )
    return ["nginx", "-p", str(folder), "-c", str(config)]


def _caddy(folder: Path, port: int, backend: int) -> list[str]:
    return ["caddy", "reverse-proxy", "--from", f"http://127.0.0.1:{port}", "--to", f"127.0.0.1:{backend}"]


PEERS: dict[str, Callable[[Path, int, int], list[str]]] = {
    "gateway": _gateway,
    "haproxy": _haproxy,
    "nginx": _nginx,
    "caddy": _caddy,
}


async def main() -> None:
    """Measure every proxy that is installed, in turn, and print medians and ratios."""
    missing = [name for name in PEERS if name != "gateway" and shutil.which(name) is None]
    for name in missing:
        print(f"proxy: {name} is not installed, skipped")
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="gateway-bench-")))
        backend = int(await _line(await stack.enter_async_context(_process(sys.executable, "-m", "bench.wire"))))
        running: dict[str, tuple[int, int]] = {}
        for name, command in PEERS.items():
            if name in missing:
                continue
            port = _free_port()
            process = await stack.enter_async_context(_process(*command(folder, port, backend)))
            await _until_open(port)
            running[name] = (process.pid, port)
        bare = _process(sys.executable, "-m", "bench.bare", f"http://127.0.0.1:{backend}")
        process = await stack.enter_async_context(bare)
        running["aiohttp, bare"] = (process.pid, int(await _line(process)))
        _report(await _measure(running))


async def _measure(running: dict[str, tuple[int, int]]) -> dict[str, list[float]]:
    figures: dict[str, list[float]] = {name: [] for name in running}
    for number in range(ROUNDS + 1):  # the first round warms up
        for name, (pid, port) in running.items():
            before = _cpu(pid)
            await load(port, REQUESTS, CONNECTIONS)
            if number:
                figures[name].append((_cpu(pid) - before) / REQUESTS * 1e6)
    return figures


def _report(figures: dict[str, list[float]]) -> None:
    gateway = statistics.median(figures["gateway"])
    print(f"proxy: CPU a request; {REQUESTS} requests of 1 KiB, {CONNECTIONS} connections, median of {ROUNDS} rounds")
    for name, values in sorted(figures.items(), key=lambda item: statistics.median(item[1])):
        median = statistics.median(values)
        spread = f"({min(values):.1f}..{max(values):.1f})"
        print(f"  {name:<14} {median:7.1f} µs  {spread:<16} gateway ÷ it = {gateway / median:.2f}")
