"""The session put on a call, and a login's answer that keeps its client."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.salesforce.rewrite import (
    soap_at,
    soap_call,
    soap_with_session,
    token_answer_at,
    with_session,
    without_token,
)

HERE = "https://127.0.0.1:9182"
ENVELOPE = (
    b'<?xml version="1.0"?><soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/">'
    b"<soapenv:Header><met:SessionHeader><met:sessionId>hush-own</met:sessionId></met:SessionHeader></soapenv:Header>"
    b"<soapenv:Body><met:deploy><sessionId>data</sessionId></met:deploy></soapenv:Body></soapenv:Envelope>"
)
LOGIN = (
    b'<se:Envelope xmlns:se="http://schemas.xmlsoap.org/soap/envelope/"><se:Header/><se:Body>'
    b'<login xmlns="urn:partner.soap.sforce.com"><username>u</username><password>p</password></login></se:Body>'
    b"</se:Envelope>"
)


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        ("rest", [(b"Accept", b"*/*"), (b"Authorization", b"Bearer new!token")]),
        ("identity", [(b"Accept", b"*/*"), (b"Authorization", b"Bearer new!token")]),
        ("bulk1", [(b"Accept", b"*/*"), (b"X-SFDC-Session", b"new!token")]),
        ("soap", [(b"Accept", b"*/*")]),
    ],
)
def test_fields(kind: str, fields: list[tuple[bytes, bytes]]) -> None:
    """Each API gets the session in its own field; whatever the client sent of its own is gone, in any case."""
    own = [(b"AUTHORIZATION", b"Bearer hush"), (b"Accept", b"*/*"), (b"X-SFDC-SESSION", b"hush")]
    once = with_session(own, kind, "new!token")  # type: ignore[arg-type]
    assert once == fields
    assert with_session(once, kind, "new!token") == fields  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("target", "left"),
    [
        (b"/id/00D/005?oauth_token=hush&format=json", b"/id/00D/005?format=json"),
        (b"/id/00D/005?a=1&OAUTH_TOKEN=hush&b=%20", b"/id/00D/005?a=1&b=%20"),
        (b"/id/00D/005?access_token=hush", b"/id/00D/005"),
        (b"/id/00D/005", b"/id/00D/005"),
    ],
)
def test_targets(target: bytes, left: bytes) -> None:
    """A token in the query of an identity call is taken out, and all else stays as it came."""
    assert without_token(target) == left


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"<h><sessionId>old</sessionId>", b"<h><sessionId>a&amp;b</sessionId>"),
        (b"<h><x:sessionId>old</x:sessionId>", b"<h><x:sessionId>a&amp;b</x:sessionId>"),
        (b'<h><sessionId xmlns="urn:x">old</sessionId>', b'<h><sessionId xmlns="urn:x">a&amp;b</sessionId>'),
        (b"<h><sessionId/>", b"<h><sessionId>a&amp;b</sessionId>"),
        (b"<h><sessionId></sessionId >", b"<h><sessionId>a&amp;b</sessionId>"),
        (b"<h><sessionId><![CDATA[o<l>d]]></sessionId>", b"<h><sessionId>a&amp;b</sessionId>"),
        (b"<h><sessionIds>old</sessionIds>", None),
        (b"", None),
    ],
)
def test_envelopes(before: bytes, after: bytes | None) -> None:
    """The first sessionId of an envelope is replaced, whatever its prefix and attributes, and escaped."""
    assert soap_with_session(before, "a&b") == after


def test_only_the_header_is_touched() -> None:
    """What a call carries as data stays, also when it has the same name."""
    changed = soap_with_session(ENVELOPE, "new")
    assert changed == ENVELOPE.replace(b"hush-own", b"new")
    assert soap_with_session(LOGIN, "new") is None
    data = ENVELOPE.replace(b"</se:Body>", b"<sessionId>data</sessionId></se:Body>")
    only_data = b"<e:Envelope><e:Header/><e:Body><x><sessionId>data</sessionId></x></e:Body></e:Envelope>"
    assert soap_with_session(data, "new") == data.replace(b"hush-own", b"new")
    assert soap_with_session(only_data, "new") is None


@given(st.binary(), st.text("abc!.<&", min_size=1))
def test_any_envelope(envelope: bytes, token: str) -> None:
    """Replacing twice is replacing once."""
    for content in (envelope, b"<sessionId>" + envelope + b"</sessionId>", ENVELOPE + envelope):
        once = soap_with_session(content, token)
        assert once is None or soap_with_session(once, token) == once


def test_logins_are_told() -> None:
    """A login is known by its body, since clients leave SOAPAction empty."""
    assert soap_call(LOGIN) == b"login"
    assert soap_call(ENVELOPE) not in (b"login", b"")
    assert soap_call(b"") == b""
    assert soap_call(ENVELOPE.replace(b"</se:Body>", b"<login>ada</login></se:Body>")) == soap_call(ENVELOPE)
    assert soap_call(b"<e:Body>\n <!-- x --> <u:logout/></e:Body>") == b"logout"


def test_soap_answer() -> None:
    """Both servers' addresses become the gateway's, with their paths; all else stays."""
    answer = (
        b"<loginResponse><result><metadataServerUrl>https://acme.my.salesforce.com/services/Soap/m/62.0/00D"
        b"</metadataServerUrl><serverUrl>https://acme.my.salesforce.com/services/Soap/u/62.0/00D</serverUrl>"
        b"<sessionId>00D!x</sessionId></result></loginResponse>"
    )
    assert soap_at(answer, HERE) == answer.replace(b"https://acme.my.salesforce.com", HERE.encode())


def test_token_answer() -> None:
    """The instance's address and the identity become the gateway's; a signature or token is not touched."""
    answer = {
        "access_token": "00D!x", "instance_url": "https://acme.my.salesforce.com",
        "id": "https://login.salesforce.com/id/00D/005", "issued_at": "1", "signature": "s",
    }  # fmt: skip
    assert json.loads(token_answer_at(json.dumps(answer).encode(), HERE)) == answer | {
        "instance_url": HERE, "id": f"{HERE}/id/00D/005"
    }  # fmt: skip


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b'{"error":"invalid_grant"}', b"\xff", b"[" * 100_000])
def test_other_answers_pass(content: bytes) -> None:
    """An answer that opens no session passes byte for byte."""
    assert token_answer_at(content, HERE) == content
