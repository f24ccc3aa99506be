"""A backend that rotates its refresh tokens itself, and remembers each time that one of them was brought to it.

The one idea: it is as strict as a good one. A token is good once, and comes back as stolen, which ends its family, but
for the last one that was traded: to that the same successor is given for a short time (the answer may have been lost
on its way to the gateway, where nobody can help).
"""

from __future__ import annotations

import asyncio
import base64
import json
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from aiohttp import web

from tests.crash.history import Forward, read_token

GRACE: Final = 20.0
"""Seconds in which a lost answer can be had again: longer than the claim of a gateway that was killed."""
_WORK: Final = 0.01
"""Seconds that a refresh takes."""


@dataclass
class _Family:
    user: str
    current: str
    parent: str = ""
    traded: float = 0.0


@dataclass
class Rotating:
    """The backend, and what it was asked."""

    url: str = ""
    forwards: list[Forward] = field(default_factory=list)
    _families: dict[str, _Family] = field(default_factory=dict)

    async def login(self, request: web.Request) -> web.Response:
        user, family = (await request.json())["user"], secrets.token_hex(8)
        token = _minted(user, family, 1)
        self._families[family] = _Family(user, token)
        return _pair(token, user)

    async def refresh(self, request: web.Request) -> web.Response:
        text, began, status = (await request.json())["refreshToken"], time.monotonic(), 0
        try:
            await asyncio.sleep(_WORK)
            answer = self._traded(text)
            status = answer.status
            return answer
        finally:
            self.forwards.append(Forward(read_token(text).digest, began, time.monotonic(), status))

    async def logout(self, request: web.Request) -> web.Response:
        self._families.pop(read_token((await request.json())["refreshToken"]).family, None)
        return web.Response(status=204)

    def _traded(self, text: str) -> web.Response:
        shown, now = read_token(text), time.monotonic()
        family = self._families.get(shown.family)
        if family is not None and text == family.parent and now - family.traded <= GRACE:
            return _pair(family.current, family.user)
        if family is None or text != family.current:
            self._families.pop(shown.family, None)
            return web.json_response({"message": "no"}, status=401)
        family.current, family.parent, family.traded = (
            _minted(family.user, shown.family, shown.generation + 1), text, now
        )  # fmt: skip
        return _pair(family.current, family.user)


def _minted(user: str, family: str, generation: int) -> str:
    parts: list[dict[str, Any]] = [
        {"alg": "HS256"}, {"sub": user, "fid": family, "gen": generation, "jti": secrets.token_hex(8)}
    ]  # fmt: skip
    texts = [base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in parts]
    return ".".join([*texts, "c2ln"])


def _pair(token: str, user: str) -> web.Response:
    return web.json_response({"user": {"id": user}, "accessToken": "hush-access", "refreshToken": token})


@asynccontextmanager
async def running_rotating() -> AsyncIterator[Rotating]:
    """Serve it on a free port of loopback; a request whose client is gone is given up."""
    backend = Rotating()
    app = web.Application()
    for action in ("login", "refresh", "logout"):
        app.router.add_post(f"/api/auth/{action}", getattr(backend, action))
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    backend.url = f"http://{host}:{port}"
    try:
        yield backend
    finally:
        await runner.cleanup()
