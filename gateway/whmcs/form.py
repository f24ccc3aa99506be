"""The form of a call, by its content type.

The one idea: two encodings, one set of verbs; whoever reads or changes a form need not know which it is.
"""

from __future__ import annotations

import re
from typing import Final

from gateway.whmcs.multipart import Multipart, Unreadable, read_multipart
from gateway.whmcs.urlencoded import Urlencoded, read_urlencoded

Form = Urlencoded | Multipart

URLENCODED: Final = b"application/x-www-form-urlencoded"
_MULTIPART: Final = b"multipart/form-data"
_BOUNDARY: Final = re.compile(rb';\s*boundary\s*=\s*(?:"([^"]+)"|([^;,\s"]+))', re.IGNORECASE)


def read_form(content_type: bytes | None, content: bytes) -> Form | None:
    """Return a content as a form; None when its type says that it is none. No content at all is an empty form.

    Raises:
        Unreadable: when it is not what its type says.
    """
    kind = (content_type or b"").partition(b";")[0].strip().lower()
    if kind == URLENCODED or not (content_type or content):
        return read_urlencoded(content)
    if kind != _MULTIPART or content_type is None:
        return None
    boundaries = _BOUNDARY.findall(content_type)
    if len(boundaries) != 1 or content_type.lower().count(b"boundary") != 1:  # PHP takes the first, in any word
        raise Unreadable("the form's boundary is not told")
    quoted, token = boundaries[0]
    return read_multipart(content, quoted or token)
