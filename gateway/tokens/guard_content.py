"""What a request's content says, in every way that some backend may read it.

The one idea: the backend gets the client's bytes, and is to find in them the one token that was judged. Which of two
fields a backend takes, whether it tells `refreshToken` from `refresh_token`, splits a form at semicolons or reads JSON
whatever the media type, nobody here knows. So every reading counts, and what has two tokens in it is refused.

Sources: RFC 6749 section 3.2 (parameters come once, in the content), sections 2.3.1 and 6 (client authentication),
RFC 7521 section 4.2 (client assertions).
"""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any, Final
from urllib.parse import parse_qsl, unquote_to_bytes

from gateway.errors import GatewayError
from gateway.exchange import Exchange, Headers, header, header_values, without
from gateway.tokens.cookies import values_of

REFRESH: Final = "refresh_token"
"""The grant type of a refresh (RFC 6749 section 6)."""
_FORM: Final = b"application/x-www-form-urlencoded"
_CHARSET: Final = re.compile(rb"charset\s*=\s*\"?([^\s;\"]*)")
_LIKE_ASCII: Final = frozenset((b"utf-8", b"utf8", b"us-ascii", b"iso-8859-1", b"windows-1252"))
"""Charsets in which names and separators are the bytes that are looked for; there are others, such as EBCDIC."""
_MAX_PARAMETERS: Final = 256
_MARKS: Final = re.compile(r"[^a-z0-9]")
_ACCEPT_ENCODING: Final = frozenset((b"accept-encoding",))
_TO_UNDERSCORES: Final = bytes.maketrans(b". ", b"__")
_PROOFS: Final = ("client_id", "client_secret", "client_assertion", "client_assertion_type")


class _Members(list[tuple[str, Any]]):
    """A JSON object as it is written, its repetitions included."""


def tokens_in(content: bytes, *names: str) -> list[str]:
    """Return the refresh tokens in a content, repetitions included; one that is no text is an empty one.

    `names` are those of fields that hold one besides `refreshToken`, in whatever spelling.
    """
    spellings = {"refreshtoken", *names}
    fields = [*(_members(content) or ()), *_parameters(content)]
    found = [value for name, value in fields if _plain(name) in spellings]
    return [value if isinstance(value, str) else "" for value in found]


def refuse_in_url(exchange: Exchange) -> None:
    """Refuse a request with a refresh token in its URL, in whatever spelling.

    Raises:
        GatewayError: `invalid-request`.
    """
    if tokens_in(exchange.target.partition(b"?")[2]):
        raise GatewayError("invalid-request", detail="A refresh token does not belong into the URL.")


def legible(headers: Headers, content: bytes) -> bool:
    """Tell whether `tokens_in` finds all that a backend may find: it is empty, JSON or a form."""
    return not content.strip() or _is_form(headers) or _members(content) is not None


def grant_of(exchange: Exchange, content: bytes) -> str:
    """Return the grant type that a token endpoint is asked for.

    Raises:
        GatewayError: `invalid-request`, when that is not said, or not in one way only.
    """
    _, _, query = exchange.target.partition(b"?")
    if any(_plain(name) == "granttype" for name, _ in _parameters(query)):
        raise GatewayError("invalid-request", detail="The parameter grant_type does not belong into the URL.")
    if not _is_form(exchange.headers):
        raise GatewayError("invalid-request", detail="The content is not a form.")
    grants = [value for name, value in _parameters(content) if _plain(name) == "granttype"]
    if len(grants) > 1:
        raise GatewayError("invalid-request", detail="The parameter grant_type comes more than once.")
    if not grants or not grants[0]:
        raise GatewayError("invalid-request", detail="The parameter grant_type is missing.")
    return REFRESH if _plain(grants[0]) == _plain(REFRESH) else grants[0]


def client_proof(headers: Headers, content: bytes) -> bytes:
    """Return a hash of what a client proves itself with, in the header section or in a form."""
    fields = [value.decode("latin-1") for value in header_values(headers, b"authorization")]
    stated = [[name, value] for name, value in _parameters(content) if name in _PROOFS] if _is_form(headers) else []
    return hashlib.sha256(json.dumps([fields, sorted(stated)]).encode()).digest()


def readable(headers: Headers) -> Headers:
    """Return a request's fields that ask for an answer which can be read."""
    return [*without(headers, _ACCEPT_ENCODING), (b"Accept-Encoding", b"identity")]


def only_cookie(headers: Headers, name: bytes, value: str) -> Headers:
    """Return a request's fields with `value` as the only cookie `name`; with none, if it came in the content.

    The backend is to judge the token that was claimed; of duplicates, and of cookie and content, servers take whichever
    they like, and some take other names for this one.
    """
    values = values_of(headers, name)
    rest, left_out = _without_cookies_like(headers, name)
    if value not in values:
        return rest if left_out else headers
    if len(set(values)) == 1 and left_out == len(values):
        return headers
    cookie = b"%b=%b" % (name, value.encode("latin-1"))
    for index, (key, line) in enumerate(rest):
        if key.lower() == b"cookie":
            return [*rest[:index], (key, b"%b; %b" % (line, cookie)), *rest[index + 1 :]]
    return [*rest, (b"Cookie", cookie)]


def _is_form(headers: Headers) -> bool:
    kind, _, parameters = (header(headers, b"content-type") or b"").lower().partition(b";")
    charset = _CHARSET.search(parameters)
    return kind.strip() == _FORM and (charset is None or charset[1] in _LIKE_ASCII)


def _members(content: bytes) -> _Members | None:
    """Return the members of a JSON object, none of other JSON, None when it is no JSON."""
    try:
        value = json.loads(content, object_pairs_hook=_Members)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, _Members) else _Members()


def _parameters(content: bytes) -> list[tuple[str, str]]:
    """Return the parameters of a form.

    Raises:
        GatewayError: `invalid-request`, when there are more than anybody sends.
    """
    text = content.decode("utf-8", "replace").replace(";", "&")
    try:
        return parse_qsl(text, True, max_num_fields=_MAX_PARAMETERS)
    except ValueError:
        raise GatewayError("invalid-request", detail="There are too many parameters.") from None


def _plain(name: str) -> str:
    """Return what the spellings of a name have in common; some backends put `name[]` and `name[0]` into `name`."""
    return _MARKS.sub("", name.partition("[")[0].casefold())


def _without_cookies_like(headers: Headers, name: bytes) -> tuple[Headers, int]:
    """Return the fields without the cookies that some server may take for `name`, and how many these were."""
    kept: Headers = []
    left_out = 0
    for key, line in headers:
        pairs = line.split(b";") if key.lower() == b"cookie" else [line]
        others = [pair for pair in pairs if key.lower() != b"cookie" or _read_as(pair) != _read_as(name)]
        left_out += len(pairs) - len(others)
        if len(others) == len(pairs):
            kept.append((key, line))
        elif any(pair.strip() for pair in others):
            kept.append((key, b";".join(others).lstrip(b" \t")))
    return kept, left_out


def _read_as(pair: bytes) -> bytes:
    """Return a cookie's name as PHP reads it: trimmed, decoded, without marks, an element as the whole."""
    name = unquote_to_bytes(pair.partition(b"=")[0]).strip().partition(b"[")[0]
    return name.translate(_TO_UNDERSCORES)
