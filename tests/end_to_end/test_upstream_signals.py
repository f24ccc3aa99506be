"""What a vendor's answers and failures lead to, through real sockets."""

from __future__ import annotations

import asyncio
import math
import re
import signal
import time
from email.utils import formatdate
from typing import Any

import aiohttp
import pytest

from tests.end_to_end.conftest import StartGateway
from tests.end_to_end.vendor_script import OK, Gate, ScriptedVendor, resets, says
from tests.support.process import GatewayProcess
from tests.wire.clients import Client
from tests.wire.raw_server import RawServer, serving

SOON = 10.0
BUSY = "503 Service Unavailable"
FAILED = "500 Internal Server Error"


def policy(vendor: RawServer, **changes: Any) -> dict[str, dict[str, Any]]:
    """The policy `crm`, with one permit."""
    lane = {"name": "default", "concurrency": 1, "timeout": "30s"}
    return {"crm": {"base_url": vendor.url, "rate": {"cap": 100}, "lanes": [lane], **changes}}


async def ask(client: aiohttp.ClientSession, gateway: GatewayProcess, method: str = "GET", **more: Any) -> Any:
    """Make a call; return its answer, read to the end."""
    async with client.request(method, gateway.url("crm") + "/x", **more) as response:
        await response.read()
        return response


async def metric(client: aiohttp.ClientSession, gateway: GatewayProcess, name: str, *labels: str) -> float:
    async with client.get(gateway.url("admin") + "/metrics") as response:
        for line in (await response.text()).splitlines():
            if line.startswith(f"gateway_{name}{{") and all(label in line for label in labels):
                return float(line.rpartition(" ")[2])
    raise AssertionError(f"no metric {name}")


async def until(client: aiohttp.ClientSession, gateway: GatewayProcess, value: float, name: str, *labels: str) -> None:
    async with asyncio.timeout(SOON):
        while await metric(client, gateway, name, *labels) != value:
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("form", ["seconds", "date"])
async def test_case_23_retry_after_pauses_the_lane(
    start_gateway: StartGateway, client: aiohttp.ClientSession, form: str
) -> None:
    """Given a 503 with `Retry-After`, in seconds or as a date, then the next call reaches the vendor no sooner."""
    due = math.floor(time.time()) + 2
    value = "1" if form == "seconds" else formatdate(due, usegmt=True)
    vendor = ScriptedVendor(says(BUSY, f"Retry-After: {value}"))
    async with serving(vendor) as server:
        gateway = await start_gateway(policies=policy(server))
        refused = await ask(client, gateway)
        assert (refused.status, refused.headers["Retry-After"]) == (503, value)
        assert (await ask(client, gateway)).status == 200
    assert vendor.times[1] - vendor.times[0] >= 1.0 if form == "seconds" else vendor.walls[1] >= due


async def test_case_24_a_post_that_is_reset_is_not_replayed_and_a_get_is(
    start_gateway: StartGateway, client: aiohttp.ClientSession
) -> None:
    """Given a vendor that resets a call it has read, then a POST is 502 and was sent once, and a GET is sent again."""
    vendor = ScriptedVendor(resets, resets)
    async with serving(vendor) as server:
        gateway = await start_gateway(policies=policy(server, retry={}))
        assert (await ask(client, gateway, "POST", data=b"order")).status == 502
        assert vendor.calls == [(b"POST /x HTTP/1.1", b"order")]
        assert (await ask(client, gateway)).status == 200
        assert [line for line, _ in vendor.calls[1:]] == [b"GET /x HTTP/1.1"] * 2
        assert await metric(client, gateway, "upstream_retries_total", 'reason="disconnect"') == 1
        assert await metric(client, gateway, "throttle_window_used_ratio") == 0.03


async def test_case_25_a_slow_upload_holds_no_permit(
    start_gateway: StartGateway, client: aiohttp.ClientSession
) -> None:
    """Given one permit and an upload that waits for its 100 and then stalls, then another call is served meanwhile;
    the upload is written when it is in, and one whose client goes away leaves no trace."""
    vendor = ScriptedVendor()
    async with serving(vendor) as server:
        gateway = await start_gateway(policies=policy(server))
        upload, leaver = [await Client.connect(gateway.addresses["crm"]) for _ in range(2)]
        for each in (upload, leaver):
            await each.send(b"PUT /up HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\nExpect: 100-continue\r\n\r\n")
            assert (await each.head()).startswith(b"HTTP/1.1 100 ")
            await each.send(b"01234")
        assert (await ask(client, gateway)).status == 200
        assert await metric(client, gateway, "throttle_in_flight") == 0
        leaver.close()
        await until(client, gateway, 1, "requests_in_flight", "egress")
        await upload.send(b"56789")
        assert (await upload.head()).startswith(b"HTTP/1.1 200 ")
        assert await upload.exactly(2) == b"ok"
        upload.close()
        assert vendor.calls == [(b"GET /x HTTP/1.1", b""), (b"PUT /up HTTP/1.1", b"0123456789")]
        await until(client, gateway, 0, "requests_in_flight", "egress")


async def test_case_25_a_large_upload_streams_and_is_not_replayed(
    start_gateway: StartGateway, client: aiohttp.ClientSession
) -> None:
    """Given a PUT of more than 256 KiB, then it arrives whole, and a 503 is passed on; the same call with a content of
    256 KiB is sent again."""
    vendor = ScriptedVendor(says(BUSY), says(BUSY))
    large, small = b"x" * (1024 * 1024), b"y" * (256 * 1024)
    async with serving(vendor) as server:
        gateway = await start_gateway(policies=policy(server, retry={}))
        assert (await ask(client, gateway, "PUT", data=large)).status == 503
        assert (await ask(client, gateway, "PUT", data=small)).status == 200
    assert [content for _, content in vendor.calls] == [large, small, small]


