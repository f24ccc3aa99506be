"""Which contents are forms."""

from __future__ import annotations

import pytest

from gateway.whmcs.form import Form, read_form
from gateway.whmcs.multipart import Multipart, Unreadable
from gateway.whmcs.urlencoded import Urlencoded

PART = b'Content-Disposition: form-data; name="a"\r\n\r\nv'
URLENCODED = Urlencoded((b"a=b",))


@pytest.mark.parametrize(
    ("kind", "content", "form"),
    [
        (b"application/x-www-form-urlencoded", b"a=b", URLENCODED),
        (b" Application/X-WWW-Form-URLencoded ; charset=ISO-8859-1", b"a=b", URLENCODED),
        (b"application/x-www-form-urlencoded; charset=utf-16", b"a=b", URLENCODED),
        (None, b"", Urlencoded(())),
        (None, b"a=b", None),
        (b"", b"a=b", None),
        (b"application/json", b"{}", None),
        (b"application/json", b"", None),
        (b"text/plain", b"a=b", None),
        (b"multipart/mixed; boundary=b", b"", None),
        (b"multipart/form-data; boundary=b", Multipart(b"b", (PART,)).content(), Multipart(b"b", (PART,))),
        (b'Multipart/Form-Data; charset=utf-8; BOUNDARY="b c"', Multipart(b"b c", ()).content(), Multipart(b"b c", ())),
    ],
)
def test_types(kind: bytes | None, content: bytes, form: Form | None) -> None:
    """The type says what a content is; no content without a type is an empty form."""
    assert read_form(kind, content) == form


@pytest.mark.parametrize(
    "kind",
    [
        b"multipart/form-data",
        b"multipart/form-data; boundary=",
        b"multipart/form-data; boundary=a; boundary=b",
        b"multipart/form-data; xboundary=a; boundary=b",
    ],
)
def test_a_boundary_that_is_not_told(kind: bytes) -> None:
    """Without one boundary there is no telling where a part ends."""
    with pytest.raises(Unreadable):
        read_form(kind, Multipart(b"b", (PART,)).content())
