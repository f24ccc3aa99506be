"""What an operator does to a gateway: switch maintenance, drain it, scrape it, give it a wrong configuration."""

from __future__ import annotations

import asyncio
import signal
import socket
import subprocess
import sys
from pathlib import Path

import aiohttp
import pytest
import yaml

from tests.end_to_end.conftest import TOKENS, StartGateway
from tests.support.backend import Backend

MESSAGE = "Back at <noon> & no earlier."


@pytest.mark.parametrize("accept", ["application/json", "text/html"])
async def test_maintenance_answers_with_the_operators_message(
    start_gateway: StartGateway, client: aiohttp.ClientSession, backend: Backend, accept: str
) -> None:
    """With maintenance on, token routes answer 503 with message and Retry-After, as JSON or as an escaped page."""
    gateway = await start_gateway(environ={"AUTH_MAINTENANCE_MODE": "true", "AUTH_MAINTENANCE_MESSAGE": MESSAGE})
    async with client.post(gateway.url() + "/API/auth//login/", headers={"Accept": accept}) as response:
        assert response.status == 503
        assert response.headers["Retry-After"] == "120"
        assert "Set-Cookie" not in response.headers
        text = await response.text()
        if accept == "text/html":
            assert response.content_type == "text/html"
            assert "Back at &lt;noon&gt; &amp; no earlier." in text
        else:
            assert (await response.json(content_type=None))["detail"] == MESSAGE
    async with client.get(gateway.url() + "/api/profile") as response:
        assert response.status == 200
    assert backend.seen == [("GET", "/api/profile")]
    await gateway.logged("Authentication service in maintenance mode", 5)


async def test_maintenance_of_the_whole_site_leaves_the_exceptions_open(
    start_gateway: StartGateway, client: aiohttp.ClientSession
) -> None:
    """`routes: [/**]` closes everything but `except`, and no spelling of an exception opens a closed route."""
    gateway = await start_gateway(
        maintenance={"enabled": True, "routes": ["/**"], "except": ["/health"]}, ingress={"errors": "nest"}
    )
    async with client.get(gateway.url() + "/health") as response:
        assert response.status == 200
    async with client.get(gateway.url() + "/anything") as response:
        assert response.status == 503
        assert (await response.json())["statusCode"] == 503
    host, port = gateway.addresses["ingress"].split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"GET /api/../health HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    assert (await reader.read()).startswith(b"HTTP/1.1 503 ")
    writer.close()
    await writer.wait_closed()


@pytest.mark.parametrize("length", [b"Content-Length: 20", b"Transfer-Encoding: chunked"])
async def test_refusals_of_the_server_itself_have_the_configured_shape(
    start_gateway: StartGateway, backend: Backend, length: bytes
) -> None:
    """A body that is too large is the same 413 whether its length was told or not, in the shape of NestJS here."""
    gateway = await start_gateway(ingress={"errors": "nest", "limits": {"body_bytes": "10B"}})
    host, port = gateway.addresses["ingress"].split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    body = b"x" * 20 if length.startswith(b"Content") else b"14\r\n" + b"x" * 20 + b"\r\n0\r\n\r\n"
    writer.write(b"POST /upload HTTP/1.1\r\nHost: a\r\nConnection: close\r\n" + length + b"\r\n\r\n" + body)
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b'"statusCode"' in answer
    assert b"problem+json" not in answer


async def test_metrics_and_probes(start_gateway: StartGateway, client: aiohttp.ClientSession) -> None:
    """The admin listener answers the three probes and exposes the counted requests."""
    gateway = await start_gateway(tokens=TOKENS)
    await gateway.logged("Redis available", 5)
    async with client.get(gateway.url() + "/x") as response:
        assert response.status == 200
    for probe in ("/startupz", "/healthz", "/readyz"):
        async with client.get(gateway.url("admin") + probe) as response:
            assert response.status == 200
    async with client.get(gateway.url("admin") + "/metrics") as response:
        text = await response.text()
    assert 'gateway_requests_total{code="200",method="GET",route="other"} 1.0' in text
    assert "gateway_redis_up 1.0" in text
    assert "gateway_build_info{" in text


