"""From a URL to connections: to which server, as whom, and with what trust.

The one idea: every connection of the gateway is made here, so none is without a deadline to connect, repeats by itself,
or speaks TLS to a server whose certificate and name were not verified.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from redis.asyncio.connection import (
    AbstractConnection,
    Connection,
    RedisSSLContext,
    SSLConnection,
    UnixDomainSocketConnection,
)
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from gateway.errors import StartError
from gateway.redis_client.settings import RedisSettings
from gateway.redis_client.url import RedisUrl, Server

Make = Callable[[], AbstractConnection]
"""Makes a connection that is not yet set up."""

_PROTOCOL: Final = 2


class Dial:
    """Makes the connections that a URL stands for.

    Raises:
        StartError: when `redis.ca_file` cannot be used.
    """

    def __init__(self, url: RedisUrl, settings: RedisSettings) -> None:
        self._url = url
        self._connect_timeout = settings.connect_timeout
        self._tls = _verified(settings.ca_file) if url.tls else None

    def socket(self) -> Make:
        """Return what connects to the unix socket."""
        options = self._options(known=True) | {"path": self._url.path, "db": self._url.database}
        return lambda: UnixDomainSocketConnection(**options)

    def server(self, address: Server) -> Make:
        """Return what connects to a server that holds data."""
        return self._to(address, self._options(known=True) | {"db": self._url.database})

    def sentinel(self, address: Server, *, known: bool) -> Make:
        """Return what connects to a Sentinel, with the URL's user and password only when `known`."""
        return self._to(address, self._options(known=known))

    @property
    def has_credentials(self) -> bool:
        """Whether the URL names a user or a password."""
        return bool(self._url.username or self._url.password)

    def _to(self, address: Server, options: dict[str, Any]) -> Make:
        host, port = address
        options |= {"host": host, "port": port}
        tls = self._tls
        if tls is None:
            return lambda: Connection(**options)

        def make() -> AbstractConnection:
            connection = SSLConnection(**options)
            connection.ssl_context = tls  # one for all: reading the trusted authorities blocks for some 20 ms
            return connection

        return make

    def _options(self, *, known: bool) -> dict[str, Any]:
        return {
            "username": (self._url.username or None) if known else None,
            "password": (self._url.password or None) if known else None,
            "protocol": _PROTOCOL,
            "decode_responses": False,
            "driver_info": None,  # two commands less to set up
            "retry": Retry(NoBackoff(), 0),  # who asks decides what is repeated
            "socket_timeout": None,  # bounded as a whole by who asks
            "socket_connect_timeout": self._connect_timeout,
        }


def trusted(ca_file: Path | None) -> ssl.SSLContext:
    """Return what verifies a server's certificate and name: by the authorities in a PEM file and no others, or by the
    system's.

    Raises:
        OSError: when the file cannot be read, or holds no certificate (`ssl.SSLError`).
    """
    return ssl.create_default_context(cafile=ca_file)


def _verified(ca_file: Path | None) -> RedisSSLContext:
    context = RedisSSLContext(cert_reqs="required", check_hostname=True)
    try:
        context.context = trusted(ca_file)
    except OSError as error:
        why = "holds no certificate in PEM form" if isinstance(error, ssl.SSLError) else error.strerror
        raise StartError(f"redis.ca_file: {ca_file} {why}") from None
    return context
