"""Small things that several tests of this room need."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from gateway.redis_client.scripts import Script


def script(name: str, source: str) -> Script:
    """Return a script from its text."""
    return Script(name, source, hashlib.sha1(source.encode()).hexdigest())


def alive(pid: int) -> bool:
    """Whether a process runs; one that has ended and waits for its parent to notice does not."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:  # gone by now, or a system without /proc
        return not Path("/proc").is_dir()
