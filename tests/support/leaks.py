"""No log line of the whole suite holds a secret: where lines are collected, and how they are searched.

The one idea: every secret of the tests contains `hush-`, and every token is a JWT, so that one search at the end finds
either in whatever the suite and the processes that it started have logged.
"""

from __future__ import annotations

import re
import tempfile
from pathlib import Path

FOLDER = Path(tempfile.mkdtemp(prefix="gateway-test-logs-"))
"""Every process of the suite logs into a file in here."""

SECRET = re.compile(r"hush-|eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{4,}\.")


def search(folder: Path) -> list[str]:
    """Return `file:line` for each line that holds a secret; never the line."""
    found = []
    for path in sorted(folder.glob("*.log")):
        for number, line in enumerate(path.read_text("utf-8", "replace").splitlines(), 1):
            if SECRET.search(line):
                found.append(f"{path.name}:{number}")
    return found
