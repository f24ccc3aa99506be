"""What a URL leads to: a unix socket, or TLS with the certificate verified."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from gateway.errors import StoreUnavailable
from gateway.events import ignore
from gateway.redis_client.client import RedisClient
from gateway.redis_client.settings import RedisSettings
from tests.support.valkey import ValkeyServer

SETTINGS = RedisSettings(connect_timeout=2.0, command_timeout=4.0)


def certificate(folder: Path, host: str) -> Path:
    """Write a self-signed certificate for a host, with its key, and return the file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
    now = datetime.now(UTC)
    signed = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    file = folder / f"{host}.pem"
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    file.write_bytes(secret + signed.public_bytes(serialization.Encoding.PEM))
    return file


@asynccontextmanager
async def tls_before(server: ValkeyServer, file: Path) -> AsyncIterator[int]:
    """Put a TLS listener before a server and yield its port."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)

    async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            writer.write(data)
        writer.close()

    async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        upstream_reader, upstream_writer = await asyncio.open_connection("127.0.0.1", server.port)
        try:
            await asyncio.gather(copy(reader, upstream_writer), copy(upstream_reader, writer))
        finally:
            upstream_writer.close()
            writer.close()

    async with await asyncio.start_server(forward, "127.0.0.1", 0, ssl=context) as listener:
        yield listener.sockets[0].getsockname()[1]


@pytest.mark.parametrize(
    ("host", "trusted", "kind"),
    [("localhost", True, None), ("localhost", False, "connection"), ("elsewhere", True, "connection")],
)
async def test_tls_is_verified(
    host: str,
    trusted: bool,
    kind: str | None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    shared_valkey: ValkeyServer,
) -> None:
    """`rediss://` works with a trusted certificate for the host; one not trusted, or for another host, is refused."""
    file = certificate(tmp_path, host)
    if trusted:
        monkeypatch.setenv("SSL_CERT_FILE", str(file))
    async with tls_before(shared_valkey, file) as port:
        client = RedisClient.connect(SETTINGS, f"rediss://localhost:{port}/0", emit=ignore)
        try:
            if kind is None:
                assert await client.call("ECHO", "over TLS") == b"over TLS"
            else:
                with pytest.raises(StoreUnavailable, match=kind):
                    await client.call("ECHO", "never sent")
        finally:
            await client.aclose()


async def test_a_unix_socket_is_reached_and_its_wrong_password_is_told_as_auth(tmp_path: Path) -> None:
    """The path and the password come from the URL; the library wraps this refusal, and it is still `auth`."""
    path = tmp_path / "s"
    server = ValkeyServer("--unixsocket", str(path), password="hush-right")
    await server.start()
    right = RedisClient.connect(SETTINGS, f"unix://{path}?password=hush-right&db=2", emit=ignore)
    wrong = RedisClient.connect(SETTINGS, f"unix://{path}?password=hush-wrong", emit=ignore)
    try:
        assert await right.call("SET", "k", "v") == b"OK"
        assert server.command("INFO", "keyspace").keys() == {"db2"}
        with pytest.raises(StoreUnavailable, match="auth"):
            await wrong.call("GET", "k")
    finally:
        await right.aclose()
        await wrong.aclose()
        await server.stop()
