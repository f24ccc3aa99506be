"""What a request's content says, in every way that some backend may read it."""

from __future__ import annotations

import json

import pytest

from gateway.errors import GatewayError
from gateway.exchange import Exchange, Headers
from gateway.tokens.guard_content import client_proof, grant_of, legible, tokens_in

FORM: Headers = [(b"Content-Type", b"application/x-www-form-urlencoded; charset=utf-8")]


@pytest.mark.parametrize(
    "content",
    [
        b'{"refreshToken":"hush-a","refreshToken":"hush-b"}',
        b'{"refreshToken":"hush-a","refresh_token":"hush-b"}',
        b'{"refreshToken":"hush-a","REFRESHTOKEN":"hush-b"}',
        '{"refreshToken":"hush-a","refre\u017fhTo\u212aen":"hush-b"}'.encode(),
        b'{"refreshToken":"hush-a","refresh\\u0054oken":"hush-b"}',
        b'{"refreshToken":"hush-a","x":"&refresh_token=hush-b&"}',
        b"refresh_token=hush-a&refresh_token=hush-b",
        b"refresh_token=hush-a&refreshToken=hush-b",
        b"refresh_token=hush-a&refresh%5Ftoken=hush-b",
        b"refresh_token=hush-a;refresh_token=hush-b",
        b"refresh_token=hush-a&refresh.token=hush-b",
        b"refresh_token=hush-a&refresh_token[]=hush-b",
        b"refresh_token[0]=hush-a&refresh+token=hush-b",
    ],
)
def test_every_reading_finds_its_token(content: bytes) -> None:
    """Repetitions, spellings of the name and both formats: two tokens are seen as two."""
    assert tokens_in(content) == ["hush-a", "hush-b"]


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"", []),
        (b"{}", []),
        (b"[]", []),
        (b'{"refreshToken":null,"refresh_token":["hush-a"]}', ["", ""]),
        (b'{"data":{"refreshToken":"hush-a"},"token":"hush-b"}', []),
        (b"token=hush-a&x=refresh_token", []),
        (b"\xff\xfe\x00", []),
        (b"[" * 10_000, []),
    ],
)
def test_what_is_no_token_is_none(content: bytes, found: list[str]) -> None:
    """Other fields, nested ones, and what cannot be read."""
    assert tokens_in(content) == found


def test_a_form_without_end_is_refused() -> None:
    """More parameters than anybody sends are not looked through."""
    with pytest.raises(GatewayError) as refused:
        tokens_in(b"&".join(b"a%d=1" % index for index in range(300)))
    assert refused.value.code == "invalid-request"


def test_what_nobody_here_can_read_is_told() -> None:
    """A backend may find a token where these readings find none: in other formats, or in an encoding."""
    for content in (b"", b" \r\n", b'{"a":1}', b"[]", '{"a":"\u00e9"}'.encode("utf-16")):
        assert legible([], content)
    assert legible(FORM, b"a=1")
    assert not legible([(b"Content-Type", b"application/x-www-form-urlencoded; charset=ibm037")], b"\xa2~\x81")
    assert not legible([(b"Content-Type", b"multipart/form-data; boundary=x")], b"--x\r\n")
    assert not legible([(b"Content-Encoding", b"gzip")], b"\x1f\x8b")


def grant(content: bytes, target: bytes = b"/token", headers: Headers = FORM) -> str:
    return grant_of(Exchange("POST", target, headers), content)


def test_the_grant_type_is_read() -> None:
    """Case and marks do not hide a refresh; other grants are named as they came."""
    for text in (b"refresh_token", b"Refresh_Token", b"refresh%5ftoken", b"+refresh_token+"):
        assert grant(b"a=1&grant_type=" + text) == "refresh_token"
    assert grant(b"grant_type=password&refresh_token=hush-a") == "password"
    assert grant(b"grant_type=urn:ietf:params:oauth:grant-type:jwt-bearer").startswith("urn:ietf")


@pytest.mark.parametrize(
    ("content", "target", "headers"),
    [
        (b"", b"/token", FORM),
        (b"grant_type=", b"/token", FORM),
        (b"grant_type=password&grant_type=refresh_token", b"/token", FORM),
        (b"grant_type=password;grantType=refresh_token", b"/token", FORM),
        (b"grant_type=password", b"/token?grant_type=refresh_token", FORM),
        (b'{"grant_type":"refresh_token"}', b"/token", [(b"Content-Type", b"application/json")]),
        (b"grant_type=password", b"/token", []),
        (b"grant_type=password", b"/token", [(b"content-type", FORM[0][1].replace(b"utf-8", b'"cp500"'))]),
    ],
)
def test_a_grant_type_that_can_be_read_in_two_ways_is_refused(content: bytes, target: bytes, headers: Headers) -> None:
    """Missing, repeated, in the URL, or in content that is no form: a refresh could pass as something else."""
    with pytest.raises(GatewayError) as refused:
        grant(content, target, headers)
    assert refused.value.code == "invalid-request"


def test_a_proof_is_all_that_a_client_proves_itself_with() -> None:
    """The Authorization field and the parameters of RFC 6749 and RFC 7521, in whatever order; nothing else counts."""
    basic: Headers = [*FORM, (b"authorization", b"Basic aHVzaDo=")]
    proofs = {
        client_proof(FORM, b"a=1"),
        client_proof(basic, b""),
        client_proof(FORM, b"client_id=a"),
        client_proof(FORM, b"client_id=a&client_secret=hush-b"),
        client_proof(FORM, b"client_assertion=a"),
        client_proof(FORM, b"client_assertion_type=a"),
        client_proof([*basic, (b"Authorization", b"Basic eDp5")], b""),
    }
    assert len(proofs) == 7
    assert client_proof(FORM, b"client_secret=hush-b&x=1&client_id=a") in proofs
    assert client_proof([], json.dumps({"client_id": "a"}).encode()) in proofs
