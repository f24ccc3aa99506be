"""Calls of WHMCS's API and its answers, for the tests of the room."""

from __future__ import annotations

import json
from typing import Any

from gateway.exchange import Body, Buffered, Exchange, Headers, Reply
from gateway.whmcs.settings import WhmcsAuth

TARGET = b"/includes/api.php"
FORM = b"application/x-www-form-urlencoded"


def auth(**changes: Any) -> WhmcsAuth:
    """The gateway's own credentials."""
    return WhmcsAuth.model_validate({"type": "whmcs", "identifier": "own", "secret": "hush-own"} | changes)


def call(
    content: bytes | Body = b"action=GetClients&secret=hush-theirs",
    *,
    kind: bytes | None = FORM,
    method: str = "POST",
    target: bytes = TARGET,
    more: Headers | None = None,
) -> Exchange:
    """A call as a client makes it."""
    body = Buffered(content) if isinstance(content, bytes) else content
    length = [(b"content-length", b"%d" % body.length)] if body.length is not None else []
    types = [(b"Content-Type", kind)] if kind is not None else []
    return Exchange(method, target, [(b"Host", b"x"), *length, *types, *(more or [])], body)


def told(result: str, status: int = 200, **more: Any) -> Reply:
    """An answer."""
    content = json.dumps({"result": result, **more}).encode()
    return Reply(status, [(b"Content-Type", b"application/json")], Buffered(content))


WRONG = {"status": 403, "message": "Authentication Failed"}
