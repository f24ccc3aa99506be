"""From a URL to connections: to which server, as whom, and with what trust.

The one idea: every connection of the gateway is made here, so none is without a deadline to connect, repeats by itself,
or speaks TLS to a server whose certificate and name were not verified.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from gateway.errors import StartError
from gateway.redis_client.connection import Connection
from gateway.redis_client.settings import RedisSettings
from gateway.redis_client.url import RedisUrl, Server

Make = Callable[[], Awaitable[Connection]]
"""Makes a connection: reached, verified, authenticated, its database selected.

Raises:
    redis.exceptions.RedisError, OSError: when it cannot be.
"""

_Reach = Callable[[], Awaitable[tuple[Any, Connection]]]


class Dial:
    """Makes the connections that a URL stands for.

    Raises:
        StartError: when `redis.ca_file` cannot be used.
    """

    def __init__(self, url: RedisUrl, settings: RedisSettings) -> None:
        self._url = url
        self._connect_timeout = settings.connect_timeout
        self._tls = _verified(settings.ca_file) if url.tls else None
        self._credentials = (url.username, url.password) if url.username else (url.password,)

    def socket(self) -> Make:
        """Return what connects to the unix socket."""

        def reach() -> Awaitable[tuple[Any, Connection]]:
            return asyncio.get_running_loop().create_unix_connection(Connection, self._url.path)

        return lambda: self._made(reach, known=True, database=self._url.database)

    def server(self, address: Server) -> Make:
        """Return what connects to a server that holds data."""
        return lambda: self._made(self._to(address), known=True, database=self._url.database)

    def sentinel(self, address: Server, *, known: bool) -> Make:
        """Return what connects to a Sentinel, with the URL's user and password only when `known`."""
        return lambda: self._made(self._to(address), known=known)

    @property
    def has_credentials(self) -> bool:
        """Whether the URL names a user or a password."""
        return bool(self._url.username or self._url.password)

    def _to(self, address: Server) -> _Reach:
        host, port = address

        def reach() -> Awaitable[tuple[Any, Connection]]:
            name = host if self._tls else None
            loop = asyncio.get_running_loop()
            return loop.create_connection(Connection, host, port, ssl=self._tls, server_hostname=name)

        return reach

    async def _made(self, reach: _Reach, *, known: bool, database: int = 0) -> Connection:
        async with asyncio.timeout(self._connect_timeout):
            _, connection = await reach()
        try:
            if known and self.has_credentials:
                await connection.send("AUTH", *self._credentials)
            if database:
                await connection.send("SELECT", database)
        except BaseException:
            connection.retire(0)
            raise
        return connection


def trusted(ca_file: Path | None) -> ssl.SSLContext:
    """Return what verifies a server's certificate and name: by the authorities in a PEM file and no others, or by the
    system's.

    Raises:
        OSError: when the file cannot be read, or holds no certificate (`ssl.SSLError`).
    """
    return ssl.create_default_context(cafile=ca_file)


def _verified(ca_file: Path | None) -> ssl.SSLContext:
    try:
        return trusted(ca_file)
    except OSError as error:
        why = "holds no certificate in PEM form" if isinstance(error, ssl.SSLError) else error.strerror
        raise StartError(f"redis.ca_file: {ca_file} {why}") from None
