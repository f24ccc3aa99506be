"""Login answers that get no pair: the operator is told, unless that is as it should be."""

from __future__ import annotations

import pytest

from gateway.exchange import Exchange, Headers
from gateway.tokens.events import LoginUnreadable
from gateway.tokens.memory import MemoryLedger
from tests.tokens.support import Portal, SetClock, token_settings

JSON: Headers = [(b"Content-Type", b"application/json")]


@pytest.mark.parametrize(
    ("status", "headers", "content", "told"),
    [
        (200, [(b"Content-Type", b"text/html")], b"<p>", True),
        (200, JSON, b'{"user":{"id":"%s"}}' % (b"u" * 300), True),
        (200, JSON, b'{"user":{"id":"u","email":1e400}}', True),
        (200, [*JSON, (b"Content-Encoding", b"br")], b"\x00", True),
        (200, JSON, b'{"mfa":"required"}', False),
        (200, JSON, b'{"user":{"id":null}}', False),
        (401, JSON, b'{"message":"no"}', False),
    ],
)
async def test_an_unreadable_login_is_told(status: int, headers: Headers, content: bytes, told: bool) -> None:
    """An answer that should name somebody and cannot be used passes unchanged and is told; a second factor is not."""
    clock = SetClock()
    portal = Portal(MemoryLedger(token_settings().policy, clock), clock)
    portal.backend.status, portal.backend.headers, portal.backend.content = status, headers, content
    outcome = await portal.send(Exchange("POST", b"/login"))
    assert (outcome.status, outcome.content) == (status, content)
    assert bool(portal.reported(LoginUnreadable)) is told
