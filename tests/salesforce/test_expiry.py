"""How each API says that a session has ended, and what does not say so."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.salesforce.expiry import Kind, expired, kind_of

REST = b'[{"message":"Session expired or invalid","errorCode":"INVALID_SESSION_ID"}]'
REST_SPACED = b'[ { "errorCode" : "INVALID_SESSION_ID", "message" : "Session expired or invalid" } ]'
REST_XML = (
    b"<Errors><Error><errorCode>INVALID_SESSION_ID</errorCode><message>Session expired</message></Error></Errors>"
)
NOT_FOR_REST = b'[{"message":"This session is not valid for use with the REST API","errorCode":"INVALID_SESSION_ID"}]'
BULK_XML = (
    b'<?xml version="1.0"?><error xmlns="http://www.force.com/2009/06/asyncapi/dataload">'
    b"<exceptionCode>InvalidSessionId</exceptionCode><exceptionMessage>Invalid session id</exceptionMessage></error>"
)
BULK_JSON = b'{"exceptionCode":"InvalidSessionId","exceptionMessage":"Invalid session id"}'
SOAP = b"<soapenv:Fault><faultcode>sf:INVALID_SESSION_ID</faultcode><faultstring>x</faultstring></soapenv:Fault>"


@pytest.mark.parametrize(
    ("target", "kind"),
    [
        (b"/services/data/v62.0/query?q=SELECT", "rest"),
        (b"/services/data/v62.0/jobs/ingest", "rest"),
        (b"/services/apexrest/x?u=/services/async/", "rest"),
        (b"/services/async/62.0/job", "bulk1"),
        (b"/services/Soap/u/62.0", "soap"),
        (b"/services/Soap/m/62.0/00D", "soap"),
        (b"/services/oauth2/token", "token"),
        (b"/services/oauth2/userinfo", "identity"),
        (b"/id/00D/005?oauth_token=x", "identity"),
        (b"http://acme/services/oauth2/token", "token"),
        (b"*", "rest"),
        (b"", "rest"),
    ],
)
def test_kinds(target: bytes, kind: Kind) -> None:
    """A call is of one kind, by its path."""
    assert kind_of(target) == kind


@pytest.mark.parametrize(
    ("kind", "status", "content", "verdict"),
    [
        ("rest", 401, REST, True),
        ("rest", 401, REST_SPACED, True),
        ("rest", 401, REST_XML, True),
        ("rest", 401, NOT_FOR_REST, False),
        ("rest", 401, REST.replace(b"Session expired or invalid", b"Connected app is not attached to Agent"), False),
        ("rest", 401, b'[{"errorCode":"INVALID_AUTH_HEADER"}]', False),
        ("rest", 401, b"", False),
        ("rest", 403, REST, False),
        ("rest", 200, REST, False),
        ("bulk1", 400, BULK_XML, True),
        ("bulk1", 400, BULK_JSON, True),
        ("bulk1", 400, b"<error><exceptionCode>InvalidBatch</exceptionCode></error>", False),
        ("bulk1", 401, REST, False),
        ("soap", 500, SOAP, True),
        ("soap", 500, SOAP.replace(b"<faultcode>", b'<faultcode xmlns:sf="urn:fault">'), True),
        ("soap", 500, b"<faultcode>sf:MALFORMED_QUERY</faultcode>", False),
        ("soap", 500, b"<faultstring>INVALID_SESSION_ID</faultstring>", False),
        ("soap", 200, SOAP, False),
        ("identity", 403, b"Bad_OAuth_Token", True),
        ("identity", 403, b"Missing_OAuth_Token", False),
        ("identity", 401, b"Bad_OAuth_Token", False),
        ("token", 401, REST, False),
    ],
)
def test_verdicts(kind: Kind, status: int, content: bytes, verdict: bool) -> None:
    """Each API has its own status and words; other errors, and a user without the right to REST, are none of them."""
    assert expired(kind, status, content) is verdict


@given(st.binary())
def test_any_content(content: bytes) -> None:
    """Nothing that a server sends raises."""
    assert isinstance(expired("rest", 401, content), bool)
