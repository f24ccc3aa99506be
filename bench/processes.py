"""Processes of a benchmark: started, pinned to a core, asked for their CPU time, and always ended."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path


@asynccontextmanager
async def process(
    *command: str, cores: Sequence[int] = (), stdout: int = asyncio.subprocess.PIPE
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run a command, on `cores` only where any are given; it is terminated at the end."""
    child = await asyncio.create_subprocess_exec(
        *command, stdin=asyncio.subprocess.PIPE, stdout=stdout, stderr=asyncio.subprocess.DEVNULL
    )
    if cores:
        pin(child.pid, cores)
    try:
        yield child
    finally:
        if child.returncode is None:
            child.terminate()
        await child.communicate()


async def output(*command: str, text: str = "", cores: Sequence[int] = ()) -> str:
    """Run a command to its end with `text` as its input and return what it printed.

    Raises:
        RuntimeError: when it fails.
    """
    async with process(*command, cores=cores) as child:
        printed, _ = await child.communicate(text.encode())
        if child.returncode != 0:
            raise RuntimeError(f"{' '.join(command[:4])} ended with {child.returncode}")
        return printed.decode()


def pin(pid: int, cores: Sequence[int]) -> None:
    """Keep a process, with the threads that it has, on these cores."""
    for thread in Path(f"/proc/{pid}/task").iterdir():
        os.sched_setaffinity(int(thread.name), cores)


def cpu(pid: int) -> float:
    """Return the CPU seconds of a process, user and system."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
