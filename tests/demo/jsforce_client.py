"""jsforce against a server of the tests, unmodified, in a Node process of its own.

The one idea: `tests/clients/jsforce_calls.js` exercises one of the vendor's APIs and prints what it saw. Where Node or
the package is missing (`make clients` installs it, into `tests/clients/node_modules`; one elsewhere is found by
`NODE_PATH`), the tests are skipped and say so.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from gateway.demo.accounts import SALESFORCE

SECONDS = 60.0
_FOLDER = Path(__file__).parents[1] / "clients"
_ENVIRON = {
    "SF_USERNAME": SALESFORCE.username,
    "SF_PASSWORD": SALESFORCE.password,
    "SF_SECURITY_TOKEN": SALESFORCE.security_token,
    "SF_CLIENT_ID": SALESFORCE.client_id,
    "SF_CLIENT_SECRET": SALESFORCE.client_secret,
}


def _missing() -> str:
    if shutil.which("node") is None:
        return "Node is not installed"
    folders = [str(_FOLDER / "node_modules"), *os.environ.get("NODE_PATH", "").split(os.pathsep)]
    if not any(folder and (Path(folder) / "jsforce").is_dir() for folder in folders):
        return "jsforce is not installed: make clients"
    return ""


needs_jsforce = pytest.mark.skipif(bool(_missing()), reason=_missing())


async def run(exercise: str, server: str, **environ: str) -> dict[str, Any]:
    """Return what an exercise saw at a base URL; fails with what it printed when it did."""
    process = await asyncio.create_subprocess_exec(
        "node", str(_FOLDER / "jsforce_calls.js"), exercise, server,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, env={**os.environ, **_ENVIRON, **environ},
    )  # fmt: skip
    try:
        async with asyncio.timeout(SECONDS):
            printed, problem = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0, problem.decode()
    seen: dict[str, Any] = json.loads(printed)
    return seen
