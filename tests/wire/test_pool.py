"""Which connections wait, for how long, and which one is next."""

from __future__ import annotations

import asyncio
import socket

import pytest

from gateway.wire.broken import Broken
from gateway.wire.connection import Limits
from gateway.wire.pool import KEEP, Pool, readable
from tests.wire.raw_server import Peer, on_both_loops, serving


class Hand:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now

    wall = monotonic


def pool(url: str, clock: Hand) -> Pool:
    return Pool(url, connect_timeout=1.0, limits=Limits(None, None), clock=clock, broke=lambda reason: None)


@on_both_loops
async def test_the_last_one_back_is_the_next_one_out() -> None:
    """Connections are taken last in, first out."""
    async with serving(Peer.end) as server:
        connections = pool(server.url, Hand())
        first, second = await connections.connect(), await connections.connect()
        connections.release(first)
        connections.release(second)
        assert connections.take(ask=True) is second
        assert connections.take(ask=False) is first
        assert connections.take(ask=False) is None
        assert (connections.open, connections.waiting) == (2, 0)
        await connections.aclose()
        assert connections.open == 0


@on_both_loops
async def test_a_connection_is_not_kept_longer_than_the_backend_keeps_it() -> None:
    """After `KEEP` seconds a waiting connection is closed instead of used."""
    clock = Hand()
    async with serving(Peer.end) as server:
        connections = pool(server.url, clock)
        connection = await connections.connect()
        connections.release(connection)
        clock.now += KEEP - 0.001
        assert connections.take(ask=False) is connection
        connections.release(connection)
        clock.now += KEEP
        assert connections.take(ask=False) is None
        await server.peers[0].ended.wait()
        await connections.aclose()


@on_both_loops
async def test_stale_connections_are_closed_without_being_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """The sweep closes what has waited too long and leaves the rest."""
    monkeypatch.setattr("gateway.wire.pool.KEEP", 0.05)
    clock = Hand()
    async with serving(Peer.end) as server:
        connections = pool(server.url, clock)
        old, young = await connections.connect(), await connections.connect()
        connections.release(old)
        clock.now += 0.04
        connections.release(young)
        clock.now += 0.02
        await server.peers[0].ended.wait()
        assert connections.take(ask=False) is young
        await connections.aclose()


@on_both_loops
async def test_the_socket_is_asked_when_it_matters() -> None:
    """With `ask`, an end that lies in the socket unread by the loop is seen, and the connection not used."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        connections = pool(f"http://127.0.0.1:{listener.getsockname()[1]}", Hand())
        connections.release(await connections.connect())
        accepted, _ = listener.accept()
        accepted.close()
        assert connections.take(ask=True) is None
        await connections.aclose()


@on_both_loops
async def test_a_socket_with_something_to_read() -> None:
    """`readable` tells an end and unread bytes from silence; without a socket there is nothing to wait for."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        assert not readable(ours.fileno())
        theirs.send(b"x")
        assert readable(ours.fileno())
        ours.recv(1)
        assert not readable(ours.fileno())
        theirs.shutdown(socket.SHUT_WR)
        assert readable(ours.fileno())
    assert readable(-1)


@on_both_loops
async def test_a_closed_connection_is_forgotten() -> None:
    """A waiting connection that the backend closes is neither open nor waiting any more."""
    close = asyncio.Event()

    async def script(peer: Peer) -> None:
        await close.wait()

    async with serving(script) as server:
        connections = pool(server.url, Hand())
        connections.release(await connections.connect())
        assert (connections.open, connections.waiting) == (1, 1)
        close.set()
        while connections.open:
            await asyncio.sleep(0)
        assert connections.waiting == 0
        await connections.aclose()


@on_both_loops
async def test_an_address_without_a_server() -> None:
    """`connect` says why: refused, no such file, unknown name."""
    async with serving(Peer.end) as server:
        pass
    for url, reason in ((server.url, "connect"), ("unix:/nowhere/at.all", "connect"), ("http://x.invalid", "dns")):
        connections = pool(url, Hand())
        with pytest.raises(Broken) as caught:
            await connections.connect()
        assert (caught.value.reason, caught.value.answered) == (reason, False)
        assert connections.open == 0


@on_both_loops
async def test_an_ipv6_address_and_the_default_port() -> None:
    """Brackets and a missing port are understood."""
    connections = pool("http://[::1]", Hand())
    assert (connections._host, connections._port) == ("::1", 80)
