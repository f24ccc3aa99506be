"""The harness itself: what every other test stands on."""

from __future__ import annotations

import os

import pytest
import redis

from tests.support.valkey import ValkeyServer


async def test_a_killed_server_comes_back_empty_on_the_same_port(valkey: ValkeyServer) -> None:
    """After kill and restart the port is the same and the data is gone."""
    valkey.command("SET", "a", "1")
    port, pid = valkey.port, valkey.pid
    valkey.kill()
    assert not valkey.running
    with pytest.raises(redis.ConnectionError):
        valkey.command("PING")
    await valkey.restart()
    assert (valkey.port, valkey.pid == pid, valkey.command("GET", "a")) == (port, False, None)


async def test_a_persistent_server_keeps_its_data_over_a_kill() -> None:
    """With `persist`, what was acknowledged before a kill is there after a restart."""
    server = ValkeyServer(persist=True, password="hush-harness")
    await server.start()
    try:
        server.command("SET", "a", "1")
        server.kill()
        await server.restart(empty=False)
        assert server.command("GET", "a") == b"1"
        await server.restart()
        assert server.command("GET", "a") is None
    finally:
        await server.stop()


async def test_a_paused_server_answers_nothing_until_it_is_resumed_and_can_be_stopped(valkey: ValkeyServer) -> None:
    """SIGSTOP freezes it, SIGCONT lets it go on, and stopping a frozen server leaves no process behind."""
    valkey.pause()
    with pytest.raises(redis.TimeoutError):
        valkey.command("PING")
    valkey.resume()
    assert valkey.command("PING") in (True, b"PONG")
    pid = valkey.pid
    valkey.pause()
    await valkey.stop()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_the_shared_server_is_handed_out_empty(shared_valkey: ValkeyServer) -> None:
    """Whatever an earlier test left in it is gone."""
    assert shared_valkey.command("DBSIZE") == 0
