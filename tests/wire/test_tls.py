"""A listener that speaks TLS."""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import ClientConnectorError, ClientSession, TCPConnector

from gateway.errors import StartError
from gateway.exchange import Buffered, Exchange, Reply
from gateway.wire.server import Listener
from gateway.wire.settings import LimitSettings, TlsSettings
from tests.support.tls import Authority


async def answer(exchange: Exchange) -> Reply:
    return Reply(200, body=Buffered(exchange.scheme.encode()))


def listener(settings: TlsSettings) -> Listener:
    return Listener(
        "egress", answer, forwarding=None, limits=LimitSettings(), idle_timeout=None, key="policies/x: listen",
        tls=settings,
    )  # fmt: skip


@pytest.fixture
def settings(tmp_path: Path) -> TlsSettings:
    """A certificate for 127.0.0.1, signed by an authority in `first.pem`."""
    Authority(tmp_path, "first").files(tmp_path / "tls.crt", tmp_path / "tls.key", "127.0.0.1")
    return TlsSettings(cert_file=tmp_path / "tls.crt", key_file=tmp_path / "tls.key")


@pytest.fixture
async def url(settings: TlsSettings) -> AsyncIterator[str]:
    """The address of a listener with it."""
    serving = listener(settings)
    yield f"https://{await serving.start('127.0.0.1:0')}/"
    await serving.close(0)


async def trusting(authority: Path, url: str) -> str:
    """Make a call on a connection of its own."""
    context = ssl.create_default_context(cafile=authority)
    async with ClientSession(connector=TCPConnector(ssl=context)) as client, client.get(url) as response:
        return await response.text()


async def test_speaks_tls(url: str, tmp_path: Path) -> None:
    """A client that trusts the authority is served, and the exchange knows that it came by https."""
    assert await trusting(tmp_path / "first.pem", url) == "https"


async def test_plain_http_is_not_served(url: str) -> None:
    """A client that does not speak TLS gets nothing, and harms nobody."""
    reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2].strip("/")))
    writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    assert not (await reader.read()).startswith(b"HTTP/")
    writer.close()


async def test_changed_files_count_from_the_next_connection(url: str, settings: TlsSettings, tmp_path: Path) -> None:
    """A new certificate is shown without a restart; files that do not fit each other change nothing."""
    Authority(tmp_path, "second").files(tmp_path / "new.crt", tmp_path / "new.key", "127.0.0.1")
    os.replace(tmp_path / "new.crt", settings.cert_file)
    assert await trusting(tmp_path / "first.pem", url) == "https"
    os.replace(tmp_path / "new.key", settings.key_file)
    assert await trusting(tmp_path / "second.pem", url) == "https"
    with pytest.raises(ClientConnectorError):
        await trusting(tmp_path / "first.pem", url)
    settings.cert_file.unlink()
    assert await trusting(tmp_path / "second.pem", url) == "https"


async def test_a_certificate_that_cannot_be_used(tmp_path: Path) -> None:
    """The listener does not start, and the error names the key and no content."""
    for name in ("tls.crt", "tls.key"):
        (tmp_path / name).write_text("hush-nonsense")
    serving = listener(TlsSettings(cert_file=tmp_path / "tls.crt", key_file=tmp_path / "tls.key"))
    with pytest.raises(StartError) as error:
        await serving.start("127.0.0.1:0")
    assert str(error.value) == "policies/x: listen: the certificate or its key cannot be used"
