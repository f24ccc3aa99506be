"""Puts the gateway's credentials on a call, in the place of the client's own.

The one idea: a call leaves with the gateway's credentials or not at all. What cannot be given them (a content that is
no form, or not in memory as a whole) is refused, with nothing sent.
"""

from __future__ import annotations

from collections.abc import Sequence

from gateway.errors import GatewayError
from gateway.exchange import Buffered, Exchange, Headers, header, header_values
from gateway.whmcs.form import URLENCODED, Form, read_form
from gateway.whmcs.multipart import Unreadable
from gateway.whmcs.urlencoded import read_urlencoded

_ONLY_FORMS = "This service takes forms only: POST, urlencoded or multipart/form-data, without Content-Encoding."


def put_on(exchange: Exchange, pairs: Sequence[tuple[str, str]], limit: int) -> None:
    """Change a call's form so that it begins with `pairs` and holds no other credentials; so does its query.

    `limit` is the size in bytes up to which a content is in memory, if there is room.

    Raises:
        GatewayError: `not-implemented` (501) for what is no form, `bad-request` (400) for a form that cannot be read,
            `payload-too-large` (413), or `queue-full` (503) when there was no room for a smaller one.
    """
    form = _form(exchange, _content(exchange, limit))
    content = form.without_credentials().beginning_with(pairs).content()
    exchange.body = Buffered(content)
    exchange.headers = _headers(exchange.headers, len(content))
    exchange.target = _target(exchange.target)


def _content(exchange: Exchange, limit: int) -> bytes:
    body = exchange.body
    if isinstance(body, Buffered):
        return body.content
    if body.length is not None and body.length <= limit:
        raise GatewayError("queue-full", private="no room for the form", retry_after=1.0)
    raise GatewayError("payload-too-large", detail=f"A form for this service may have at most {limit} bytes.")


def _form(exchange: Exchange, content: bytes) -> Form:
    coding = header(exchange.headers, b"content-encoding")
    types = header_values(exchange.headers, b"content-type")
    if len(types) > 1:
        raise GatewayError("bad-request", detail="The request has several content types.")
    try:
        form = read_form(types[0] if types else None, content)
    except Unreadable as unreadable:
        raise GatewayError("bad-request", detail=f"The form cannot be read: {unreadable}.") from None
    if exchange.method != "POST" or form is None or coding not in (None, b"identity"):
        raise GatewayError("not-implemented", detail=_ONLY_FORMS)
    return form


def _headers(headers: Headers, length: int) -> Headers:
    told = [(name, b"%d" % length if name.lower() == b"content-length" else value) for name, value in headers]
    return told if header(headers, b"content-type") is not None else [*told, (b"Content-Type", URLENCODED)]


def _target(target: bytes) -> bytes:
    path, mark, query = target.partition(b"?")
    kept = read_urlencoded(query).without_credentials().content()
    return target if kept == query else path + mark + kept if kept else path