async def test_sigterm_finishes_what_is_in_flight(
    start_gateway: StartGateway, client: aiohttp.ClientSession, backend: Backend
) -> None:
    """After SIGTERM the gateway is not ready but serves, finishes the request in flight, and exits 0."""
    gateway = await start_gateway(shutdown={"wait": "500ms", "timeout": "10s"})
    async with asyncio.TaskGroup() as group:
        slow = group.create_task(_text(client, gateway.url() + "/slow"))
        await backend.holding.wait()
        await gateway.signal(signal.SIGTERM)
        await gateway.logged("Draining", 5)
        async with client.get(gateway.url("admin") + "/readyz") as response:
            assert response.status == 503
        async with client.get(gateway.url() + "/still-here") as response:
            assert response.status == 200
            assert response.headers["Connection"] == "close"
        backend.hold.set()
        assert await gateway.wait() == 0
    assert slow.result() == "done"


async def test_the_end_of_the_drain_closes_websockets_with_1001(
    start_gateway: StartGateway, client: aiohttp.ClientSession
) -> None:
    """A WebSocket that is open when `shutdown.timeout` has passed is closed with 1001; the exit code is 0."""
    gateway = await start_gateway(shutdown={"wait": "0s", "timeout": "200ms"})
    async with client.ws_connect(gateway.url() + "/ws", autoclose=False) as websocket:
        await websocket.send_str("hello")
        await websocket.receive_str()
        await gateway.signal(signal.SIGTERM)
        message = await websocket.receive()
        assert message.type is aiohttp.WSMsgType.CLOSE
        assert message.data == 1001
    assert await gateway.wait() == 0


async def test_an_interrupt_with_a_stream_open_ends_cleanly(
    start_gateway: StartGateway, client: aiohttp.ClientSession
) -> None:
    """SIGINT with a stream that never ends: broken off when the time is up, exit code 0, and no traceback."""
    gateway = await start_gateway(shutdown={"wait": "5s", "timeout": "200ms"})
    async with client.get(gateway.url() + "/events") as response:
        await response.content.readuntil(b"\n\n")
        await gateway.signal(signal.SIGINT)
        with pytest.raises(aiohttp.ClientError):
            await response.content.read()
    assert await gateway.wait() == 0
    await gateway.logged("Stopped", 5)
    assert [line for line in gateway.lines if line.get("level") not in ("info", None)] == []


async def _text(client: aiohttp.ClientSession, url: str) -> str:
    async with client.get(url) as response:
        return await response.text()


def _run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "gateway", *arguments], capture_output=True, text=True, timeout=30, check=False
    )


def test_a_wrong_configuration_exits_2_with_its_position(tmp_path: Path) -> None:
    """`gateway run` with a misspelled key prints file, line, column and a suggestion, exits 2 and binds nothing."""
    path = tmp_path / "config.yaml"
    path.write_text("ingress:\n  lisen: 127.0.0.1:0\n")
    done = _run("run", "--config", str(path))
    assert done.returncode == 2
    assert f"{path}:2:3: ingress.lisen: " in done.stderr
    assert "did you mean listen?" in done.stderr
    assert "Listening" not in done.stdout


def test_a_port_in_use_exits_1_and_names_the_key(tmp_path: Path) -> None:
    """A port that is taken ends the start with exit code 1 and the key that names the port."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        path = tmp_path / "config.yaml"
        path.write_text(yaml.safe_dump({"ingress": {"listen": address}, "admin": {"listen": "127.0.0.1:0"}}))
        done = _run("run", "--config", str(path))
    assert done.returncode == 1
    assert "ingress.listen" in done.stdout + done.stderr
    assert address in done.stdout + done.stderr


def test_version() -> None:
    """`gateway --version` prints name and version."""
    done = _run("--version")
    assert done.returncode == 0
    assert done.stdout.startswith("gateway ")
