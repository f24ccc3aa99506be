"""What aiohttp's exceptions mean here: the one place that names them.

The one idea: the texts are ours. Those of the library may quote the URL, fields or content of the call.
"""

from __future__ import annotations

import ssl
from typing import NamedTuple

import aiohttp

from gateway.errors import Code


class Failure(NamedTuple):
    """A failure as the client, the metrics and the log are told of it."""

    code: Code
    reason: str
    """As in `gateway.wire.events.UpstreamFailed`; empty when the vendor is not to blame."""
    text: str


_FAILURES: tuple[tuple[type[Exception], Failure], ...] = (
    (aiohttp.ConnectionTimeoutError, Failure("upstream-unreachable", "connect", "no connection in time")),
    (aiohttp.ClientConnectorDNSError, Failure("upstream-unreachable", "dns", "the vendor's name is not known")),
    (aiohttp.ClientSSLError, Failure("upstream-unreachable", "tls", "the TLS handshake failed")),
    (ssl.SSLError, Failure("upstream-unreachable", "tls", "TLS failed")),
    (aiohttp.ClientConnectorError, Failure("upstream-unreachable", "connect", "the vendor cannot be reached")),
    (aiohttp.ClientResponseError, Failure("upstream-unreachable", "protocol", "the vendor's answer is not HTTP")),
    (aiohttp.ClientPayloadError, Failure("upstream-unreachable", "disconnect", "the vendor broke off in the content")),
    (aiohttp.InvalidURL, Failure("bad-request", "", "aiohttp refuses the URL")),
    (aiohttp.ClientConnectionError, Failure("upstream-unreachable", "disconnect", "the vendor closed the connection")),
    (OSError, Failure("upstream-unreachable", "disconnect", "the connection failed")),
    (ValueError, Failure("bad-request", "", "aiohttp refuses the method or a field")),
)
"""The first that fits; the order matters, because several of these are subclasses of others below."""


def failure(error: Exception) -> Failure | None:
    """Return what an exception of aiohttp means, None when it is none of its own."""
    for kind, meaning in _FAILURES:
        if isinstance(error, kind):
            if isinstance(error, aiohttp.ClientConnectorCertificateError):
                verdict = getattr(error.certificate_error, "verify_message", "")
                return meaning._replace(text=f"the vendor's certificate does not hold: {verdict}")
            return meaning
    return None
