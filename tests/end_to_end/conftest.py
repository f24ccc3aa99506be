"""What the end-to-end tests share: a backend, a client, and gateways in processes of their own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.support.backend import Backend, running_backend
from tests.support.process import GatewayProcess

StartGateway = Callable[..., Awaitable[GatewayProcess]]

TOKENS = {
    "enabled": True,
    "keys": [{"kid": "main", "alg": "HS256", "secret": "hush-" + "k" * 40}],
}
"""The `tokens:` section that most tests start with."""


@pytest.fixture
async def backend() -> AsyncIterator[Backend]:
    """The tests' backend, on a free port."""
    async with running_backend() as backend:
        yield backend


@pytest.fixture
async def client() -> AsyncIterator[aiohttp.ClientSession]:
    """A client without a cookie jar, that follows nothing and decodes nothing."""
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar()) as session:
        yield session


@pytest.fixture
async def start_gateway(tmp_path: Path, backend: Backend) -> AsyncIterator[StartGateway]:
    """Start gateways in front of the backend; all are stopped at the end."""
    async with AsyncExitStack() as stack:

        async def start(
            policies: dict[str, dict[str, Any]] | None = None, environ: dict[str, str] | None = None, **config: Any
        ) -> GatewayProcess:
            config["ingress"] = {"backend": backend.url, **config.get("ingress", {})}
            folder = tmp_path / f"gateway-{len(list(tmp_path.iterdir()))}"
            return await stack.enter_async_context(GatewayProcess(folder, config, policies, environ))

        yield start
