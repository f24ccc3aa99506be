"""A peer: the shortest reverse proxy that aiohttp's own server and client make. Prints its port."""

from __future__ import annotations

import asyncio
import sys

import aiohttp
import uvloop
from aiohttp import web


async def serve(backend: str) -> None:
    """Forward everything, for ever."""
    async with aiohttp.ClientSession(auto_decompress=False, cookie_jar=aiohttp.DummyCookieJar()) as session:

        async def forward(request: web.BaseRequest) -> web.StreamResponse:
            async with session.request(request.method, backend + request.path_qs, headers=request.headers) as answer:
                return web.Response(status=answer.status, headers=answer.headers, body=await answer.read())

        runner = web.ServerRunner(web.Server(forward))
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        print(runner.addresses[0][1], flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(sys.argv[1]))
