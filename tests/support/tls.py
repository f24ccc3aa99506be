"""TLS for servers that have none: an authority of the test's own, and a forwarder that speaks TLS before a server."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

_DAY = timedelta(days=1)


class Authority:
    """Signs certificates. `file` is its own, in PEM: what a client has to trust."""

    def __init__(self, folder: Path, name: str = "authority") -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self.file = folder / f"{name}.pem"
        own = self._certificate(self._name, self._key, x509.BasicConstraints(ca=True, path_length=0), ())
        self.file.write_bytes(own.public_bytes(serialization.Encoding.PEM))

    def server_side(self, *hosts: str) -> ssl.SSLContext:
        """Return what a server that is called `hosts` (names or addresses) speaks TLS with."""
        leaf, secret = self._leaf(hosts)
        file = self._folder / f"{leaf.serial_number}.pem"
        file.write_bytes(secret + leaf.public_bytes(serialization.Encoding.PEM))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(file)
        return context

    def files(self, certificate: Path, key: Path, *hosts: str) -> None:
        """Write a server's certificate and its key."""
        leaf, secret = self._leaf(hosts)
        certificate.write_bytes(leaf.public_bytes(serialization.Encoding.PEM))
        key.write_bytes(secret)

    def client_side(self) -> ssl.SSLContext:
        """Return what a client that trusts this authority alone speaks TLS with."""
        return ssl.create_default_context(cafile=self.file)

    def _leaf(self, hosts: tuple[str, ...]) -> tuple[x509.Certificate, bytes]:
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, hosts[0])])
        leaf = self._certificate(name, key, x509.BasicConstraints(ca=False, path_length=None), hosts)
        secret = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return leaf, secret

    def _certificate(
        self,
        subject: x509.Name,
        key: ec.EllipticCurvePrivateKey,
        constraints: x509.BasicConstraints,
        hosts: tuple[str, ...],
    ) -> x509.Certificate:
        now = datetime.now(UTC)
        builder = (
            x509.CertificateBuilder(self._name, subject, key.public_key(), x509.random_serial_number())
            .not_valid_before(now - _DAY)
            .not_valid_after(now + _DAY)
            .add_extension(constraints, critical=True)
        )
        if hosts:
            builder = builder.add_extension(x509.SubjectAlternativeName([_general(h) for h in hosts]), critical=False)
        return builder.sign(self._key, hashes.SHA256())


def _general(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


@asynccontextmanager
async def tls_peer(
    talk: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
    context: ssl.SSLContext,
    port: int = 0,
) -> AsyncIterator[int]:
    """Listen with TLS on 127.0.0.1 and have each connection handled; yields the port."""

    talks: dict[asyncio.StreamWriter, asyncio.Task[None] | None] = {}

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        talks[writer] = asyncio.current_task()
        with contextlib.suppress(OSError):
            await talk(reader, writer)
        writer.close()

    async with await asyncio.start_server(handle, "127.0.0.1", port, ssl=context) as listener:
        try:
            yield listener.sockets[0].getsockname()[1]
        finally:
            for writer in talks:
                writer.close()
            await asyncio.gather(*(task for task in talks.values() if task is not None))


@asynccontextmanager
async def tls_before(port: int, context: ssl.SSLContext, listen: int = 0) -> AsyncIterator[int]:
    """Put a TLS listener (on the port `listen`) before the server at `port`, and yield its port."""

    async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                writer.write(data)
        writer.close()

    async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        upstream_reader, upstream_writer = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(copy(reader, upstream_writer), copy(upstream_reader, writer))

    async with tls_peer(forward, context, listen) as bound:
        yield bound
