"""What the library's exceptions become."""

from __future__ import annotations

import ssl
from typing import Any, cast

import aiohttp
import pytest
from aiohttp.client_reqrep import ConnectionKey

from gateway.wire.vendor_failures import failure

KEY = cast(ConnectionKey, ConnectionKey("vendor", 443, True, True, None, None, None, None))
INFO = cast(Any, None)


@pytest.mark.parametrize(
    ("error", "code", "reason"),
    [
        (aiohttp.ConnectionTimeoutError("hush-url"), "upstream-unreachable", "connect"),
        (aiohttp.ClientConnectorDNSError(KEY, OSError(-2, "hush-name")), "upstream-unreachable", "dns"),
        (aiohttp.ClientConnectorSSLError(KEY, ssl.SSLError(1, "hush-tls")), "upstream-unreachable", "tls"),
        (aiohttp.ClientConnectorError(KEY, OSError(111, "hush-refused")), "upstream-unreachable", "connect"),
        (aiohttp.ClientResponseError(INFO, (), message="hush-line"), "upstream-unreachable", "protocol"),
        (aiohttp.ClientPayloadError("hush-payload"), "upstream-unreachable", "disconnect"),
        (aiohttp.ServerDisconnectedError("hush-part"), "upstream-unreachable", "disconnect"),
        (aiohttp.ClientOSError(104, "hush-reset"), "upstream-unreachable", "disconnect"),
        (ConnectionResetError("hush-reset"), "upstream-unreachable", "disconnect"),
        (aiohttp.InvalidURL("hush-url"), "bad-request", ""),
        (ValueError("hush-field"), "bad-request", ""),
    ],
)
def test_each_failure_has_one_meaning(error: Exception, code: str, reason: str) -> None:
    """Every exception has its code and reason, and a text that quotes nothing of it."""
    meaning = failure(error)
    assert meaning is not None
    assert (meaning.code, meaning.reason) == (code, reason)
    assert "hush-" not in meaning.text


def test_what_is_not_the_librarys_has_no_meaning() -> None:
    """An error of ours is none of the vendor's."""
    assert failure(KeyError("x")) is None
