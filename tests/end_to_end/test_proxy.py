"""The gateway in front of a backend: what a client must not notice."""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from collections.abc import AsyncIterator

import aiohttp
import pytest

from tests.end_to_end.conftest import StartGateway
from tests.support.backend import CHUNK, Backend

QUARTER_GIB = 256 * 1024 * 1024 // len(CHUNK)
GROWTH_ALLOWED = 50 * 1024 * 1024


async def test_target_and_headers_reach_the_backend_as_sent(start_gateway: StartGateway, backend: Backend) -> None:
    """An odd target, the case of names and duplicates arrive unchanged; forwarding fields are added."""
    gateway = await start_gateway()
    host, port = gateway.addresses["ingress"].split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(
        b"GET /a/%7e/./b//c?x=%20&y=%zz HTTP/1.1\r\nHost: shop.example\r\nX-OdD: 1\r\nx-odd: 2\r\n"
        b"Connection: close\r\n\r\n"
    )
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    seen = json.loads(answer.partition(b"\r\n\r\n")[2])
    assert seen["path"] == "/a/%7e/./b//c?x=%20&y=%zz"
    headers = [tuple(pair) for pair in seen["headers"]]
    assert [pair for pair in headers if pair[0].lower() == "x-odd"] == [("X-OdD", "1"), ("x-odd", "2")]
    assert ("X-Forwarded-For", "127.0.0.1") in headers
    assert ("X-Forwarded-Host", "shop.example") in headers
    assert ("Host", "shop.example") in headers


async def test_quarter_of_a_gib_both_ways_in_constant_memory(
    start_gateway: StartGateway, client: aiohttp.ClientSession
) -> None:
    """256 MiB up and 256 MiB down arrive with equal SHA-256, and the gateway grows by less than 50 MiB."""
    gateway = await start_gateway()
    async with client.get(gateway.url() + "/warm") as response:
        assert response.status == 200
    before = peak = gateway.rss()
    expected = hashlib.sha256()
    for _ in range(QUARTER_GIB):
        expected.update(CHUNK)

    async def body() -> AsyncIterator[bytes]:
        nonlocal peak
        for number in range(QUARTER_GIB):
            if number % 64 == 0:
                peak = max(peak, gateway.rss())
            yield CHUNK

    async with client.post(gateway.url() + "/upload", data=body()) as response:
        told = await response.json()
    assert told == {"sha256": expected.hexdigest(), "size": QUARTER_GIB * len(CHUNK)}

    digest, number = hashlib.sha256(), 0
    async with client.get(gateway.url() + f"/download?chunks={QUARTER_GIB}") as response:
        async for chunk in response.content.iter_any():
            digest.update(chunk)
            number += 1
            if number % 64 == 0:
                peak = max(peak, gateway.rss())
    assert digest.digest() == expected.digest()
    assert peak - before < GROWTH_ALLOWED


async def test_first_server_sent_event_arrives_at_once(
    start_gateway: StartGateway, client: aiohttp.ClientSession, backend: Backend
) -> None:
    """The first event of a stream that then goes silent is there within 100 ms."""
    gateway = await start_gateway()
    async with client.get(gateway.url() + "/warm"):
        pass
    started = time.monotonic()
    async with client.get(gateway.url() + "/events") as response:
        assert await response.content.readuntil(b"\n\n") == b"data: first\n\n"
        assert time.monotonic() - started < 0.1
        backend.hold.set()
        assert await response.content.read() == b"data: last\n\n"


async def test_a_client_that_leaves_cancels_the_backends_work(
    start_gateway: StartGateway, client: aiohttp.ClientSession, backend: Backend
) -> None:
    """When the client disconnects, the backend's handler is cancelled within a second."""
    gateway = await start_gateway()
    response = await client.get(gateway.url() + "/events")
    await backend.holding.wait()
    response.close()
    async with asyncio.timeout(1):
        while not backend.cancelled:
            await asyncio.sleep(0)


async def test_websockets_are_tunnelled(
    start_gateway: StartGateway, client: aiohttp.ClientSession, backend: Backend
) -> None:
    """A WebSocket through the gateway carries messages both ways, and the client's closing code."""
    gateway = await start_gateway()
    async with client.ws_connect(gateway.url() + "/ws") as socket:
        for number in range(100):
            await socket.send_str(str(number))
            assert (await socket.receive_str()) == f"echo {number}"
        await socket.close(code=4001)
    assert backend.close_codes == [4001]


@pytest.mark.parametrize(("shape", "kind"), [("problem", "application/problem+json"), ("nest", "application/json")])
async def test_an_unreachable_backend_is_502_in_both_shapes(
    start_gateway: StartGateway, client: aiohttp.ClientSession, shape: str, kind: str
) -> None:
    """Nothing listening behind the gateway is a 502 with a body in the configured shape, without internals."""
    gateway = await start_gateway(ingress={"backend": "http://127.0.0.1:9", "errors": shape})
    async with client.get(gateway.url() + "/x") as response:
        assert response.status == 502
        assert response.content_type == kind
        told = await response.json()
    assert told.get("type", "urn:gateway:error:upstream-unreachable") == "urn:gateway:error:upstream-unreachable"
    assert "127.0.0.1" not in json.dumps(told)


async def test_a_silent_backend_is_504(
    start_gateway: StartGateway, client: aiohttp.ClientSession, backend: Backend
) -> None:
    """A backend that does not answer within `response_timeout` is a 504, and its work is cancelled."""
    gateway = await start_gateway(ingress={"response_timeout": "200ms"})
    async with client.get(gateway.url() + "/slow") as response:
        assert response.status == 504
        assert (await response.json())["type"] == "urn:gateway:error:upstream-timeout"
    async with asyncio.timeout(5):
        while not backend.cancelled:
            await asyncio.sleep(0)
