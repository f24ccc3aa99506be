"""Errors to answers."""

from __future__ import annotations

import json
from typing import get_args

import pytest

from gateway.errors import STATUS, Code, GatewayError
from gateway.events import Event
from gateway.exchange import Exchange, Reply, header, read_all
from gateway.rescue import PUBLIC, Crashed, Refused, RescueLayer, prefers_html, render


async def answer(error: Exception, shape: str = "problem", accept: bytes = b"") -> tuple[Reply, bytes, list[Event]]:
    events: list[Event] = []

    async def forward(exchange: Exchange) -> Reply:
        raise error

    layer = RescueLayer("backend", shape, events.append)  # type: ignore[arg-type]
    reply = await layer.handle(Exchange("GET", b"/", [(b"Accept", accept)] if accept else []), forward)
    return reply, await read_all(reply.body, 2**16), events


async def test_a_problem_has_type_title_status_and_detail() -> None:
    """The default shape is RFC 9457, with Retry-After in whole seconds, rounded up."""
    reply, content, events = await answer(GatewayError("queue-full", retry_after=1.2, private="lane default"))
    assert reply.status == 503
    assert header(reply.headers, b"content-type") == b"application/problem+json"
    assert header(reply.headers, b"retry-after") == b"2"
    assert json.loads(content) == {
        "type": "urn:gateway:error:queue-full",
        "title": "Service Unavailable",
        "status": 503,
        "detail": PUBLIC["queue-full"],
    }
    assert events == [Refused("backend", "other", "queue-full", "lane default")]


async def test_the_nest_shape_is_that_of_nestjs() -> None:
    """`errors: nest` gives statusCode, message and error."""
    _, content, _ = await answer(GatewayError("maintenance", detail="Back soon."), shape="nest")
    assert json.loads(content) == {"statusCode": 503, "message": "Back soon.", "error": "Service Unavailable"}


async def test_a_page_escapes_the_message() -> None:
    """A client that prefers HTML gets a page in which the operator's text is text."""
    reply, content, _ = await answer(GatewayError("maintenance", detail="<script>"), accept=b"text/html,*/*;q=0.8")
    assert (header(reply.headers, b"content-type") or b"").startswith(b"text/html")
    assert b"&lt;script&gt;" in content
    assert b"<script>" not in content


async def test_an_unexpected_exception_is_a_500_that_tells_nothing() -> None:
    """The client sees no word of the exception; the event carries it for the log."""
    error = RuntimeError("internal: 10.0.0.7")
    reply, content, events = await answer(error)
    assert reply.status == 500
    assert b"10.0.0.7" not in content
    assert events == [Crashed(error)]


async def test_an_errors_own_fields_replace_the_standard_ones() -> None:
    """A layer that sets `Cache-Control` or cookies with its error finds them in the answer, once."""
    error = GatewayError("invalid-token", headers=[(b"Cache-Control", b"no-store, private"), (b"Set-Cookie", b"a=")])
    reply, _, _ = await answer(error)
    assert [v for k, v in reply.headers if k.lower() == b"cache-control"] == [b"no-store, private"]
    assert header(reply.headers, b"set-cookie") == b"a="


@pytest.mark.parametrize(
    ("accept", "page"),
    [
        (b"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", True),
        (b"*/*", False),
        (b"", False),
        (b"application/json, text/html;q=0.5", False),
        (b"application/json, text/html", False),
        (b"text/html;q=0", False),
        (b"text/html;q=x", False),
        (b"TEXT/HTML", True),
        (b"text/html, */*", True),
        (b"*/*, text/html;q=0.1", False),
        (b"application/*, text/html;q=0.5", False),
        (b"application/vnd.x+json, text/html;q=0.1", False),
        (b"application/xhtml+xml, text/html;q=0.9, application/json;q=0.1", True),
    ],
)
def test_only_a_client_that_ranks_html_above_json_gets_a_page(accept: bytes, page: bool) -> None:
    """Browsers prefer HTML, scripts do not; a malformed rank counts as none."""
    assert prefers_html(accept) is page


def test_every_code_has_a_status_and_a_public_text() -> None:
    """The closed set of codes, their statuses and their texts name the same codes."""
    assert set(get_args(Code)) == set(STATUS) == set(PUBLIC)
    for code in get_args(Code):
        assert render(GatewayError(code), Exchange("GET", b"/"), "problem").status == STATUS[code][0]
