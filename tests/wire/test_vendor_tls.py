"""TLS to the vendor is verified, always."""

from __future__ import annotations

import ipaddress
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from gateway.errors import GatewayError
from gateway.wire.events import UpstreamFailed
from tests.wire.raw_server import Peer, answering, on_both_loops, serving
from tests.wire.upstreams import content, exchange, to_vendor

EMPTY = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"

DAY = timedelta(days=1)
TODAY = datetime(2020, 1, 1, tzinfo=UTC)


def certificate(folder: Path, *, start: datetime, end: datetime, address: str = "127.0.0.1") -> Path:
    """Write a self-signed certificate with its key into one PEM file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "vendor")])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(end)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    path = folder / "vendor.pem"
    path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + made.public_bytes(serialization.Encoding.PEM)
    )
    return path


def server_side(pem: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    return context


async def refused(pem: Path) -> None:
    """See that a call to a server with this certificate is a 502, and that the server saw nothing of it."""
    async with serving(answering(EMPTY), tls=server_side(pem)) as server:
        async with to_vendor(server.tls_url) as upstream:
            with pytest.raises(GatewayError) as caught:
                await upstream.handle(exchange(headers=[(b"Authorization", b"hush-basic")]))
            assert (caught.value.status, caught.value.code) == (502, "upstream-unreachable")
            assert caught.value.detail == ""
            assert upstream.events == [UpstreamFailed("whmcs", "tls")]
        assert b"".join(server.received) == b""


@on_both_loops
async def test_an_unknown_authority_is_refused(tmp_path: Path) -> None:
    """A self-signed certificate is a 502; the call is never made unverified."""
    await refused(certificate(tmp_path, start=TODAY, end=TODAY + 36500 * DAY))


@on_both_loops
async def test_an_expired_certificate_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A certificate of a trusted authority that has run out is a 502."""
    pem = certificate(tmp_path, start=TODAY, end=TODAY + DAY)
    monkeypatch.setenv("SSL_CERT_FILE", str(pem))
    await refused(pem)


@on_both_loops
async def test_a_certificate_of_another_host_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A good certificate for another address is a 502."""
    pem = certificate(tmp_path, start=TODAY, end=TODAY + 36500 * DAY, address="127.0.0.2")
    monkeypatch.setenv("SSL_CERT_FILE", str(pem))
    await refused(pem)


@on_both_loops
async def test_a_trusted_certificate_is_accepted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the authority in SSL_CERT_FILE calls go through, on one connection, the permit behind the handshake."""
    pem = certificate(tmp_path, start=TODAY, end=TODAY + 36500 * DAY)
    monkeypatch.setenv("SSL_CERT_FILE", str(pem))
    seen: list[list[bytes]] = []
    tls = server_side(pem)
    async with serving(answering(EMPTY, EMPTY), tls=tls) as server, to_vendor(server.tls_url) as upstream:

        async def permit() -> None:
            await server.connections(1)  # a connection is served when its handshake is done
            seen.append(server.received)

        await content(await upstream.handle(exchange(before_send=permit)))
        await content(await upstream.handle(exchange()))
        assert len(server.peers) == 1
        assert seen == [[b""]]


@on_both_loops
async def test_a_server_without_tls_is_refused() -> None:
    """A vendor that does not speak TLS where it must is a 502."""

    async def script(peer: Peer) -> None:
        await peer.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    async with serving(script) as server, to_vendor(server.tls_url) as upstream:
        with pytest.raises(GatewayError) as caught:
            await upstream.handle(exchange())
        assert caught.value.code == "upstream-unreachable"
