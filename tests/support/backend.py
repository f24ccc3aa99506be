"""A backend of the tests' own: logs in, echoes, streams, hangs, and remembers what reached it."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import WSMsgType, web

CHUNK = bytes(range(256)) * 256
"""64 KiB that differ from each other enough to notice a shift."""


@dataclass
class Backend:
    """What the tests may look at and steer."""

    url: str = ""
    seen: list[tuple[str, str]] = field(default_factory=list)
    cancelled: int = 0
    close_codes: list[int | None] = field(default_factory=list)
    hold: asyncio.Event = field(default_factory=asyncio.Event)
    holding: asyncio.Event = field(default_factory=asyncio.Event)

    async def login(self, request: web.Request) -> web.Response:
        body = await request.json()
        if body.get("password") != "hush-pass":
            return web.json_response({"message": "no"}, status=401)
        return web.json_response({"user": {"id": body["user"], "email": "a@example.org", "role": "customer"}})

    async def upload(self, request: web.Request) -> web.Response:
        digest, size = hashlib.sha256(), 0
        async for chunk in request.content.iter_any():
            digest.update(chunk)
            size += len(chunk)
        return web.json_response({"sha256": digest.hexdigest(), "size": size})

    async def download(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        chunks = int(request.query["chunks"])
        response.content_length = chunks * len(CHUNK)
        await response.prepare(request)
        for _ in range(chunks):
            await response.write(CHUNK)
        await response.write_eof()
        return response

    async def events(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        await response.write(b"data: first\n\n")
        self.holding.set()
        try:
            await self.hold.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            self.holding.clear()
            raise
        await response.write(b"data: last\n\n")
        return response

    async def slow(self, request: web.Request) -> web.Response:
        self.holding.set()
        try:
            await self.hold.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        return web.Response(text="done")

    async def websocket(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        async for message in socket:
            if message.type is WSMsgType.TEXT:
                await socket.send_str(f"echo {message.data}")
        self.close_codes.append(socket.close_code)
        return socket

    async def echo(self, request: web.Request) -> web.Response:
        self.seen.append((request.method, request.raw_path))
        return web.json_response({"path": request.raw_path, "headers": [[k, v] for k, v in request.headers.items()]})


@asynccontextmanager
async def running_backend() -> AsyncIterator[Backend]:
    """Serve a backend on a free port of loopback."""
    backend = Backend()
    app = web.Application(client_max_size=2**40)
    app.router.add_post("/api/auth/login", backend.login)
    app.router.add_post("/upload", backend.upload)
    app.router.add_get("/download", backend.download)
    app.router.add_get("/events", backend.events)
    app.router.add_get("/slow", backend.slow)
    app.router.add_get("/ws", backend.websocket)
    app.router.add_route("*", "/{rest:.*}", backend.echo)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    backend.url = f"http://{host}:{port}"
    try:
        yield backend
    finally:
        backend.hold.set()
        await runner.cleanup()
