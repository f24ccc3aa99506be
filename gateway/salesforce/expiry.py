"""How each API of Salesforce says that a session has ended.

The one idea: a call is of one kind, by its path, and each kind has its own words for it. The start of an answer is
enough to tell. Source: Salesforce, REST, Bulk and SOAP API developer guides; the tests of jsforce and simple-salesforce
look for the same words.
"""

from __future__ import annotations

import re
from typing import Final, Literal

Kind = Literal["rest", "bulk1", "soap", "identity", "token"]
"""REST with Bulk 2.0; Bulk v1; SOAP; who the user is (the identity URL, userinfo); the OAuth endpoints, where a client
logs in or out by itself."""

STATUSES: Final[dict[Kind, int | None]] = {"rest": 401, "bulk1": 400, "soap": 500, "identity": 403, "token": None}
"""The status of an answer that may say so."""

_FOR_GOOD: Final = (b"This session is not valid for use with the REST API", b"Connected app is not attached to Agent")
"""The user or the app has no right to the API: a new session has none either."""
_WORDS: Final[dict[Kind, re.Pattern[bytes]]] = {
    "rest": re.compile(rb'"errorCode"\s*:\s*"INVALID_SESSION_ID"|<errorCode>\s*INVALID_SESSION_ID\s*<'),
    "bulk1": re.compile(rb'<exceptionCode>\s*InvalidSessionId\s*<|"exceptionCode"\s*:\s*"InvalidSessionId"'),
    "soap": re.compile(rb"<faultcode[^>]*>\s*(?:[\w.-]+:)?INVALID_SESSION_ID\s*<"),
    "identity": re.compile(rb"\ABad_OAuth_Token\b"),
}


def kind_of(target: bytes) -> Kind:
    """Return the kind of a call by its target (the path with its query, or absolute-form)."""
    path = target.partition(b"?")[0].lower()
    if not path.startswith(b"/"):
        path = b"/" + path.partition(b"://")[2].partition(b"/")[2]
    for prefix, kind in _PREFIXES:
        if path.startswith(prefix):
            return kind
    return "rest"


_PREFIXES: Final[tuple[tuple[bytes, Kind], ...]] = (
    (b"/services/oauth2/userinfo", "identity"),
    (b"/id/", "identity"),
    (b"/services/oauth2/", "token"),
    (b"/services/soap/", "soap"),
    (b"/services/async/", "bulk1"),
)


def expired(kind: Kind, status: int, start: bytes) -> bool:
    """Whether an answer, of which `start` is the beginning, says that the session has ended and another would help."""
    words = _WORDS.get(kind)
    if words is None or status != STATUSES[kind] or words.search(start) is None:
        return False
    return not any(words in start for words in _FOR_GOOD)
