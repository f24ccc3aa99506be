"""From a URL to connections: where Redis is, who we are to it, and how long setting up may take.

The one idea: the URL says only where and who. How the gateway waits, repeats and verifies is its own affair, so no
option of a URL can change it, and no text that leaves this module repeats any part of a URL.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from redis.asyncio.connection import AbstractConnection, Connection, RedisSSLContext, SSLConnection, parse_url
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from gateway.errors import StartError

_ALLOWED: Final = frozenset({"host", "port", "path", "db", "username", "password", "connection_class"})
_PROTOCOL: Final = 2


def connector(url: str, connect_timeout: float) -> Callable[[], AbstractConnection]:
    """Return what makes a connection (not yet set up) to the server at `url`, each within `connect_timeout` seconds.

    Raises:
        StartError: when the URL is not one of `redis://`, `rediss://` or `unix://`.
    """
    options = _parse(url)
    connection_class: type[AbstractConnection] = options.pop("connection_class", Connection)
    options |= {
        "protocol": _PROTOCOL,
        "decode_responses": False,
        "driver_info": None,  # two commands less to set up
        "retry": Retry(NoBackoff(), 0),  # who asks decides what is repeated
        "socket_timeout": None,  # bounded as a whole by who asks
        "socket_connect_timeout": connect_timeout,
    }
    if not issubclass(connection_class, SSLConnection):
        return lambda: connection_class(**options)
    tls = RedisSSLContext(cert_reqs="required", check_hostname=True)

    def make() -> AbstractConnection:
        connection = connection_class(**options)
        connection.ssl_context = tls  # one for all: reading the trusted authorities blocks for some 20 ms
        return connection

    return make


def _parse(url: str) -> dict[str, Any]:
    """Read the URL; what the library says about a bad one may hold a piece of the password, so it is not repeated."""
    try:
        options: dict[str, Any] = dict(parse_url(url))
    except ValueError:
        options = {"unreadable": True}
    if not options.keys() <= _ALLOWED:
        raise StartError(
            "redis.url cannot be read: it is redis://[USER:PASSWORD@]HOST[:PORT][/DB], rediss://… the same way, or "
            "unix:///PATH[?db=DB]; other options are not taken, and /, ?, # and @ in a password are percent-encoded"
        )
    return options
