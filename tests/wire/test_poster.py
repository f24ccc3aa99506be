"""Sending a form to a token endpoint."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

import pytest
from aiohttp import web

from gateway.errors import GatewayError
from gateway.wire.poster import LARGEST, Poster

Serve = Callable[[Callable[[web.Request], web.StreamResponse]], "str"]


@pytest.fixture
async def poster() -> AsyncIterator[Poster]:
    """A poster, closed at the end."""
    poster = Poster()
    yield poster
    await poster.aclose()


async def serve(answer: Callable[[web.Request], web.StreamResponse], calls: list[bytes]) -> tuple[web.AppRunner, str]:
    async def handle(request: web.Request) -> web.StreamResponse:
        calls.append(await request.read())
        return answer(request)

    application = web.Application()
    application.router.add_route("*", "/{path:.*}", handle)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    return runner, f"http://127.0.0.1:{runner.addresses[0][1]}"


async def test_sends_and_reads(poster: Poster) -> None:
    """Fields and content arrive, and status and content come back, whatever the status is."""
    calls: list[bytes] = []
    runner, url = await serve(lambda r: web.Response(status=400, text=r.headers["Content-Type"]), calls)
    sent = await poster(f"{url}/token", [(b"Content-Type", b"application/x-www-form-urlencoded")], b"a=b")
    assert sent == (400, b"application/x-www-form-urlencoded")
    assert calls == [b"a=b"]
    await runner.cleanup()


async def test_follows_nothing(poster: Poster) -> None:
    """A redirect is an answer: credentials go to the address that is configured and nowhere else."""
    calls: list[bytes] = []
    runner, url = await serve(lambda _: web.Response(status=307, headers={"Location": "/other"}), calls)
    assert (await poster(f"{url}/token", [], b"hush"))[0] == 307
    assert len(calls) == 1
    await runner.cleanup()


async def test_a_large_answer_is_no_answer(poster: Poster) -> None:
    """No more than the largest size is held."""
    runner, url = await serve(lambda _: web.Response(body=b"x" * (LARGEST + 1)), [])
    with pytest.raises(GatewayError) as error:
        await poster(url, [], b"")
    assert error.value.private == "the answer is too large"
    await runner.cleanup()


async def test_nobody_there(poster: Poster) -> None:
    """What goes wrong is told in our words, without what was sent."""
    runner, url = await serve(lambda _: web.Response(), [])
    await runner.cleanup()
    with pytest.raises(GatewayError) as error:
        await poster(f"{url}/hush", [], b"hush")
    assert error.value.code == "upstream-unreachable"
    assert "hush" not in str(error.value)
