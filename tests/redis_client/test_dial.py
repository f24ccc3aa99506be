"""What a URL leads to: a unix socket, or TLS with the certificate and the name verified."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.errors import StartError, StoreUnavailable
from gateway.events import ignore
from gateway.redis_client.client import RedisClient
from gateway.redis_client.settings import RedisSettings
from tests.redis_client.samples import Peer, words
from tests.support.cluster import ClusterNode
from tests.support.sentinel import until
from tests.support.tls import Authority, tls_before, tls_peer
from tests.support.valkey import ValkeyServer, free_port

SETTINGS = RedisSettings(connect_timeout=2.0, command_timeout=4.0)


def settings(ca_file: Path | None) -> RedisSettings:
    return SETTINGS.model_copy(update={"ca_file": ca_file})


@pytest.mark.parametrize(
    ("host", "trusted", "kind"), [("localhost", True, None), ("localhost", False, "tls"), ("elsewhere", True, "tls")]
)
@pytest.mark.parametrize("by", ["file", "system"])
async def test_tls_is_verified(
    host: str,
    trusted: bool,
    kind: str | None,
    by: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    shared_valkey: ValkeyServer,
) -> None:
    """given a certificate for a host, when its authority is trusted by `ca_file` or by the system and the name fits,
    then commands work; else the kind is `tls` and the text tells why and no secret."""
    ours, other = Authority(tmp_path), Authority(tmp_path, "other")
    believed = ours.file if trusted else other.file
    if by == "system":
        monkeypatch.setenv("SSL_CERT_FILE", str(believed))
    async with tls_before(shared_valkey.port, ours.server_side(host)) as port:
        url = f"rediss://user:hush-password@localhost:{port}/0"
        client = RedisClient.connect(settings(believed if by == "file" else None), url, emit=ignore)
        if kind is None:
            url = url.replace("user:hush-password@", "")
            client = RedisClient.connect(settings(believed if by == "file" else None), url, emit=ignore)
            assert await client.call("ECHO", "over TLS") == b"over TLS"
        else:
            with pytest.raises(StoreUnavailable) as caught:
                await client.ping()
            assert caught.value.kind == kind
            assert "CERTIFICATE_VERIFY_FAILED" in str(caught.value)
            assert "hush-" not in str(caught.value)
        await client.aclose()


async def test_a_ca_file_is_trusted_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shared_valkey: ValkeyServer
) -> None:
    """given a certificate that the system trusts, when `ca_file` names another authority, then it is refused."""
    system, ours = Authority(tmp_path, "system"), Authority(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(system.file))
    async with tls_before(shared_valkey.port, system.server_side("localhost")) as port:
        client = RedisClient.connect(settings(ours.file), f"rediss://localhost:{port}", emit=ignore)
        with pytest.raises(StoreUnavailable, match="tls"):
            await client.ping()
        await client.aclose()


@pytest.mark.parametrize("content", [None, "no certificate"])
def test_a_ca_file_that_cannot_be_used_is_named_at_start(tmp_path: Path, content: str | None) -> None:
    """Missing or without a certificate: the gateway does not start, and says which key it is."""
    file = tmp_path / "ca.pem"
    if content is not None:
        file.write_text(content)
    with pytest.raises(StartError, match=r"redis\.ca_file: .*ca\.pem (No such file|holds no certificate)"):
        RedisClient.connect(settings(file), "rediss://:hush-x@localhost", emit=ignore)


async def test_sentinels_and_the_master_are_verified_alike(tmp_path: Path, shared_valkey: ValkeyServer) -> None:
    """given `rediss+sentinel`, when Sentinel and master speak TLS under one authority, then commands reach the master;
    a client that trusts another authority is told `tls`."""
    ours, other = Authority(tmp_path), Authority(tmp_path, "other")
    context = ours.server_side("localhost", "127.0.0.1")
    async with tls_before(shared_valkey.port, context) as port:
        sentinel = Peer(lambda command: words("127.0.0.1", port))
        async with tls_peer(sentinel.talk, context) as at:
            url = f"rediss+sentinel://localhost:{at}/main"
            client = RedisClient.connect(settings(ours.file), url, emit=ignore)
            stranger = RedisClient.connect(settings(other.file), url, emit=ignore)
            await client.ping()
            assert await client.call("ECHO", "over TLS") == b"over TLS"
            with pytest.raises(StoreUnavailable, match="tls"):
                await stranger.ping()
            await client.aclose()
            await stranger.aclose()
            await sentinel.hang_up()


async def test_a_cluster_is_reached_over_tls(tmp_path: Path) -> None:
    """given nodes that announce their TLS port, when a key is asked for, then the map leads to it over TLS."""
    ours, announced = Authority(tmp_path), free_port()
    node = ClusterNode("--cluster-announce-port", str(announced))
    await node.start()
    try:
        node.command("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
        await until(lambda: node.says("cluster_state") == "ok")
        async with tls_before(node.port, ours.server_side("127.0.0.1"), announced):
            client = RedisClient.connect(settings(ours.file), f"rediss+cluster://127.0.0.1:{announced}", emit=ignore)
            await client.ping()
            assert await client.call("SET", "k", "v") == b"OK"
            await client.aclose()
    finally:
        await node.stop()


async def test_a_unix_socket_is_reached_and_its_wrong_password_is_told_as_auth(tmp_path: Path) -> None:
    """The path and the password come from the URL; the library wraps this refusal, and it is still `auth`."""
    path = tmp_path / "s"
    server = ValkeyServer("--unixsocket", str(path), password="hush-right")
    await server.start()
    right = RedisClient.connect(SETTINGS, f"unix://:hush-right@{path}?db=2", emit=ignore)
    wrong = RedisClient.connect(SETTINGS, f"unix://:hush-wrong@{path}", emit=ignore)
    try:
        assert await right.call("SET", "k", "v") == b"OK"
        assert server.command("INFO", "keyspace").keys() == {"db2"}
        with pytest.raises(StoreUnavailable, match="auth"):
            await wrong.call("GET", "k")
    finally:
        await right.aclose()
        await wrong.aclose()
        await server.stop()
