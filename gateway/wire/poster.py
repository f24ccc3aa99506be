"""Sends a form to an address that is not an upstream's own: a vendor's token endpoint.

The one idea: as little as possible can happen. No redirect is followed, no proxy or cookie is used, the answer has a
largest size, and what goes wrong is told in our words, since those of the library may quote what was sent.
"""

from __future__ import annotations

import ssl
from typing import Final

import aiohttp
from yarl import URL

from gateway.errors import GatewayError
from gateway.exchange import Headers
from gateway.wire.vendor_failures import failure

LARGEST: Final = 64 * 1024
"""Bytes of an answer."""


class Poster:
    """POSTs over connections of its own, with TLS that is verified against the system's authorities.

    A limit on the time is the caller's, who cancels.
    """

    def __init__(self) -> None:
        self._session: aiohttp.ClientSession | None = None

    async def __call__(self, url: str, headers: Headers, content: bytes) -> tuple[int, bytes]:
        """Return status and content of the answer.

        Raises:
            GatewayError: `upstream-unreachable`, or what else keeps the call from being sent.
        """
        session = self._session or self._open()
        fields = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in headers]
        try:
            async with session.post(
                URL(url, encoded=True), data=content, headers=fields, allow_redirects=False
            ) as response:
                answer = bytearray()
                async for piece in response.content.iter_any():
                    answer += piece
                    if len(answer) > LARGEST:
                        raise GatewayError("upstream-unreachable", private="the answer is too large")
                return response.status, bytes(answer)
        except (aiohttp.ClientError, OSError, ValueError) as error:
            failed = failure(error)
            assert failed is not None
            raise GatewayError(failed.code, private=failed.text) from None

    async def aclose(self) -> None:
        """Close every connection, also those in use."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    def _open(self) -> aiohttp.ClientSession:
        """Make the session; it belongs to the loop of the first call."""
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=ssl.create_default_context()),
            timeout=aiohttp.ClientTimeout(total=None),
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
        )
        return self._session
