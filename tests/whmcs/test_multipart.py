"""Multipart forms: what is taken out, what is put in front, and that nothing else is touched."""

from __future__ import annotations

import email.policy
from email.parser import BytesParser

import pytest
from aiohttp import FormData
from hypothesis import given
from hypothesis import strategies as st

from gateway.whmcs.multipart import Multipart, Unreadable, read_multipart

OURS = [("identifier", "own"), ("secret", "hush-own")]
FILE = (
    b'Content-Disposition: form-data; name="attachments[]"; filename="secret"\r\nContent-Type: a/b\r\n\r\n\0\r\n\xff--'
)


def part(name: bytes, value: bytes = b"v", more: bytes = b"") -> bytes:
    return b'Content-Disposition: form-data; name="' + name + b'"' + more + b"\r\n\r\n" + value


def form(*parts: bytes, boundary: bytes = b"b") -> bytes:
    return Multipart(boundary, parts).content()


def test_credentials_are_exchanged() -> None:
    """The parts of credentials go, ours come first, and files, nested names and duplicates keep bytes and order."""
    kept = (part(b"custom[0]"), FILE, part(b"a", b"1"), part(b"a", b"\xe9", b"; charset=latin-1"))
    read = read_multipart(form(part(b"secret"), *kept[:2], part(b"accesskey[]"), *kept[2:]), b"b")
    changed = read.without_credentials().beginning_with(OURS)
    assert changed.content() == form(part(b"identifier", b"own"), part(b"secret", b"hush-own"), *kept)


@pytest.mark.parametrize(
    "header",
    [
        b"content-disposition:form-data;NAME=secret",
        b"Content-Disposition: form-data; name='secret'",
        b'Content-Disposition: form-data;\r\n\tname="secret"',
        b'Content-Type: text/plain\r\nContent-Disposition: form-data; name = "sec\\ret"',
        b'Content-Disposition: form-data; name="a"; name="secret"',
        b"Content-Disposition: form-data; name=\"secret\"; filename*=UTF-8''x",
        b'Content-Type: text/plain\nContent-Disposition: form-data; name="secret"',
        b'Content-Disposition: form-data; x="; y"; name=" secret"',
    ],
)
def test_spellings_of_a_name(header: bytes) -> None:
    """A credential is known by every spelling of its name that PHP takes."""
    for end in (b"\r\n\r\n", b"\n\n"):
        assert read_multipart(form(header + end + b"hush"), b"b").without_credentials().parts == ()


def test_a_file_is_no_variable_and_none_of_a_credentials_name_passes() -> None:
    """Files are none of the form's variables; one that is called as a credential has no use, and is left out."""
    file = part(b"secret", b"content", b'; filename="a.txt"')
    read = read_multipart(form(file), b"b")
    assert read.without_credentials().parts == ()
    assert read.values(b"secret") == []
    other = read_multipart(form(part(b"attachments[]", b"content", b'; filename="a.txt"')), b"b")
    assert other.without_credentials() == other


@pytest.mark.parametrize(
    "header",
    [b'form-data; name="action"; x="; filename=y"', b'form-data; filename =x; name="action"'],
)
def test_what_only_looks_like_a_file_is_a_variable(header: bytes) -> None:
    """A file name inside of another parameter's value, or under another spelling, makes no file for PHP."""
    read = read_multipart(form(b"Content-Disposition: " + header + b"\r\n\r\nAddOrder"), b"b")
    assert read.values(b"action") == [b"AddOrder"]


@pytest.mark.parametrize("where", ["before", "after"])
def test_a_boundary_outside_of_the_form_is_refused(where: str) -> None:
    """PHP reads on behind the closing boundary: what hides there would be read by it and not here."""
    hidden = b"\r\n--b\r\n" + part(b"secret", b"hush") + b"\r\n--b--"
    good = form(part(b"action", b"GetClients"))
    with pytest.raises(Unreadable):
        read_multipart(b"x --b y" + b"\r\n" + good if where == "before" else good + hidden, b"b")


def test_line_ends_preamble_and_epilogue() -> None:
    """Lines may end without a carriage return; what stands around the form stays there."""
    content = b'before\n--b\nContent-Disposition: form-data; name="action"\n\nGetClients\n--b--\nafter'
    read = read_multipart(content, b"b")
    assert (read.preamble, read.epilogue) == (b"before", b"\nafter")
    assert read.values(b"action") == [b"GetClients"]
    assert read_multipart(read.content(), b"b") == read


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"action=GetClients",
        b"--other\r\n\r\nv\r\n--other--",
        b"--b\r\n" + part(b"a"),
        b"--b\r\n" + part(b"a") + b"\r\n--b\r\n",
        b"--b\r\nno header section\r\n--b--",
        b"--b\r\n--b--",
        b"--bx\r\n" + part(b"a") + b"\r\n--bx--",
    ],
)
def test_what_is_no_form(content: bytes) -> None:
    """A content without its boundary, its end, or a part's header section is refused."""
    with pytest.raises(Unreadable):
        read_multipart(content, b"b")


PARTS = st.builds(
    part,
    st.sampled_from([b"a", b"custom[0]", b"secret", b"identifier"]),
    st.binary(max_size=30).filter(lambda v: b"--" not in v),
)
BOUNDARIES = st.from_regex(rb"\A[0-9A-Za-z'()+_,./:=?-]{1,70}\Z")


@given(st.lists(PARTS, max_size=6), BOUNDARIES, st.sampled_from([b"", b"before"]), st.sampled_from([b"", b"\r\nafter"]))
def test_what_is_read_is_written(parts: list[bytes], boundary: bytes, preamble: bytes, epilogue: bytes) -> None:
    """What is read and written again is the same; without credentials, it is the same without them."""
    whole = Multipart(boundary, tuple(parts), preamble, epilogue)
    read = read_multipart(whole.content(), boundary)
    assert (read, read.content()) == (whole, whole.content())
    others = tuple(one for one in parts if b'name="secret"' not in one and b'name="identifier"' not in one)
    assert read_multipart(read.without_credentials().content(), boundary).parts == others


@given(st.binary(max_size=80))
def test_any_content(content: bytes) -> None:
    """Nothing that a client sends does more than be refused."""
    for text in (content, b"--b\r\n" + content + b"\r\n--b--"):
        try:
            read = read_multipart(text, b"b")
        except Unreadable:
            continue
        assert read_multipart(read.content(), b"b") == read


async def test_another_writer_and_another_reader() -> None:
    """What aiohttp writes is read, and what is written then, an independent parser reads."""
    data = FormData(default_to_multipart=True)
    for name, value in {"action": "OpenTicket", "secret": "hush-theirs", "subject": "Grüße"}.items():
        data.add_field(name, value)
    data.add_field("attachments[]", b"\x00\xff\r\n", filename="a.bin", content_type="application/octet-stream")
    payload = data()
    kind = payload.headers["Content-Type"]
    boundary = kind.partition("boundary=")[2].encode()
    content = await payload.as_bytes()
    changed = read_multipart(content, boundary).without_credentials().beginning_with(OURS).content()
    message = BytesParser(policy=email.policy.HTTP).parsebytes(
        b"Content-Type: " + kind.encode() + b"\r\n\r\n" + changed
    )
    found = [
        (p.get_param("name", header="content-disposition"), p.get_payload(decode=True)) for p in message.iter_parts()
    ]
    assert found == [
        ("identifier", b"own"),
        ("secret", b"hush-own"),
        ("action", b"OpenTicket"),
        ("subject", "Grüße".encode()),
        ("attachments[]", b"\x00\xff\r\n"),
    ]
