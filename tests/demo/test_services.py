"""Starting and stopping the demo's services."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import ssl
import sys
from pathlib import Path

import pytest
from aiohttp import ClientConnectorError, ClientSession

from gateway.demo.ports import HOST
from gateway.demo.services import Services, main
from tests.support.tls import Authority


async def test_what_was_started_is_stopped(client: ClientSession) -> None:
    """Inside the block every service answers, after it none does; an open stream does not hold it up."""
    async with Services() as services:
        addresses = dict(services.addresses)
        assert sorted(addresses) == ["backend", "salesforce", "whmcs"]
        stream = await client.get(f"{addresses['backend']}/api/events")
        assert await stream.content.readuntil(b"\n\n")
    stream.close()
    for address in addresses.values():
        with pytest.raises(ClientConnectorError):
            await client.get(address)


async def test_a_given_port_is_used(unused_tcp_port: int) -> None:
    """A service listens on the port it was given."""
    async with Services(only=("whmcs",), ports={"whmcs": unused_tcp_port}) as services:
        assert services.addresses == {"whmcs": f"http://{HOST}:{unused_tcp_port}"}


async def test_a_taken_port_stops_what_was_started(client: ClientSession, unused_tcp_port: int) -> None:
    """When the last service cannot start the others are stopped."""
    with socket.socket() as taken:
        taken.bind((HOST, 0))
        taken.listen()
        services = Services(ports={"whmcs": unused_tcp_port, "backend": taken.getsockname()[1]})
        with pytest.raises(OSError, match="address already in use"):
            await services.__aenter__()
    with pytest.raises(ClientConnectorError):
        await client.get(f"http://{HOST}:{unused_tcp_port}")


def test_the_key_of_the_tokens_is_not_shown() -> None:
    """The representation holds no key."""
    shown = "hush-key" in repr(Services(token_key="hush-key"))
    assert not shown


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT])
async def test_a_simulator_in_a_process_of_its_own(client: ClientSession, stop: signal.Signals) -> None:
    """It prints its address as one line, answers there, and ends with 0 at a signal."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "gateway.demo.services", "--only", "whmcs",
        stdout=asyncio.subprocess.PIPE, env={**os.environ, "PYTHONUNBUFFERED": ""},
    )  # fmt: skip
    try:
        assert process.stdout is not None
        address = (await process.stdout.readline()).decode().strip()
        async with client.get(f"{address}/_simulator/report") as response:
            assert (await response.json())["calls"] == 0
        process.send_signal(stop)
        assert await process.wait() == 0
        assert await process.stdout.read() == b""
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def test_a_simulator_speaks_tls(tmp_path: Path) -> None:
    """With a certificate the address is https, and what it tells of itself as well."""
    authority = Authority(tmp_path)
    authority.server_side(HOST)
    (pair,) = (file for file in tmp_path.iterdir() if file != authority.file)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "gateway.demo.services", "--only", "salesforce",
        "--tls-cert", str(pair), "--tls-key", str(pair), stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        address = (await process.stdout.readline()).decode().strip()
        assert address.startswith("https://")
        trust = ssl.create_default_context(cafile=authority.file)
        async with ClientSession() as client, client.get(f"{address}/services/data", ssl=trust) as response:
            assert response.status == 401
        process.send_signal(signal.SIGTERM)
        assert await process.wait() == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def test_a_certificate_comes_with_its_key(capsys: pytest.CaptureFixture[str]) -> None:
    """One without the other is a mistake of the command line."""
    with pytest.raises(SystemExit) as ended:
        main(["--only", "whmcs", "--tls-cert", "x"])
    assert ended.value.code == 2
    assert "come together" in capsys.readouterr().err
