"""What a call asks WHMCS for, by its `action`.

The one idea: every call is a POST, so its method says nothing; the action says whether it only reads (`Get*`). A call
reads only if every spelling of its action does, wherever it stands: which of them counts is up to PHP.
"""

from __future__ import annotations

from typing import Literal

from gateway.exchange import Buffered, Exchange, header
from gateway.whmcs.form import read_form
from gateway.whmcs.multipart import Unreadable
from gateway.whmcs.urlencoded import read_urlencoded

ActionClass = Literal["read", "write", "other"]
"""`Get*`; any other action; a call whose action is not told, or not in memory."""


def action_class(exchange: Exchange) -> ActionClass:
    """Return the class of a call's action."""
    actions = _actions(exchange)
    if not actions:
        return "other"
    return "read" if all(action.strip().lower().startswith(b"get") for action in actions) else "write"


def _actions(exchange: Exchange) -> list[bytes]:
    if not isinstance(exchange.body, Buffered):
        return []
    try:
        form = read_form(header(exchange.headers, b"content-type"), exchange.body.content)
    except Unreadable:
        return []
    query = read_urlencoded(exchange.target.partition(b"?")[2])
    return [*query.values(b"action"), *(form.values(b"action") if form is not None else [])]
