"""The gateway's credentials on a call, in the place of the client's."""

from __future__ import annotations

import pytest

from gateway.errors import GatewayError
from gateway.exchange import Buffered, Exchange, header
from gateway.whmcs.credentials import put_on
from gateway.whmcs.multipart import Multipart, read_multipart
from tests.retry.samples import Pieces
from tests.whmcs.samples import FORM, TARGET, auth, call

OWN = b"identifier=own&secret=hush-own"


def signed(exchange: Exchange, accesskey: str | None = None) -> bytes:
    """Put the credentials on and return the content."""
    put_on(exchange, auth(accesskey=accesskey).fields, 100)
    assert isinstance(exchange.body, Buffered)
    return exchange.body.content


def test_an_urlencoded_form() -> None:
    """The form has ours, the length is right, and every other field keeps its place; twice is as good as once."""
    exchange = call(b"secret=hush-theirs&action=GetClients", more=[(b"X-A", b"1")])
    before = list(exchange.headers)
    for _ in range(2):
        assert signed(exchange) == OWN + b"&action=GetClients"
        length = b"%d" % len(OWN + b"&action=GetClients")
        assert exchange.headers == [(n, length if n == b"content-length" else v) for n, v in before]
    assert signed(exchange, "hush-key").startswith(OWN + b"&accesskey=hush-key&action")


def test_a_multipart_form() -> None:
    """The boundary stays, and so does what it parts."""
    kept = b'Content-Disposition: form-data; name="f"; filename="f"\r\n\r\n\0'
    theirs = b'Content-Disposition: form-data; name="secret"\r\n\r\nhush-theirs'
    kind = b'multipart/form-data; boundary="a b"'
    exchange = call(Multipart(b"a b", (theirs, kept)).content(), kind=kind)
    content = signed(exchange)
    assert read_multipart(content, b"a b").parts[2:] == (kept,)
    assert b"hush-theirs" not in content
    assert header(exchange.headers, b"content-type") == kind
    assert header(exchange.headers, b"content-length") == b"%d" % len(content)


@pytest.mark.parametrize(
    ("query", "left"),
    [
        (b"?a=1&secret=hush-theirs&b=%20", b"?a=1&b=%20"),
        (b"?secret=hush-theirs", b""),
        (b"?username=u&password=hush-p", b""),
        (b"?", b"?"),
        (b"?a=%zz&&b", b"?a=%zz&&b"),
    ],
)
def test_the_query(query: bytes, left: bytes) -> None:
    """The client's credentials go from the query too, and its other bytes stay."""
    exchange = call(target=TARGET + query)
    signed(exchange)
    assert exchange.target == TARGET + left


def test_no_content() -> None:
    """A call without content gets a form that holds the credentials alone."""
    exchange = call(b"", kind=None)
    assert signed(exchange) == OWN
    assert header(exchange.headers, b"content-type") == FORM


@pytest.mark.parametrize(
    ("exchange", "code"),
    [
        (call(b"{}", kind=b"application/json"), "not-implemented"),
        (call(b"a=b", kind=None), "not-implemented"),
        (call(more=[(b"Content-Encoding", b"gzip")]), "not-implemented"),
        (call(b"", method="GET"), "not-implemented"),
        (call(method="PUT"), "not-implemented"),
        (call(more=[(b"content-type", b"text/plain")]), "bad-request"),
        (call(kind=b"multipart/form-data"), "bad-request"),
        (call(kind=b"multipart/form-data; boundary=b"), "bad-request"),
        (call(Pieces(b"x", length=101)), "payload-too-large"),
        (call(Pieces(b"x")), "payload-too-large"),
        (call(Pieces(b"x", length=100)), "queue-full"),
    ],
)
def test_what_is_refused(exchange: Exchange, code: str) -> None:
    """A call that cannot have the gateway's credentials is refused, and nothing of its content is told."""
    with pytest.raises(GatewayError) as raised:
        signed(exchange)
    assert raised.value.code == code
    assert "hush" not in f"{raised.value.detail}{raised.value}"


def test_the_credentials_do_not_show() -> None:
    """What holds the credentials does not print them."""
    assert "hush" not in repr(auth(accesskey="hush-key"))