async def test_case_26_the_breaker_opens_probes_and_closes(
    start_gateway: StartGateway, client: aiohttp.ClientSession
) -> None:
    """Given two failures, then calls are 503 `breaker-open` at once and the vendor is left alone; then one probe goes,
    alone, and its success lets all through."""
    probe = Gate(b"", OK)
    vendor = ScriptedVendor(says(FAILED), resets, probe)
    async with serving(vendor) as server:
        breaker = {"failures": 2, "open_for": "2s"}
        gateway = await start_gateway(policies=policy(server, breaker=breaker))
        assert [(await ask(client, gateway)).status for _ in range(2)] == [500, 502]
        refused = await ask(client, gateway, "POST", data=b"x")
        assert (refused.status, refused.headers["Retry-After"] in ("1", "2")) == (503, True)
        assert await metric(client, gateway, "breaker_open") == 1
        assert await metric(client, gateway, "throttle_calls_total", "breaker_open") == 1

        async def persist() -> int:
            while (status := (await ask(client, gateway)).status) == 503:
                await asyncio.sleep(0.02)
            return status

        async with asyncio.timeout(SOON), asyncio.TaskGroup() as group:
            probing = group.create_task(persist())
            while len(vendor.calls) < 3:
                await asyncio.sleep(0.01)
            assert [(await ask(client, gateway)).status for _ in range(3)] == [503] * 3
            probe.opened.set()
        assert probing.result() == 200
        assert vendor.times[2] - vendor.times[1] >= 2.0
        assert (await ask(client, gateway)).status == 200
        assert await metric(client, gateway, "breaker_open") == 0
        await gateway.logged("Breaker opened", SOON)
        await gateway.logged("Breaker closed", SOON)


async def test_case_28_a_body_that_streams_slowly_holds_its_permit(
    start_gateway: StartGateway, client: aiohttp.ClientSession
) -> None:
    """Given one permit and an answer whose content takes its time, then the next call waits until its last byte."""
    slow = Gate(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nab", b"cd")
    vendor = ScriptedVendor(slow)
    async with serving(vendor) as server:
        gateway = await start_gateway(policies=policy(server))
        async with client.get(gateway.url("crm") + "/slow") as response, asyncio.TaskGroup() as group:
            assert await response.content.readexactly(2) == b"ab"
            waiting = group.create_task(ask(client, gateway))
            await until(client, gateway, 1, "throttle_queue_depth")
            assert await metric(client, gateway, "throttle_in_flight") == 1
            assert len(vendor.calls) == 1
            slow.opened.set()
            assert await response.read() == b"cd"
        assert waiting.result().status == 200
        await until(client, gateway, 0, "throttle_in_flight")


async def test_case_29_a_retry_counts_in_the_window(start_gateway: StartGateway, client: aiohttp.ClientSession) -> None:
    """Given a cap of two, when a call is made twice, then no slot is left, and the answer tells where the time went."""
    vendor = ScriptedVendor(says(BUSY))
    async with serving(vendor) as server:
        gateway = await start_gateway(policies=policy(server, rate={"cap": 2}, retry={}, annotate=True))
        answer = await ask(client, gateway)
        assert answer.status == 200
        assert len(vendor.calls) == 2
        assert await metric(client, gateway, "throttle_window_used_ratio") == 1
        assert await metric(client, gateway, "upstream_retries_total", 'reason="503"') == 1
        told = answer.headers["Server-Timing"]
        assert re.fullmatch(r'queue;dur=\d+\.\d, upstream;dur=\d+\.\d, attempts;desc="2"', told)


async def test_a_vendor_that_is_back_in_a_moment_is_asked_again(
    start_gateway: StartGateway, client: aiohttp.ClientSession
) -> None:
    """Given a vendor that nobody can reach, then also a POST is tried twice, has cost no slot, and is a 502."""
    async with serving(ScriptedVendor()) as server:
        pass
    gateway = await start_gateway(policies=policy(server, retry={}, annotate=True))
    answer = await ask(client, gateway, "POST", data=b"order")
    assert (answer.status, answer.headers["Server-Timing"].rpartition(", ")[2]) == (502, 'attempts;desc="2"')
    assert await metric(client, gateway, "upstream_retries_total", 'reason="unreachable"') == 1
    assert await metric(client, gateway, "throttle_window_used_ratio") == 0


async def test_case_20_a_bad_policy_on_reload_leaves_the_old_one_in_force(
    start_gateway: StartGateway, client: aiohttp.ClientSession
) -> None:
    """Given a policy that is broken while the gateway runs, then it is reported, and calls go on as before."""
    async with serving(ScriptedVendor()) as server:
        gateway = await start_gateway(policies=policy(server))
        file = gateway.folder / "policies" / "crm.yaml"
        file.write_text(file.read_text().replace("cap: 100", "cap: none"))
        await gateway.signal(signal.SIGHUP)
        (line,) = await gateway.logged("Configuration not reloaded, the one before stays", SOON)
        assert line["key"] == "rate.cap"
        assert (await ask(client, gateway)).status == 200
        assert await metric(client, gateway, "throttle_rate_limit") == 100
