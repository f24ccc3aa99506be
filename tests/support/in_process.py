"""Calls an aiohttp application without a socket, so that a server takes part in a test in virtual time.

The one idea: a request is made by hand and given to the application's own road, middlewares and all; what the
application would start beside it (timers that watch the loop) is not started.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import NamedTuple
from unittest import mock

from aiohttp import StreamReader, web
from aiohttp.base_protocol import BaseProtocol
from aiohttp.test_utils import make_mocked_request
from multidict import CIMultiDict, CIMultiDictProxy


class Answered(NamedTuple):
    """An answer, read to its end."""

    status: int
    headers: CIMultiDictProxy[str]
    body: bytes


class InProcess:
    """An application that is called within the process, on the running loop."""

    def __init__(self, application: web.Application, host: str = "vendor.example") -> None:
        self._application = application
        self._host = host
        # Nothing is written: the answer is handed over.
        self._connection = mock.Mock(ssl_context=None, peername=("127.0.0.1", 0))
        application.freeze()

    async def call(
        self, method: str, target: str, headers: Mapping[str, str] | None = None, body: bytes = b""
    ) -> Answered:
        """Make one call; `target` is a path with its query."""
        loop = asyncio.get_running_loop()
        payload = StreamReader(BaseProtocol(loop), 2**16, loop=loop)
        payload.feed_data(body)
        payload.feed_eof()
        fields = CIMultiDict({"Host": self._host, "Content-Length": str(len(body)), **(headers or {})})
        request = make_mocked_request(
            method,
            target,
            headers=fields,
            payload=payload,
            app=self._application,
            loop=loop,
            client_max_size=0,
            writer=self._connection,
            protocol=self._connection,
            transport=self._connection,
        )
        answer = await self._application._handle(request)
        assert isinstance(answer, web.Response)
        return Answered(answer.status, CIMultiDictProxy(answer.headers), bytes(answer.body or b""))
